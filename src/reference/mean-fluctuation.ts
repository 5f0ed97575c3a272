/**
 * "Mean + fluctuation": a layer's curvature as the sum of two Kronecker products. With a_t = ā + ã_t and
 * b_t = b̄ + b̃_t the Jacobian of an output is Σ_t b_t a_t' = T b̄ā' + Σ_t b̃_t ã_t' exactly (cross terms vanish);
 * the first part is what "reduce" is made of, the second a centred "expand". Products between the two are dropped.
 */
import { type Approximation, centred, reduceFactors } from "./approximations.js";
import { piDamping, requireDamping } from "./damping.js";
import { eigh } from "./eigh.js";
import { gram } from "./gram.js";
import { matmul } from "./matmul.js";
import {
  add,
  addDiagonal,
  kronecker,
  type Matrix,
  matrix,
  requireShape,
  scale,
  transpose,
} from "./matrix.js";
import type { Factors } from "./network.js";
import type { PositionBlock } from "./operator.js";
import { rankTolerance } from "./rank.js";
import { trace } from "./reduce.js";
import { sandwich } from "./sandwich.js";

/**
 * "unbiased" (default) divides Σ_t ã_t ã_t' by T − 1: for inputs and derivatives that are independent of each other and
 * from position to position, E[(Σ_t b̃_t ã_t')²] has T − 1 equal terms, and so has the product of the factors. "plain"
 * divides by T, which is (T − 1)/T too small.
 */
export type FluctuationScale = "unbiased" | "plain";

/**
 * The factors of the fluctuations: Ã = (1/(N(T − 1))) Σ_i Σ_t ã_t ã_t' and B̃ = (1/N) Σ_i Σ_c Σ_t b̃_{t,c} b̃_{t,c}';
 * zero at one position. In terms of the other two pairs, Ã = T/(T − 1) (Ā_expand − Ā_reduce) and
 * B̃ = B̄_expand − B̄_reduce/T.
 */
export function fluctuationFactors(block: PositionBlock, by: FluctuationScale = "unbiased"): Factors {
  const T = block.A[0]!.cols;
  const count = by === "plain" ? T : Math.max(T - 1, 1);
  return {
    A: gram({ A: block.A.map(centred), alpha: 1 / (block.A.length * count) }),
    B: gram({ A: block.B.flat().map(centred), alpha: 1 / block.divisor }),
  };
}

/** The approximation from a layer's inputs and derivatives. */
export function meanFluctuation(block: PositionBlock, by: FluctuationScale = "unbiased"): Approximation {
  return kroneckerPair("meanFluctuation", reduceFactors(block), fluctuationFactors(block, by));
}

/**
 * A₁ ⊗ B₁ + A₂ ⊗ B₂ for positive semi-definite factors. `solve` inverts the sum through two generalised eigenproblems
 * (Martens & Grosse 2015, appendix B, there from the square roots of one pair; here from the sum of the two, so that
 * either may be singular). The damping is in the second product, by the π rule: (A₂ + π√λ I) ⊗ (B₂ + √λ/π I), which
 * is λI where A₂ or B₂ vanishes and adds cross terms elsewhere.
 *
 * @throws ShapeError for factors of different sizes; `solve` ArgumentError for a damping that is negative or not
 * finite.
 */
export function kroneckerPair(name: string, first: Factors, second: Factors): Approximation {
  const [out, inputs] = [first.B.rows, first.A.rows];
  requireShape(name, "second.A", second.A, inputs, inputs);
  requireShape(name, "second.B", second.B, out, out);
  return {
    name,
    shape: [out, inputs],
    apply(V) {
      requireShape(name, "V", V, out, inputs);
      return add(sandwich(first.B, V, first.A), sandwich(second.B, V, second.A));
    },
    solve(G, damping) {
      requireDamping(name, damping);
      requireShape(name, "G", G, out, inputs);
      const { a, b } = piDamping(trace(second.A), inputs, trace(second.B), out, damping);
      const right = jointDiagonal(first.A, addDiagonal(second.A, a));
      const left = jointDiagonal(first.B, addDiagonal(second.B, b));
      const M = matmul(matmul(left.inverse, G), right.inverse, { transposeB: true });
      const D = matrix(M.rows, M.cols);
      for (let k = 0; k < D.data.length; k++) {
        const o = Math.floor(k / M.cols);
        const i = k % M.cols;
        D.data[k] = left.first[o]! * right.first[i]! + left.second[o]! * right.second[i]!;
      }
      const floor = damping > 0 ? 0 : 1e-13 * D.data.reduce((x, y) => Math.max(x, y), 0);
      D.data.forEach((d, k) => {
        M.data[k] = d > floor ? M.data[k]! / d : 0;
      });
      return matmul(matmul(left.inverse, M, { transposeA: true }), right.inverse);
    },
    dense: () => add(kronecker(first.A, first.B), kronecker(second.A, second.B)),
  };
}

/** A basis in which two matrices are diagonal. */
export interface JointDiagonal {
  /** P⁺, r × n, with P⁺ X P⁺' diagonal for both matrices; r is the rank of their sum. */
  inverse: Matrix;
  /** The r diagonal elements of the first and of the second matrix, not negative. */
  first: Float64Array;
  second: Float64Array;
}

/**
 * One basis for two positive semi-definite n × n matrices: X = P diag(x) P', Y = P diag(y) P'. From the eigenvectors of
 * X whitened by X/tr X + Y/tr Y. Directions in which both vanish are left out.
 *
 * @throws ShapeError for matrices of different sizes.
 */
export function jointDiagonal(X: Matrix, Y: Matrix): JointDiagonal {
  requireShape("jointDiagonal", "Y", Y, X.rows, X.rows);
  const n = X.rows;
  const weight = (m: Matrix) => (trace(m) > 0 ? 1 / trace(m) : 0);
  const { values, vectors } = eigh(add(X, Y, weight(X), weight(Y)));
  const largest = Math.max(values[n - 1] ?? 0, 0);
  const kept = Array.from(values.keys()).filter((k) => values[k]! > rankTolerance(n) * largest);
  const whitener = matrix(kept.length, n);
  kept.forEach((k, r) => {
    for (let i = 0; i < n; i++) {
      whitener.data[r * n + i] = vectors.data[i * n + k]! / Math.sqrt(values[k]!);
    }
  });
  const inside = (m: Matrix, basis: Matrix) => matmul(matmul(basis, m), basis, { transposeB: true });
  const rotation = eigh(scale(inside(X, whitener), weight(X) || 1)).vectors;
  const inverse = matmul(transpose(rotation), whitener);
  const diagonalOf = (m: Matrix) => {
    const M = inside(m, inverse);
    return Float64Array.from({ length: kept.length }, (_, k) => Math.max(M.data[k * M.cols + k]!, 0));
  };
  return { inverse, first: diagonalOf(X), second: diagonalOf(Y) };
}
