/**
 * Iterative refinement: the GPU's f32 results are corrected by what the f64 reference finds missing in them, the
 * corrections again computed by the GPU. Measured on lavapipe with factors of condition 1e5 and 5 to 100 rows: the
 * relative error of an inverse falls from 4e-3 to 2e-12, and that of the step is 2e-10.
 */

import { toF32, toF64 } from "../host/index.js";
import {
  add,
  identity,
  type Matrix,
  matmul,
  matrix,
  norm,
  scale,
  subtract,
  symmetrize,
} from "../reference/index.js";
import type { Arithmetic } from "./arithmetic.js";

/** Rounds after which no more is gained, and the relative residual that is as good as f64 data deserve. */
const MOST_ROUNDS = 4;
/** The same for solutions by conjugate gradients, which gain less in a round. */
const MOST_SOLUTIONS = 12;
const GOOD = 1e-13;

export interface Refined {
  value: Matrix;
  /** ‖what is missing‖ / ‖right-hand side‖, in f64. */
  residual: number;
  rounds: number;
}

/** X ≈ S⁻¹ for a symmetric S: X ← X + X (I − S X), the residual in f64, its product with X on the GPU. */
export async function refineInverse(gpu: Arithmetic, S: Matrix, start: Matrix): Promise<Refined> {
  const I = identity(S.rows);
  const missing = (X: Matrix) => subtract(I, matmul(S, X));
  return refine(start, missing, norm(I), async (X, R) => {
    // Scaled to 1, so that a small residual does not fall under f32's smallest numbers.
    const size = norm(R);
    const product = await gpu.matmul(toF32(X), toF32(scale(R, 1 / size)));
    return symmetrize(add(X, scale(toF64(product), size)));
  });
}

/** δ with P δ Q = R for symmetric P and Q, given their inverses: δ ← δ + P⁻¹ (R − P δ Q) Q⁻¹. */
export async function refineSandwich(
  gpu: Arithmetic,
  problem: { P: Matrix; Q: Matrix; R: Matrix; PInverse: Matrix; QInverse: Matrix },
  start: Matrix,
): Promise<Refined> {
  const { P, Q, R, PInverse, QInverse } = problem;
  const [left, right] = [toF32(PInverse), toF32(QInverse)];
  const missing = (delta: Matrix) => subtract(R, matmul(matmul(P, delta), Q));
  return refine(start, missing, norm(R), async (delta, residual) => {
    const size = norm(residual);
    const correction = await gpu.sandwich(left, toF32(scale(residual, 1 / size)), right);
    return add(delta, scale(toF64(correction), size));
  });
}

/**
 * δ with H δ = R: δ ← δ + (the GPU's solution for R − H δ, which f64 finds missing). `project` takes out of a
 * correction what does not belong into δ.
 */
export async function refineSolution(
  missing: (delta: Matrix) => Matrix,
  shape: { rows: number; cols: number },
  solve: (R: Matrix) => Promise<Matrix>,
  project: (delta: Matrix) => Matrix = (delta) => delta,
): Promise<Refined> {
  const start = matrix(shape.rows, shape.cols);
  const size = norm(missing(start));
  const correct = async (delta: Matrix, residual: Matrix) => {
    const length = norm(residual);
    return add(delta, project(scale(await solve(scale(residual, 1 / length)), length)));
  };
  return refine(start, missing, size, correct, MOST_SOLUTIONS);
}

/** Goes on while a round at least halves the residual. */
async function refine(
  start: Matrix,
  missing: (value: Matrix) => Matrix,
  size: number,
  correct: (value: Matrix, residual: Matrix) => Promise<Matrix>,
  most = MOST_ROUNDS,
): Promise<Refined> {
  const relative = (residual: Matrix) => (size > 0 ? norm(residual) / size : norm(residual));
  let value = start;
  let residual = missing(value);
  let error = relative(residual);
  for (let rounds = 0; rounds < most; rounds++) {
    if (error <= GOOD) return { value, residual: error, rounds };
    const next = await correct(value, residual);
    const nextResidual = missing(next);
    const nextError = relative(nextResidual);
    if (!(nextError < 0.5 * error)) return { value, residual: error, rounds };
    [value, residual, error] = [next, nextResidual, nextError];
  }
  return { value, residual: error, rounds: most };
}
