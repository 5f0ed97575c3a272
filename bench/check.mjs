// Checks of outputs in f64. A product is checked by what it does to a vector of random signs, which costs a product of
// matrix and vector instead of a second product of matrices and misses a wrong row with probability 2⁻¹ a vector.
import { generator } from "./data.mjs";

const VECTORS = 3;

/**
 * @typedef {ArrayLike<number>} Numbers of a matrix, row-major, or of a vector
 * @typedef {(x: Numbers) => Numbers} Operator
 */

/** y = M x. @param {Numbers} M @param {number} rows @param {number} cols @param {Numbers} x */
function apply(M, rows, cols, x) {
  const y = new Float64Array(rows);
  for (let i = 0; i < rows; i++) {
    let sum = 0;
    for (let j = 0, e = i * cols; j < cols; j++, e++) sum += M[e] * x[j];
    y[i] = sum;
  }
  return y;
}

/** y = M' x. @param {Numbers} M @param {number} rows @param {number} cols @param {Numbers} x */
function applyTransposed(M, rows, cols, x) {
  const y = new Float64Array(cols);
  for (let i = 0; i < rows; i++) {
    const xi = x[i];
    for (let j = 0, e = i * cols; j < cols; j++, e++) y[j] += M[e] * xi;
  }
  return y;
}

/** @param {number} length @param {number} seed */
function signs(length, seed) {
  const next = generator(seed);
  return Float64Array.from({ length }, () => (next() < 0.5 ? -1 : 1));
}

/**
 * Largest ‖actual − expected‖ / ‖expected‖ over some random vectors. NaN counts as infinite.
 * @param {number} length of the vectors
 * @param {Operator} actual @param {Operator} expected
 */
function worst(length, actual, expected) {
  let error = 0;
  for (let k = 0; k < VECTORS; k++) {
    const x = signs(length, 1000 + k);
    const [a, b] = [actual(x), expected(x)];
    let gap = 0;
    let size = 0;
    for (let i = 0; i < a.length; i++) {
      gap += (a[i] - b[i]) ** 2;
      size += b[i] ** 2;
    }
    const relative = Math.sqrt(gap / size);
    error = Math.max(error, Number.isNaN(relative) ? Number.POSITIVE_INFINITY : relative);
  }
  return error;
}

/** Of S beside AA', A d × n. @param {Numbers} S @param {Numbers} A @param {number} d @param {number} n */
export const gramError = (S, A, d, n) =>
  worst(
    d,
    (x) => apply(S, d, d, x),
    (x) => apply(A, d, n, applyTransposed(A, d, n, x)),
  );

/**
 * Of C beside A B.
 * @param {Numbers} C @param {Numbers} A @param {Numbers} B
 * @param {number} m @param {number} k @param {number} n
 */
export const productError = (C, A, B, m, k, n) =>
  worst(
    n,
    (x) => apply(C, m, n, x),
    (x) => apply(A, m, k, apply(B, k, n, x)),
  );

/**
 * Of U beside P G Q.
 * @param {Numbers} U @param {Numbers} P @param {Numbers} G @param {Numbers} Q
 * @param {number} m @param {number} n
 */
export const sandwichError = (U, P, G, Q, m, n) =>
  worst(
    n,
    (x) => apply(U, m, n, x),
    (x) => apply(P, m, m, apply(G, m, n, apply(Q, n, n, x))),
  );

/** Residual: of S X beside I. @param {Numbers} X @param {Numbers} S @param {number} n */
export const inverseError = (X, S, n) =>
  worst(
    n,
    (x) => apply(S, n, n, apply(X, n, n, x)),
    (x) => x,
  );

/**
 * Of V Λ V' beside S, and of V'V beside I: the larger. Columns of V are the eigenvectors.
 * @param {Numbers} values @param {Numbers} V @param {Numbers} S @param {number} n
 */
export function eighError(values, V, S, n) {
  const decomposition = worst(
    n,
    (x) =>
      apply(
        V,
        n,
        n,
        applyTransposed(V, n, n, x).map((value, i) => value * values[i]),
      ),
    (x) => apply(S, n, n, x),
  );
  const orthogonality = worst(
    n,
    (x) => applyTransposed(V, n, n, apply(V, n, n, x)),
    (x) => x,
  );
  return Math.max(decomposition, orthogonality);
}
