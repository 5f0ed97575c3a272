/**
 * Dense f64 matrices, row-major: the one data type of the reference. Element (i, j) is `data[i * cols + j]`.
 * Functions return new matrices unless their name or documentation says otherwise.
 */
import { ArgumentError, ShapeError } from "../errors.js";

/** Element (i, j) is `data[i * cols + j]`. */
export interface Matrix {
  readonly rows: number;
  readonly cols: number;
  readonly data: Float64Array;
}

/** The shape as `[rows, cols]`. */
export function shapeOf(m: Matrix): [number, number] {
  return [m.rows, m.cols];
}

/**
 * A matrix of zeros, or of `data` (rows·cols numbers, row-major). A `Float64Array` is wrapped without a copy, any other
 * array is copied.
 *
 * @throws ArgumentError for sizes that are not non-negative integers, ShapeError for a wrong length.
 */
export function matrix(rows: number, cols: number, data?: ArrayLike<number>): Matrix {
  for (const [name, value] of [
    ["rows", rows],
    ["cols", cols],
  ] as const) {
    if (!Number.isSafeInteger(value) || value < 0) {
      throw new ArgumentError("matrix", name, `must be a non-negative integer, got ${value}`);
    }
  }
  if (data === undefined) return { rows, cols, data: new Float64Array(rows * cols) };
  if (data.length !== rows * cols) {
    throw new ShapeError("matrix", "data", [data.length], [rows * cols], "pass rows × cols numbers");
  }
  return { rows, cols, data: data instanceof Float64Array ? data : Float64Array.from(data) };
}

/**
 * A matrix from an array of equally long rows. No rows give the 0 × 0 matrix.
 *
 * @throws ShapeError for rows of different lengths.
 */
export function fromRows(rows: readonly (readonly number[])[]): Matrix {
  const cols = rows[0]?.length ?? 0;
  const out = matrix(rows.length, cols);
  rows.forEach((row, i) => {
    if (row.length !== cols) {
      throw new ShapeError("fromRows", `row ${i}`, [row.length], [cols], "make all rows equally long");
    }
    out.data.set(row, i * cols);
  });
  return out;
}

/** The rows as plain arrays. */
export function toRows(m: Matrix): number[][] {
  return Array.from({ length: m.rows }, (_, i) => Array.from(m.data.subarray(i * m.cols, (i + 1) * m.cols)));
}

/** n × n identity times `scale`. */
export function identity(n: number, scale = 1): Matrix {
  const out = matrix(n, n);
  for (let i = 0; i < n; i++) out.data[i * n + i] = scale;
  return out;
}

/** Square matrix with the given diagonal. */
export function diagonal(values: ArrayLike<number>): Matrix {
  const n = values.length;
  const out = matrix(n, n);
  for (let i = 0; i < n; i++) out.data[i * n + i] = values[i]!;
  return out;
}

/** A copy with its own storage. */
export function copy(m: Matrix): Matrix {
  return { rows: m.rows, cols: m.cols, data: m.data.slice() };
}

/** m'. */
export function transpose(m: Matrix): Matrix {
  const out = matrix(m.cols, m.rows);
  for (let i = 0; i < m.rows; i++) {
    for (let j = 0; j < m.cols; j++) out.data[j * m.rows + i] = m.data[i * m.cols + j]!;
  }
  return out;
}

/**
 * The element (i, j).
 *
 * @throws ArgumentError outside the matrix.
 */
export function at(m: Matrix, i: number, j: number): number {
  if (!(i >= 0 && i < m.rows && j >= 0 && j < m.cols)) {
    throw new ArgumentError("at", "index", `(${i}, ${j}) must lie inside a ${m.rows} × ${m.cols} matrix`);
  }
  return m.data[i * m.cols + j]!;
}

/**
 * alpha·a + beta·b; both of the same shape.
 *
 * @throws ShapeError for different shapes.
 */
export function add(a: Matrix, b: Matrix, alpha = 1, beta = 1): Matrix {
  requireShape("add", "b", b, a.rows, a.cols);
  const out = matrix(a.rows, a.cols);
  for (let k = 0; k < out.data.length; k++) out.data[k] = alpha * a.data[k]! + beta * b.data[k]!;
  return out;
}

/**
 * a − b.
 *
 * @throws ShapeError for different shapes.
 */
export function subtract(a: Matrix, b: Matrix): Matrix {
  requireShape("subtract", "b", b, a.rows, a.cols);
  return add(a, b, 1, -1);
}

/** alpha·m. */
export function scale(m: Matrix, alpha: number): Matrix {
  const out = copy(m);
  for (let k = 0; k < out.data.length; k++) out.data[k]! *= alpha;
  return out;
}

/**
 * Element-wise product.
 *
 * @throws ShapeError for different shapes.
 */
export function hadamard(a: Matrix, b: Matrix): Matrix {
  requireShape("hadamard", "b", b, a.rows, a.cols);
  const out = copy(a);
  for (let k = 0; k < out.data.length; k++) out.data[k]! *= b.data[k]!;
  return out;
}

