/** Damping of a Kronecker-factored curvature, factored and exact. */
import { ArgumentError } from "../errors.js";
import { type Eigh, eigh } from "./eigh.js";
import { matmul } from "./matmul.js";
import { type Matrix, requireShape } from "./matrix.js";

/** Tikhonov damping split over two factors. */
export interface PiDamping {
  /** π, the ratio of the two factors' mean scales. */
  pi: number;
  /** π√λ, to add to the diagonal of Ā. */
  a: number;
  /** √λ/π, to add to the diagonal of B̄. */
  b: number;
}

/**
 * Splits Tikhonov damping λ over the factors, π² = (tr Ā / in) / (tr B̄ / out) (Martens & Grosse 2015, §6.3), so that
 * a·b = λ and the result does not change when a scale is moved from one factor to the other. `inputs` and `outputs` are
 * the sizes of Ā and B̄. Where a trace is zero, negative or not finite, π is 1.
 *
 * @throws ArgumentError for a λ that is negative or not finite.
 */
export function piDamping(
  traceA: number,
  inputs: number,
  traceB: number,
  outputs: number,
  lambda: number,
): PiDamping {
  requireDamping("piDamping", lambda);
  const ratio = traceA / inputs / (traceB / outputs);
  const usable = traceA > 0 && traceB > 0 && Number.isFinite(ratio) && ratio > 0;
  const pi = usable ? Math.sqrt(ratio) : 1;
  const root = Math.sqrt(lambda);
  return { pi, a: pi * root, b: root / pi };
}

/**
 * (Ā ⊗ B̄ + λI)⁻¹ applied to G (out × in): Q_B [(Q_B' G Q_A) / (λ_B λ_A' + λ)] Q_A'. Plain Tikhonov damping of the
 * Kronecker product; the factored form adds the cross terms π√λ I ⊗ B̄ + Ā ⊗ (√λ/π) I on top. Directions whose damped
 * eigenvalue is zero are left out. Negative eigenvalues from rounding count as zero.
 *
 * @throws ArgumentError for a λ that is negative or not finite, ShapeError for a G of another shape.
 */
export function exactTikhonov(A: Matrix | Eigh, G: Matrix, B: Matrix | Eigh, lambda: number): Matrix {
  requireDamping("exactTikhonov", lambda);
  const a = "vectors" in A ? A : eigh(A);
  const b = "vectors" in B ? B : eigh(B);
  requireShape("exactTikhonov", "G", G, b.values.length, a.values.length);
  const M = matmul(matmul(b.vectors, G, { transposeA: true }), a.vectors);
  for (let o = 0; o < M.rows; o++) {
    for (let i = 0; i < M.cols; i++) {
      const value = Math.max(b.values[o]!, 0) * Math.max(a.values[i]!, 0) + lambda;
      M.data[o * M.cols + i] = value > 0 ? M.data[o * M.cols + i]! / value : 0;
    }
  }
  return matmul(matmul(b.vectors, M), a.vectors, { transposeB: true });
}

/** @throws ArgumentError unless lambda is a finite number that is not negative. */
export function requireDamping(operation: string, lambda: number): void {
  if (!(lambda >= 0 && Number.isFinite(lambda))) {
    throw new ArgumentError(
      operation,
      "damping",
      `must be a finite number that is not negative, got ${lambda}`,
    );
  }
}
