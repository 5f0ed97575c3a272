/** Which derivatives in a network's outputs its curvature is made of, and their draws. */
import { ArgumentError } from "../errors.js";
import { type LossKind, lossGradient, lossSquareRootColumn, sampledGradient, type Targets } from "./loss.js";
import type { Matrix } from "./matrix.js";

/**
 * Where the columns of B_i come from:
 * - "exact": one column per output, from the square root of the loss's Hessian (the GGN, equal to the true Fisher);
 * - "monteCarlo": `samples` columns from targets drawn from the model (an unbiased estimate of the true Fisher);
 * - "empirical": one column from the true targets. Not the Fisher information; named for what it is.
 */
export type Fisher =
  | { kind: "exact" }
  | { kind: "monteCarlo"; seed: number; step: number; samples?: number; first?: number }
  | { kind: "empirical"; targets: Targets };

/**
 * The columns of each B_i at the network's outputs Z (N × C): matrices N × C whose row i belongs to example i, one for
 * each column, and what sums over examples and columns are divided by (N, or N·samples for "monteCarlo").
 *
 * @throws ArgumentError when `samples` is not a positive integer; ShapeError for targets that do not fit Z.
 */
export function curvatureStarts(
  kind: LossKind,
  Z: Matrix,
  fisher: Fisher,
): { starts: Matrix[]; divisor: number } {
  if (fisher.kind === "exact") {
    const starts = Array.from({ length: Z.cols }, (_, c) => lossSquareRootColumn(kind, Z, c));
    return { starts, divisor: Z.rows };
  }
  if (fisher.kind === "empirical") {
    return { starts: [lossGradient(kind, Z, fisher.targets)], divisor: Z.rows };
  }
  const { seed, step, samples = 1, first = 0 } = fisher;
  if (!(Number.isInteger(samples) && samples >= 1)) {
    throw new ArgumentError("curvatureStarts", "samples", `must be a positive integer, got ${samples}`);
  }
  const starts = Array.from({ length: samples }, (_, sample) =>
    sampledGradient(kind, Z, { seed, step, sample, first }),
  );
  return { starts, divisor: Z.rows * samples };
}
