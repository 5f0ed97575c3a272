// How many Kronecker products a matrix is.
import { eigh, gram, type Matrix, matrix } from "kfac-webgpu/reference";

/**
 * The squared singular values of H rearranged so that a Kronecker product A ⊗ B becomes vec(A) vec(B)' (Van Loan and
 * Pitsianis 1993), largest first, as shares of ‖H‖². The nearest sum of r Kronecker products misses what is behind the
 * first r: its relative error is the root of the sum of those shares. H is on column-major vec of out × in.
 */
export function kroneckerTerms(H: Matrix, out: number, inputs: number): number[] {
  // One row for each place in B (out²), one column for each place in A (in²).
  const rearranged = matrix(out * out, inputs * inputs);
  for (let j = 0; j < inputs; j++) {
    for (let i = 0; i < out; i++) {
      for (let l = 0; l < inputs; l++) {
        for (let k = 0; k < out; k++) {
          const value = H.data[(j * out + i) * H.cols + l * out + k]!;
          rearranged.data[(i * out + k) * rearranged.cols + j * inputs + l] = value;
        }
      }
    }
  }
  const { values } = eigh(gram({ A: rearranged }));
  const squares = Array.from(values, (value) => Math.max(0, value)).reverse();
  const total = squares.reduce((sum, value) => sum + value, 0);
  return squares.map((value) => (total > 0 ? value / total : 0));
}

/** How many terms it takes to come within `error` of H (relative, Frobenius). */
export function termsWithin(shares: readonly number[], error: number): number {
  let left = 1;
  for (const [index, share] of shares.entries()) {
    if (left <= error * error) return index;
    left -= share;
  }
  return shares.length;
}
