import { must, objectLike, optionsOf, SIZE, shown, whole } from "../../arguments.js";
import { ArgumentError } from "../../errors.js";
import type { PipelineManager } from "../../pipeline/index.js";
import { MANAGER } from "../../pipeline/rules.js";
import type { BlockSite } from "../blocks/block.js";
import type { LayerShape } from "../blocks/examples.js";
import { APPROXIMATIONS, type ApproximationKind } from "../names.js";
import { Approximation } from "./approximation.js";
import { BatchBlock } from "./batch-block.js";
import { DiagonalFit } from "./diagonal.js";
import { EkfacFit } from "./ekfac.js";
import { KroneckerFit, type KroneckerOptions } from "./kronecker.js";
import type { LayerFit } from "./layer-fit.js";
import { MeanFluctuationFit } from "./mean-fluctuation.js";

export { APPROXIMATIONS, type ApproximationKind };

const LAYER = objectLike("a layer { in, out }");

/** Settings that one kind or another has. */
export type ApproximationOptions = Pick<KroneckerOptions, "iterations">;

/**
 * An approximation of a layer's exact block over a recorded pass: `fit`, `damp`, then `solve` as often as wanted.
 *
 * @throws ArgumentError for an unknown kind, a layer without sizes or a bad option.
 */
export function createApproximation(
  manager: PipelineManager,
  layer: LayerShape,
  kind: ApproximationKind,
  options: ApproximationOptions = {},
): Approximation {
  must("createApproximation", "manager", manager, MANAGER);
  must("createApproximation", "layer", layer, LAYER);
  must("createApproximation", "layer.in", layer.in, SIZE);
  must("createApproximation", "layer.out", layer.out, SIZE);
  requireKind(kind);
  optionsOf("createApproximation", { iterations: whole(1) }, options);
  return new Approximation(manager, layer, kind, (site) => batchBlock(site, kind, options));
}

/** A block of that kind, fitted anew to each batch. @throws ArgumentError for an unknown kind */
export function batchBlock(
  site: BlockSite,
  kind: ApproximationKind,
  options: ApproximationOptions = {},
): BatchBlock {
  requireKind(kind);
  return new BatchBlock(site, `batch:${kind}`, (manager, layer) => fitOf(manager, layer, kind, options));
}

function fitOf(
  manager: PipelineManager,
  layer: LayerShape,
  kind: ApproximationKind,
  options: ApproximationOptions,
): LayerFit {
  switch (kind) {
    case "diagonal":
      return new DiagonalFit(manager, layer);
    case "expand":
    case "reduce":
    case "kfoc":
      return new KroneckerFit(manager, layer, kind, options);
    case "expandFactored":
      return new KroneckerFit(manager, layer, "expand", { ...options, damping: "factored" });
    case "ekfac":
      return new EkfacFit(manager, layer);
    case "meanFluctuation":
      return new MeanFluctuationFit(manager, layer);
  }
}

function requireKind(kind: ApproximationKind): void {
  if (APPROXIMATIONS.includes(kind)) return;
  const known = APPROXIMATIONS.join(", ");
  throw new ArgumentError("createApproximation", "kind", `must be one of ${known}, got ${shown(kind)}`);
}
