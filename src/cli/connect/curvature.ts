/** Every approximation of each layer's curvature beside the exact one, for `kfac compare`. */

import { compareCurvature } from "../../curvature/approximations/compare.js";
import { type ApproximationKind, createApproximation } from "../../curvature/approximations/kinds.js";
import type { Engine as Library } from "../../engine.js";
import { paddedLength, paddedView } from "../../linalg/index.js";
import type { Curved } from "../../model/index.js";
import type { Batch, CompareOptions, LayerComparison } from "../engine.js";

const EXACT = { kind: "exact" } as const;

/** One recorded pass, with exact columns, then layer by layer. */
export async function compareLayers(
  library: Library,
  network: ReturnType<Library["network"]>,
  batch: Batch,
  { damping, signal, onProgress }: CompareOptions,
): Promise<LayerComparison[]> {
  network.load(batch);
  const recorder = library.manager.record();
  const pass = network.recordPass(recorder, EXACT);
  recorder.submit();
  const results: LayerComparison[] = [];
  for (const [l, layer] of pass.layers.entries()) {
    const found = await compareCurvature(library.manager, layer, {
      damping,
      G: network.layers[l]!.G,
      signal,
      onProgress: (done, total) => onProgress?.(layer.name, done, total),
    });
    const seconds: Record<string, number> = {};
    for (const { name } of found.approximations) {
      if (name !== "none") seconds[name] = await stepSeconds(library, layer, name, damping);
    }
    results.push({ ...found, seconds });
  }
  return results;
}

/** Of fitting, damping and solving once, compiled already. */
async function stepSeconds(
  { manager }: Library,
  layer: Curved,
  kind: ApproximationKind,
  damping: number,
): Promise<number> {
  const approximation = createApproximation(manager, layer, kind);
  const buffers = [0, 1].map(() => manager.createStorage("step", paddedLength(layer.out, layer.in)));
  const [G, into] = buffers.map((buffer) => paddedView(buffer, 0, layer.out, layer.in));
  try {
    await approximation.readStatus();
    const start = performance.now();
    const recorder = manager.record();
    approximation.fit(recorder, layer);
    approximation.damp(recorder, damping);
    approximation.solve(recorder, G!, into!);
    recorder.submit();
    await approximation.readStatus();
    return (performance.now() - start) / 1000;
  } finally {
    for (const buffer of buffers) manager.destroyBuffer(buffer);
    approximation.dispose();
  }
}
