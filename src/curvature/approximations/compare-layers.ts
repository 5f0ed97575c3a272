import { FUNCTION, must, OBJECT, objectLike } from "../../arguments.js";
import { DeviceMatrices } from "../../host/index.js";
import type { Batch, Curved, Model } from "../../model/index.js";
import type { PipelineManager } from "../../pipeline/index.js";
import { MANAGER } from "../../pipeline/rules.js";
import { type CompareOptions, type CurvatureComparison, compareCurvature } from "./compare.js";
import { type ApproximationKind, createApproximation } from "./kinds.js";

/** As `compareCurvature`, but of all layers, with their own gradients. */
export interface CompareLayersOptions extends Omit<CompareOptions, "G" | "onProgress"> {
  /** Called as each approximation of a layer is done. */
  readonly onProgress?: (layer: string, done: number, total: number) => void;
}

export interface LayerComparison extends CurvatureComparison {
  /** Of fitting, damping and solving an approximation once, on the wall, by name. */
  readonly seconds: Readonly<Record<string, number>>;
}

const EXACT = { kind: "exact" } as const;

/**
 * Every approximation of every layer's curvature on this batch, against the exact one: one recorded pass with exact
 * columns, then layer by layer. The batch stays loaded.
 *
 * @throws ArgumentError, ShapeError or DataError for a bad batch or option, AbortedError once the signal fires
 */
export async function compareLayers(
  manager: PipelineManager,
  model: Model,
  batch: Batch,
  given: CompareLayersOptions,
): Promise<LayerComparison[]> {
  must("compareLayers", "manager", manager, MANAGER);
  must("compareLayers", "model", model, objectLike("a network, or another Model", "load", "recordPass"));
  must("compareLayers", "options", given, OBJECT);
  const { onProgress, ...options } = given;
  if (onProgress !== undefined) must("compareLayers", "onProgress", onProgress, FUNCTION);
  model.load(batch);
  const recorder = manager.record();
  const pass = model.recordPass(recorder, EXACT);
  recorder.submit();
  const results: LayerComparison[] = [];
  for (const [l, layer] of pass.layers.entries()) {
    const found = await compareCurvature(manager, layer, {
      ...options,
      G: model.layers[l]!.G,
      onProgress: (done, total) => onProgress?.(layer.name, done, total),
    });
    const seconds: Record<string, number> = {};
    for (const { name } of found.approximations) {
      if (name !== "none") seconds[name] = await stepSeconds(manager, layer, name, options.damping);
    }
    results.push({ ...found, seconds });
  }
  return results;
}

/** Compiled already, since the approximation has been measured. */
async function stepSeconds(
  manager: PipelineManager,
  layer: Curved,
  kind: ApproximationKind,
  damping: number,
): Promise<number> {
  const approximation = createApproximation(manager, layer, kind);
  const memory = new DeviceMatrices(manager, "step");
  try {
    const [G, into] = [memory.matrix(layer.out, layer.in), memory.matrix(layer.out, layer.in)];
    await approximation.readStatus();
    const start = performance.now();
    const recorder = manager.record();
    approximation.fit(recorder, layer);
    approximation.damp(recorder, damping);
    approximation.solve(recorder, G, into);
    recorder.submit();
    await approximation.readStatus();
    return (performance.now() - start) / 1000;
  } finally {
    memory.dispose();
    approximation.dispose();
  }
}
