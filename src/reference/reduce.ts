/** Reductions of a matrix to one number, the twin of the GPU operation `reduce`. All are finite only for finite input. */
import { type Matrix, requireShape, requireSquare } from "./matrix.js";

/** Compensated (Neumaier) sum: the error does not grow with the count. */
function compensatedSum(count: number, term: (k: number) => number): number {
  let sum = 0;
  let lost = 0;
  for (let k = 0; k < count; k++) {
    const x = term(k);
    const next = sum + x;
    lost += Math.abs(sum) >= Math.abs(x) ? sum - next + x : x - next + sum;
    sum = next;
  }
  return Number.isFinite(lost) ? sum + lost : sum;
}

/** Σ m_ij. */
export function sum(m: Matrix): number {
  return compensatedSum(m.data.length, (k) => m.data[k]!);
}

/**
 * Σ m_ii of a square m.
 *
 * @throws ShapeError when m is not square.
 */
export function trace(m: Matrix): number {
  requireSquare("trace", "m", m);
  return compensatedSum(m.rows, (i) => m.data[i * m.cols + i]!);
}

/**
 * ⟨a, b⟩ = Σ a_ij b_ij = tr(a'b).
 *
 * @throws ShapeError for different shapes.
 */
export function dot(a: Matrix, b: Matrix): number {
  requireShape("dot", "b", b, a.rows, a.cols);
  return compensatedSum(a.data.length, (k) => a.data[k]! * b.data[k]!);
}

/** Frobenius norm, scaled by the largest element so that it neither overflows nor underflows. */
export function norm(m: Matrix): number {
  const largest = maxAbs(m);
  if (largest === 0 || !Number.isFinite(largest)) return largest;
  return (
    largest *
    Math.sqrt(
      compensatedSum(m.data.length, (k) => {
        const x = m.data[k]! / largest;
        return x * x;
      }),
    )
  );
}

/** Largest |m_ij|; 0 for an empty matrix, NaN when an element is NaN. */
export function maxAbs(m: Matrix): number {
  let largest = 0;
  for (const x of m.data) {
    if (Number.isNaN(x)) return Number.NaN;
    largest = Math.max(largest, Math.abs(x));
  }
  return largest;
}

/** Number of elements that are NaN or infinite. */
export function countNonFinite(m: Matrix): number {
  let count = 0;
  for (const x of m.data) if (!Number.isFinite(x)) count++;
  return count;
}

/** True when every element is a finite number. */
export function isFiniteMatrix(m: Matrix): boolean {
  return countNonFinite(m) === 0;
}

/**
 * ‖actual − expected‖ / ‖expected‖ in the Frobenius norm; the absolute error where `expected` is zero.
 *
 * @throws ShapeError for different shapes.
 */
export function relativeError(actual: Matrix, expected: Matrix): number {
  requireShape("relativeError", "actual", actual, expected.rows, expected.cols);
  const difference = { ...expected, data: expected.data.map((x, k) => actual.data[k]! - x) };
  const size = norm(expected);
  return size === 0 ? norm(difference) : norm(difference) / size;
}
