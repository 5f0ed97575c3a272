/**
 * Singular factors: S⁺ = Q (Q'SQ)⁻¹ Q' for any basis Q of S's range, so that a problem with a singular factor becomes a
 * smaller one without.
 */

import { toF32, toF64 } from "../host/index.js";
import { type Matrix, matmul, matrix, scale, trace } from "../reference/index.js";
import type { Arithmetic } from "./arithmetic.js";

/**
 * A basis of the range of a symmetric positive semi-definite S of this rank, n × rank with columns of length 1 (one of
 * zeros for rank 0):
 * eigenvectors from the GPU, in f32, times S in f64, which leaves nothing of them outside the range.
 */
export async function rangeBasis(gpu: Arithmetic, S: Matrix, rank: number): Promise<Matrix> {
  const n = S.rows;
  if (rank === 0) return matrix(n, 1);
  const size = trace(S) || 1;
  const { vectors } = await gpu.eigh(toF32(scale(S, 1 / size)));
  const top = matrix(n, rank);
  const all = toF64(vectors);
  for (let i = 0; i < n; i++) {
    for (let k = 0; k < rank; k++) top.data[i * rank + k] = all.data[i * n + n - rank + k]!;
  }
  const Q = matmul(S, top);
  const squares = new Float64Array(rank);
  Q.data.forEach((x, k) => {
    squares[k % rank]! += x * x;
  });
  return { ...Q, data: Q.data.map((x, k) => x / Math.sqrt(squares[k % rank]!)) };
}

/** Q' M. */
export function into(Q: Matrix, M: Matrix): Matrix {
  return matmul(Q, M, { transposeA: true });
}
