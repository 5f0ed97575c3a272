/** Rank and range of a Hessian that is small enough to be formed in f64. */
import {
  type CurvatureOperator,
  denseHessian,
  eigh,
  type Matrix,
  matmul,
  matrix,
  pinv,
  rankTolerance,
  unvec,
  vec,
} from "../reference/index.js";

/** Unknowns up to which the Hessian is formed for this: its eigenvalues take about a second there. */
const MOST = 300;

export interface Range {
  rank: number;
  /** Undefined where the rank is full. */
  project: ((delta: Matrix) => Matrix) | undefined;
}

/**
 * Onto the range of BB' ⊗ AA', in which that of Σ A_iA_i' ⊗ B_iB_i' lies: what can be said of a Hessian that is too large
 * to be formed.
 */
export function factorProjection(AAt: Matrix, BBt: Matrix): (delta: Matrix) => Matrix {
  const onto = (S: Matrix) => matmul(pinv(S).inverse, S);
  const [left, right] = [onto(BBt), onto(AAt)];
  return (delta) => matmul(matmul(left, delta), right);
}

/** Undefined where the Hessian is too large. */
export function rangeOf(operator: CurvatureOperator): Range | undefined {
  const n = operator.shape[0] * operator.shape[1];
  if (n > MOST) return undefined;
  const { values, vectors } = eigh(denseHessian(operator));
  const floor = rankTolerance(n) * Math.max(values[n - 1] ?? 0, 0);
  const rank = values.filter((value) => value > floor).length;
  if (rank === n) return { rank, project: undefined };
  const Q = matrix(n, rank);
  for (let i = 0; i < n; i++) {
    for (let k = 0; k < rank; k++) Q.data[i * rank + k] = vectors.data[i * n + n - rank + k]!;
  }
  const project = (delta: Matrix) =>
    rank === 0
      ? matrix(delta.rows, delta.cols)
      : unvec(matmul(Q, matmul(Q, vec(delta), { transposeA: true })), delta.rows, delta.cols);
  return { rank, project };
}
