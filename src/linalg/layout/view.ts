import { must, objectLike, type Rule, shown } from "../../arguments.js";
import { ArgumentError, LimitError, ShapeError } from "../../errors.js";

/**
 * A rows × cols matrix of f32 inside a buffer, row-major: element (i, j) is the buffer's f32 number
 * `offset + i · stride + j`. Offset and stride count elements, not bytes. The buffer needs `STORAGE` usage.
 */
export interface MatrixView {
  readonly buffer: GPUBuffer;
  /** Elements before the first one; defaults to 0. */
  readonly offset?: number;
  readonly rows: number;
  readonly cols: number;
  /** Elements from one row to the next; defaults to `cols`. */
  readonly stride?: number;
}

/** A view with nothing left to default. */
export interface Matrix extends MatrixView {
  readonly offset: number;
  readonly stride: number;
}

const VIEW = objectLike("a matrix view { buffer, rows, cols }");
const BUFFER: Rule = {
  words: "a GPUBuffer",
  holds: (value) => typeof value === "object" && value !== null && "size" in value && "usage" in value,
};

/**
 * Fills a view's defaults and checks that it lies inside its buffer.
 *
 * @throws ShapeError (outside its buffer, or empty), ArgumentError (no whole number, rows that overlap, a buffer without
 *   `STORAGE`) or LimitError, naming operation and operand
 */
export function checkView(operation: string, operand: string, view: MatrixView): Matrix {
  if (!VIEW.holds(view)) must(operation, operand, view, VIEW);
  const { buffer, rows, cols } = view;
  if (!BUFFER.holds(buffer)) must(operation, `${operand}.buffer`, buffer, BUFFER);
  const offset = view.offset ?? 0;
  const stride = view.stride ?? cols;
  for (const [name, value] of Object.entries({ rows, cols, offset, stride })) {
    if (!Number.isInteger(value) || value < 0) {
      throw new ArgumentError(operation, `${operand}.${name}`, `must be a whole number, got ${shown(value)}`);
    }
  }
  if (rows === 0 || cols === 0) throw new ShapeError(operation, operand, [rows, cols], ["≥ 1", "≥ 1"]);
  if (stride < cols) {
    throw new ArgumentError(operation, `${operand}.stride`, `must be at least cols = ${cols}, got ${stride}`);
  }
  const end = offset + (rows - 1) * stride + cols;
  if (end * 4 > buffer.size) {
    const held = Math.floor(buffer.size / 4);
    throw new ShapeError(
      operation,
      operand,
      [rows, cols],
      `at most ${held} elements`,
      `the view ends at element ${end} of a buffer that holds ${held}`,
    );
  }
  if (!(buffer.usage & GPUBufferUsage.STORAGE)) {
    throw new ArgumentError(operation, `${operand}.buffer`, "needs the usage GPUBufferUsage.STORAGE");
  }
  if (end > 0xffffffff) throw new LimitError("32-bit element index", end, 0xffffffff);
  return { buffer, offset, rows, cols, stride };
}

/** @throws ShapeError unless the view has this shape. */
export function requireShape(
  operation: string,
  operand: string,
  view: MatrixView,
  rows: number,
  cols: number,
): void {
  if (view.rows !== rows || view.cols !== cols) {
    throw new ShapeError(operation, operand, [view.rows, view.cols], [rows, cols]);
  }
}

/** @throws ArgumentError when two operands that a kernel reads and writes share a buffer, which WebGPU forbids. */
export function requireDistinct(
  operation: string,
  written: [operand: string, view: MatrixView],
  read: readonly [operand: string, view: MatrixView][],
): void {
  for (const [operand, view] of read) {
    if (view.buffer === written[1].buffer) {
      throw new ArgumentError(operation, written[0], `must not lie in the same buffer as ${operand}`);
    }
  }
}

/** Whether every row starts on a `vec4f`, as the kernels that load four numbers at a time need. */
export function isAligned(view: Matrix): boolean {
  return view.offset % 4 === 0 && view.stride % 4 === 0 && view.buffer.size % 16 === 0;
}

/** The next multiple of four: the row stride of our own matrices. */
export function padded(cols: number): number {
  return Math.ceil(cols / 4) * 4;
}

/** A dense view with padded rows at `offset` (a multiple of four) of `buffer`. */
export function paddedView(buffer: GPUBuffer, offset: number, rows: number, cols: number): Matrix {
  return { buffer, offset, rows, cols, stride: padded(cols) };
}

/** The elements that `paddedView` takes. */
export function paddedLength(rows: number, cols: number): number {
  return rows * padded(cols);
}
