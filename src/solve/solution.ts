import type { Matrix } from "../reference/index.js";
import type { ConvolutionMethod, LinearMethod } from "./problem.js";

/** What one Newton step found out. Matrices are f64; a step that could not be taken is undefined, and so is what follows it. */
export interface NewtonSolution {
  /** J at the W passed in, in f64. */
  readonly lossBefore: number;
  /** J after the step, in f64. */
  readonly lossAfter: number | undefined;
  /** ∂J/∂W at the W passed in, as the GPU has it. */
  readonly gradient: Matrix;
  /** The change of W, or of U with a tiling. */
  readonly step: Matrix | undefined;
  /** W after the step. */
  readonly W: Matrix | undefined;
  /** Of the Hessian, in f64; undefined where it was not formed for it. */
  readonly rank: number | undefined;
  readonly method: LinearMethod | ConvolutionMethod;
  /** Who computed, in words. */
  readonly adapter: string;
  /** "ok", or what is to be known about the step or its absence. */
  readonly status: string;
  /** Of conjugate gradients, all rounds together; undefined where there were none. */
  readonly iterations: number | undefined;
  /** How far f64 went into it; undefined where nothing was refined. */
  readonly refinement: Refinement | undefined;
}

/** Rounds of refinement, and the relative residual in f64 of the equation that the step solves. */
export interface Refinement {
  readonly rounds: number;
  readonly residual: number;
}

export interface LinearSolution extends NewtonSolution {
  readonly method: LinearMethod;
  /** Σ A_iA_i' and Σ B_iB_i'; with a tiling K the second is K'BB'K. */
  readonly AAt: Matrix;
  readonly BBt: Matrix;
  /** Of the damped factors, pseudo-inverses where they are singular; undefined where the method does not have them. */
  readonly AAtInverse: Matrix | undefined;
  readonly BBtInverse: Matrix | undefined;
  /** Of AAt and BBt, in f64. */
  readonly ranks: readonly [number, number];
  /** U after the step, where W = K U. */
  readonly U: Matrix | undefined;
}

/** Gradient, step and W are O × (C·kh·kw [+ 1]), the bias last. */
export interface ConvolutionSolution extends NewtonSolution {
  readonly method: ConvolutionMethod;
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
