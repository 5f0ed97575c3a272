import { ArgumentError } from "../errors.js";
import type { PipelineManager } from "../pipeline/index.js";
import type { Approximation } from "./approximation.js";
import { DiagonalApproximation } from "./diagonal.js";
import { EkfacApproximation } from "./ekfac.js";
import type { ExampleSource } from "./examples.js";
import { KroneckerApproximation } from "./kroneckerApproximation.js";
import { MeanFluctuationApproximation } from "./meanFluctuation.js";
import type { FisherOptions } from "./source.js";

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
 * An approximation of a layer's exact block over its last recorded pass: `fit`, `damp`, then `solve` as often as wanted.
 *
 * @throws ArgumentError for an unknown kind.
 */
export function createApproximation(
  manager: PipelineManager,
  layer: ExampleSource,
  fisher: FisherOptions,
  kind: ApproximationKind,
): Approximation {
  switch (kind) {
    case "diagonal":
      return new DiagonalApproximation(manager, layer, fisher);
    case "expand":
    case "reduce":
    case "kfoc":
      return new KroneckerApproximation(manager, layer, fisher, kind);
    case "expandFactored":
      return new KroneckerApproximation(manager, layer, fisher, "expand", { damping: "factored" });
    case "ekfac":
      return new EkfacApproximation(manager, layer, fisher);
    case "meanFluctuation":
      return new MeanFluctuationApproximation(manager, layer, fisher);
    default: {
      const known = APPROXIMATIONS.join(", ");
      throw new ArgumentError("createApproximation", "kind", `must be one of ${known}, got ${String(kind)}`);
    }
  }
}
