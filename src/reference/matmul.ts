/** f64 matrix product, the twin of the GPU operation `matmul`. */
import { ShapeError } from "../errors.js";
import { type Matrix, matrix, shapeOf, transpose } from "./matrix.js";

/** Options of `matmul`. */
export interface MatmulOptions {
  /** Use A' instead of A. */
  transposeA?: boolean;
  /** Use B' instead of B. */
  transposeB?: boolean;
  /** Factor on the product; defaults to 1. */
  alpha?: number;
}

/**
 * alpha · op(A) · op(B), where op transposes when asked. op(A) is m × k, op(B) is k × n, the result m × n.
 * Each element is one f64 sum over k in rising order; its relative error is at most k·2⁻⁵³ of Σ|a||b|.
 *
 * @throws ShapeError when the inner sizes differ.
 */
export function matmul(A: Matrix, B: Matrix, options: MatmulOptions = {}): Matrix {
  const { transposeA = false, transposeB = false, alpha = 1 } = options;
  const a = transposeA ? transpose(A) : A;
  const b = transposeB ? transpose(B) : B;
  if (a.cols !== b.rows) {
    const expected = transposeB ? ["n", a.cols] : [a.cols, "n"];
    throw new ShapeError("matmul", "B", shapeOf(B), expected, "make the inner sizes agree");
  }
  const out = matrix(a.rows, b.cols);
  const n = b.cols;
  for (let i = 0; i < a.rows; i++) {
    const row = out.data.subarray(i * n, (i + 1) * n);
    for (let k = 0; k < a.cols; k++) {
      const f = a.data[i * a.cols + k]!;
      const base = k * n;
      for (let j = 0; j < n; j++) row[j]! += f * b.data[base + j]!;
    }
  }
  if (alpha !== 1) for (let k = 0; k < out.data.length; k++) out.data[k]! *= alpha;
  return out;
}
