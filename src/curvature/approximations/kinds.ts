import { ArgumentError } from "../../errors.js";
import type { PipelineManager } from "../../pipeline/index.js";
import type { Approximation, LayerShape } from "./approximation.js";
import { DiagonalApproximation } from "./diagonal.js";
import { EkfacApproximation } from "./ekfac.js";
import { KroneckerApproximation } from "./kronecker.js";
import { MeanFluctuationApproximation } from "./mean-fluctuation.js";

/** Every approximation of a layer's exact block, in the order in which comparisons show them. */
export const APPROXIMATIONS = [
  "diagonal",
  "expand",
  "expandFactored",
  "reduce",
  "ekfac",
  "kfoc",
  "meanFluctuation",
] as const;

/**
 * `"diagonal"` of H; `"expand"` (KFC), with λI added (`"expandFactored"`: to each factor by the π rule); `"reduce"`;
 * `"ekfac"`; `"kfoc"`, the nearest Kronecker product; `"meanFluctuation"`, a sum of two.
 */
export type ApproximationKind = (typeof APPROXIMATIONS)[number];

/**
 * An approximation of a layer's exact block over a recorded pass: `fit`, `damp`, then `solve` as often as wanted.
 *
 * @throws ArgumentError for an unknown kind.
 */
export function createApproximation(
  manager: PipelineManager,
  layer: LayerShape,
  kind: ApproximationKind,
): Approximation {
  switch (kind) {
    case "diagonal":
      return new DiagonalApproximation(manager, layer);
    case "expand":
    case "reduce":
    case "kfoc":
      return new KroneckerApproximation(manager, layer, kind);
    case "expandFactored":
      return new KroneckerApproximation(manager, layer, "expand", { damping: "factored" });
    case "ekfac":
      return new EkfacApproximation(manager, layer);
    case "meanFluctuation":
      return new MeanFluctuationApproximation(manager, layer);
    default: {
      const known = APPROXIMATIONS.join(", ");
      throw new ArgumentError("createApproximation", "kind", `must be one of ${known}, got ${String(kind)}`);
    }
  }
}
