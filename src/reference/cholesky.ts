/** Cholesky factorisation of a symmetric positive definite matrix, with clamped pivots as data. */
import { type Matrix, matrix, requireShape, requireSquare } from "./matrix.js";
import { isFiniteMatrix } from "./reduce.js";

/** Bits of a status word. They are data: a factor that fails costs its layer one refresh, not the whole run. */
export const STATUS_OK = 0;
/** A pivot was at or below the floor and was raised to it: the matrix is not positive definite to working precision. */
export const STATUS_NOT_POSITIVE_DEFINITE = 1;
/** The input holds NaN or an infinity; the result is zero. */
export const STATUS_NON_FINITE = 2;
/** The damping asked for is below what f32 can resolve (`dampingFloor`). A warning: the result is still the one asked for. */
export const STATUS_DAMPING_BELOW_FLOOR = 4;

/** Options of `cholesky`. */
export interface CholeskyOptions {
  /**
   * Pivots at or below `pivotFloor · max diagonal` are raised to that value; defaults to 4·n·2⁻⁵². Pass the f32 value
   * to follow a GPU kernel's decisions.
   */
  pivotFloor?: number;
}

/** A factorisation and how far it is to be trusted. */
export interface CholeskyResult {
  /** Lower triangular L with S = L L' (of the clamped S when `status` has bit 1). Zeros above the diagonal. */
  lower: Matrix;
  /** `STATUS_OK`, `STATUS_NOT_POSITIVE_DEFINITE` or `STATUS_NON_FINITE` (then `lower` is zero). */
  status: number;
  /** Smallest pivot before clamping (a pivot is the square of a diagonal element of L); NaN for non-finite input. */
  minPivot: number;
  /** Index of the first clamped pivot, −1 when there is none. */
  firstClampedPivot: number;
}

/**
 * S = L L' by rows; only the lower triangle of S (n × n) is read.
 *
 * @throws ShapeError when S is not square.
 */
export function cholesky(S: Matrix, options: CholeskyOptions = {}): CholeskyResult {
  requireSquare("cholesky", "S", S);
  const n = S.rows;
  const lower = matrix(n, n);
  if (!isFiniteMatrix(S)) {
    return { lower, status: STATUS_NON_FINITE, minPivot: Number.NaN, firstClampedPivot: -1 };
  }
  let largest = 0;
  for (let i = 0; i < n; i++) largest = Math.max(largest, S.data[i * n + i]!);
  const relative = options.pivotFloor ?? 4 * n * 2 ** -52;
  const floor = largest > 0 ? relative * largest : relative;
  const L = lower.data;
  let minPivot = Number.POSITIVE_INFINITY;
  let firstClampedPivot = -1;
  for (let i = 0; i < n; i++) {
    for (let j = 0; j <= i; j++) {
      let value = S.data[i * n + j]!;
      for (let k = 0; k < j; k++) value -= L[i * n + k]! * L[j * n + k]!;
      if (i !== j) {
        L[i * n + j] = value / L[j * n + j]!;
        continue;
      }
      minPivot = Math.min(minPivot, value);
      if (!(value > floor)) {
        if (firstClampedPivot < 0) firstClampedPivot = i;
        value = floor;
      }
      L[i * n + i] = Math.sqrt(value);
    }
  }
  const status = firstClampedPivot < 0 ? STATUS_OK : STATUS_NOT_POSITIVE_DEFINITE;
  return { lower, status, minPivot, firstClampedPivot };
}

/**
 * X with L X = B: forward substitution. L is n × n lower triangular, B is n × m.
 *
 * @throws ShapeError for an L that is not square or a B of another height.
 */
export function solveLower(L: Matrix, B: Matrix): Matrix {
  requireSquare("solveLower", "L", L);
  requireShape("solveLower", "B", B, L.rows, B.cols);
  const n = L.rows;
  const m = B.cols;
  const out = matrix(n, m, B.data.slice());
  for (let i = 0; i < n; i++) {
    for (let k = 0; k < i; k++) {
      const f = L.data[i * n + k]!;
      if (f !== 0) for (let j = 0; j < m; j++) out.data[i * m + j]! -= f * out.data[k * m + j]!;
    }
    for (let j = 0; j < m; j++) out.data[i * m + j]! /= L.data[i * n + i]!;
  }
  return out;
}

/**
 * X with L' X = B: back substitution. L is n × n lower triangular, B is n × m.
 *
 * @throws ShapeError for an L that is not square or a B of another height.
 */
export function solveLowerTransposed(L: Matrix, B: Matrix): Matrix {
  requireSquare("solveLowerTransposed", "L", L);
  requireShape("solveLowerTransposed", "B", B, L.rows, B.cols);
  const n = L.rows;
  const m = B.cols;
  const out = matrix(n, m, B.data.slice());
  for (let i = n - 1; i >= 0; i--) {
    for (let k = i + 1; k < n; k++) {
      const f = L.data[k * n + i]!;
      if (f !== 0) for (let j = 0; j < m; j++) out.data[i * m + j]! -= f * out.data[k * m + j]!;
    }
    for (let j = 0; j < m; j++) out.data[i * m + j]! /= L.data[i * n + i]!;
  }
  return out;
}