/**
 * m + lambda·I for a square m.
 *
 * @throws ShapeError when m is not square.
 */
export function addDiagonal(m: Matrix, lambda: number): Matrix {
  requireSquare("addDiagonal", "m", m);
  const out = copy(m);
  for (let i = 0; i < m.rows; i++) out.data[i * m.cols + i]! += lambda;
  return out;
}

/**
 * (m + m')/2 for a square m.
 *
 * @throws ShapeError when m is not square.
 */
export function symmetrize(m: Matrix): Matrix {
  requireSquare("symmetrize", "m", m);
  return add(m, transpose(m), 0.5, 0.5);
}

/** m with a last column of ones: rows of inputs to rows of inputs with the bias input. */
export function appendOnesColumn(m: Matrix): Matrix {
  const out = matrix(m.rows, m.cols + 1);
  for (let i = 0; i < m.rows; i++) {
    out.data.set(m.data.subarray(i * m.cols, (i + 1) * m.cols), i * out.cols);
    out.data[i * out.cols + m.cols] = 1;
  }
  return out;
}

/** m without its last column, the inverse of `appendOnesColumn`. */
export function dropLastColumn(m: Matrix): Matrix {
  const out = matrix(m.rows, m.cols - 1);
  for (let i = 0; i < m.rows; i++) {
    out.data.set(m.data.subarray(i * m.cols, i * m.cols + out.cols), i * out.cols);
  }
  return out;
}

/** Row i as a 1 × cols matrix (a copy). */
export function rowOf(m: Matrix, i: number): Matrix {
  return { rows: 1, cols: m.cols, data: m.data.slice(i * m.cols, (i + 1) * m.cols) };
}

/**
 * All rows of all matrices, one block under the other.
 *
 * @throws ShapeError for blocks of different widths.
 */
export function stackRows(blocks: readonly Matrix[]): Matrix {
  const cols = blocks[0]?.cols ?? 0;
  let rows = 0;
  blocks.forEach((block, i) => {
    requireShape("stackRows", `block ${i}`, block, block.rows, cols);
    rows += block.rows;
  });
  const out = matrix(rows, cols);
  let offset = 0;
  for (const block of blocks) {
    out.data.set(block.data, offset);
    offset += block.data.length;
  }
  return out;
}

/**
 * All columns of all matrices, one block beside the other. One block alone is returned as it is.
 *
 * @throws ShapeError for blocks of different heights.
 */
export function stackColumns(blocks: readonly Matrix[]): Matrix {
  const [first] = blocks;
  if (first !== undefined && blocks.length === 1) return first;
  const rows = first?.rows ?? 0;
  let cols = 0;
  blocks.forEach((block, i) => {
    requireShape("stackColumns", `block ${i}`, block, rows, block.cols);
    cols += block.cols;
  });
  const out = matrix(rows, cols);
  let start = 0;
  for (const block of blocks) {
    for (let i = 0; i < rows; i++) {
      out.data.set(block.data.subarray(i * block.cols, (i + 1) * block.cols), i * cols + start);
    }
    start += block.cols;
  }
  return out;
}

/** Column-major vec(m) as a (rows·cols) × 1 matrix: the vec of vec(P G Q) = (Q' ⊗ P) vec(G). */
export function vec(m: Matrix): Matrix {
  return { rows: m.rows * m.cols, cols: 1, data: transpose(m).data };
}

/**
 * The inverse of `vec`: a column of rows·cols numbers back to a rows × cols matrix.
 *
 * @throws ShapeError for a v that is not (rows·cols) × 1.
 */
export function unvec(v: Matrix, rows: number, cols: number): Matrix {
  requireShape("unvec", "v", v, rows * cols, 1);
  return transpose(matrix(cols, rows, v.data.slice()));
}

/** Kronecker product a ⊗ b: block (i, j) is a_ij·b. For tests; K-FAC never forms it. */
export function kronecker(a: Matrix, b: Matrix): Matrix {
  const out = matrix(a.rows * b.rows, a.cols * b.cols);
  for (let i = 0; i < a.rows; i++) {
    for (let j = 0; j < a.cols; j++) {
      const f = a.data[i * a.cols + j]!;
      for (let k = 0; k < b.rows; k++) {
        for (let l = 0; l < b.cols; l++) {
          out.data[(i * b.rows + k) * out.cols + j * b.cols + l] = f * b.data[k * b.cols + l]!;
        }
      }
    }
  }
  return out;
}

/** @throws ShapeError unless m is rows × cols. */
export function requireShape(
  operation: string,
  operand: string,
  m: Matrix,
  rows: number,
  cols: number,
  hint?: string,
): void {
  if (m.rows !== rows || m.cols !== cols) {
    throw new ShapeError(operation, operand, shapeOf(m), [rows, cols], hint);
  }
}

/** @throws ShapeError unless m is square. */
export function requireSquare(operation: string, operand: string, m: Matrix): void {
  if (m.rows !== m.cols) {
    throw new ShapeError(operation, operand, shapeOf(m), ["n", "n"], "pass a square matrix");
  }
}
