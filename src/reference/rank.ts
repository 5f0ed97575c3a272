/** Numerical rank and pseudo-inverse of symmetric positive semi-definite matrices. */
import { type Eigh, eigh } from "./eigh.js";
import { type Matrix, matrix } from "./matrix.js";

/** Eigenvalues at or below `n · 2⁻⁵² · 16 · λ_max` count as zero unless another relative tolerance is given. */
export function rankTolerance(n: number): number {
  return 16 * n * 2 ** -52;
}

/**
 * Number of eigenvalues of the n × n matrix S above `tolerance · λ_max`. For S = AA' the tolerance is on the squares of
 * A's singular values.
 *
 * @throws ShapeError when S is not square, ArgumentError when it holds NaN or infinity.
 */
export function rank(S: Matrix, tolerance = rankTolerance(S.rows)): number {
  return countAbove(eigh(S), tolerance);
}

function countAbove({ values }: Eigh, tolerance: number): number {
  const largest = values[values.length - 1] ?? 0;
  if (!(largest > 0)) return 0;
  return values.filter((v) => v > tolerance * largest).length;
}

/** A pseudo-inverse and the rank it has. */
export interface PinvResult {
  /** S⁺, n × n and symmetric. */
  inverse: Matrix;
  rank: number;
}

/**
 * Moore–Penrose inverse of a symmetric positive semi-definite S; eigenvalues at or below tolerance·λ_max are dropped.
 *
 * @throws ShapeError when S is not square, ArgumentError when it holds NaN or infinity.
 */
export function pinv(S: Matrix, tolerance = rankTolerance(S.rows)): PinvResult {
  const decomposition = eigh(S);
  const count = countAbove(decomposition, tolerance);
  const n = S.rows;
  const V = decomposition.vectors.data;
  const inverse = matrix(n, n);
  for (let k = n - count; k < n; k++) {
    const w = 1 / decomposition.values[k]!;
    for (let i = 0; i < n; i++) {
      const f = w * V[i * n + k]!;
      for (let j = 0; j <= i; j++) inverse.data[i * n + j]! += f * V[j * n + k]!;
    }
  }
  for (let i = 0; i < n; i++) for (let j = 0; j < i; j++) inverse.data[j * n + i] = inverse.data[i * n + j]!;
  return { inverse, rank: count };
}
