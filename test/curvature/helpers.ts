import type { MatrixView } from "../../src/linalg/index.js";
import { piDamping } from "../../src/reference/damping.js";
import { type Matrix, matrix, transpose } from "../../src/reference/matrix.js";
import { batchFactors, type Factors as HostFactors } from "../../src/reference/network.js";
import { trace } from "../../src/reference/reduce.js";
import type { Random, TestContext } from "../harness/kernel-test.js";

/** Unit roundoff of f32. */
export const EPSILON = 2 ** -24;

/** Random f32 numbers, in f64. */
export function normals(random: Random, rows: number, cols: number, scale = 1): Matrix {
  const out = matrix(rows, cols);
  out.data.set(random.normals(rows * cols, scale));
  return out;
}

/** Where a matrix lies in its buffer; the rest of the buffer holds NaN, so reading past the view shows. */
export interface Place {
  offset?: number;
  /** Numbers between the end of a row and the next. */
  gap?: number;
  /** Numbers after the last row. */
  tail?: number;
}

export function upload(t: TestContext, M: Matrix, { offset = 0, gap = 0, tail = 0 }: Place = {}): MatrixView {
  const { rows, cols, data } = M;
  const stride = cols + gap;
  const all = new Float32Array(offset + rows * stride + tail).fill(Number.NaN);
  for (let i = 0; i < rows; i++) all.set(data.subarray(i * cols, (i + 1) * cols), offset + i * stride);
  return { buffer: t.upload(all), offset, rows, cols, stride };
}

/** A view to write to, in a buffer full of NaN. */
export function target(t: TestContext, rows: number, cols: number, place: Place = {}): MatrixView {
  return upload(t, { rows, cols, data: new Float64Array(rows * cols).fill(Number.NaN) }, place);
}

/** The numbers of a view, rows × cols without padding. */
export async function download(t: TestContext, view: MatrixView): Promise<Float32Array> {
  const { buffer, rows, cols, offset = 0, stride = cols } = view;
  const all = await t.download(buffer, { offset, length: (rows - 1) * stride + cols });
  const out = new Float32Array(rows * cols);
  for (let i = 0; i < rows; i++) out.set(all.subarray(i * stride, i * stride + cols), i * cols);
  return out;
}

/** Numbers of the view's buffer outside the view. */
export async function around(t: TestContext, view: MatrixView): Promise<Float32Array> {
  const { buffer, rows, cols, offset = 0, stride = cols } = view;
  const all = await t.download(buffer);
  return all.filter((_, k) => {
    const at = k - offset;
    return at < 0 || Math.floor(at / stride) >= rows || at % stride >= cols;
  });
}

/** Rows of a batch: inputs N × in and derivatives (N · columns) × out of each example's own loss. */
export interface Rows {
  A: Matrix;
  B: Matrix;
}

export function factorsOf({ A, B }: Rows): HostFactors {
  const divisor = A.rows;
  return batchFactors({ A: [A], B: [B], columns: B.rows / A.rows, divisor })[0]!;
}

/** Bound for U: the inverses' 0.1 κ 2⁻²⁴ each with some room, and the products' rounding. κ ≤ (tr + damping) / damping. */
export function updateBound({ A, B }: HostFactors, damping: number): number {
  const { a, b } = piDamping(trace(A), A.rows, trace(B), B.rows, damping);
  const kappa = (trace(A) + a) / a + (trace(B) + b) / b;
  return EPSILON * (kappa + 8 * Math.sqrt(A.rows + B.rows));
}

export { transpose };
