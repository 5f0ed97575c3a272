/** What `kfac newton` finds out about a linear or piecewise linear network. */

import type { LinearMethod } from "../cli/newton/input.js";
import type { Matrix } from "../reference/index.js";

export interface NewtonReport {
  lossBefore: number;
  /** Absent when there is no step. */
  lossAfter: number | undefined;
  gradient: Matrix;
  /** Σ A_iA_i' and Σ B_iB_i'; with a tiling the second is K'BB'K. */
  AAt: Matrix;
  BBt: Matrix;
  /** Of the damped factors, pseudo-inverses where they are singular; absent where the method does not have them. */
  AAtInverse: Matrix | undefined;
  BBtInverse: Matrix | undefined;
  /** The change of W, or of U with a tiling. */
  step: Matrix | undefined;
  /** W after the step. */
  W: Matrix | undefined;
  /** U after the step, where W = K U. */
  U: Matrix | undefined;
  /** Of AAt and BBt, in f64. */
  ranks: [number, number];
  /** Of the Hessian, in f64; absent where it was not formed for it. */
  rank: number | undefined;
  method: LinearMethod;
  adapter: string;
  /** "ok", or what is to be known about the result or its absence. */
  status: string;
  /** Of conjugate gradients, all rounds together. */
  iterations: number | undefined;
  /** How far f64 went into it: rounds of refinement, and the relative residual of the step's equation. */
  refinement: { rounds: number; residual: number } | undefined;
}

/** A step whose equation holds no better than this is not an answer. */
export const USABLE_RESIDUAL = 1e-3;

/** "minimum norm: AA' has rank 2 of 3", or undefined where nothing is singular. */
export function minimumNorm(
  parts: readonly { name: string; rank: number; of: number; bound?: boolean }[],
): string | undefined {
  const singular = parts.filter(({ rank, of }) => rank < of);
  if (singular.length === 0) return undefined;
  const words = singular.map(
    ({ name, rank, of, bound }) => `${name} has rank ${bound ? "at most " : ""}${rank} of ${of}`,
  );
  return `minimum norm: ${words.join(", ")}`;
}
