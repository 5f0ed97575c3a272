/** Feature maps: N × C × H × W tensors, row-major, the data type of the convolutional layers of the reference. */
import { shown } from "../arguments.js";
import { ArgumentError, ShapeError } from "../errors.js";
import type { Matrix } from "./matrix.js";

/** Element (n, c, y, x) is `data[((n·C + c)·H + y)·W + x]`. */
export interface Tensor {
  /** [N, C, H, W]. */
  readonly shape: readonly [number, number, number, number];
  readonly data: Float64Array;
}

/**
 * A tensor of zeros, or of `data` (a `Float64Array` is wrapped, any other array is copied).
 *
 * @throws ArgumentError for sizes that are not non-negative integers, ShapeError for a wrong length.
 */
export function tensor(shape: readonly [number, number, number, number], data?: ArrayLike<number>): Tensor {
  shape.forEach((size, k) => {
    if (!Number.isSafeInteger(size) || size < 0) {
      throw new ArgumentError("tensor", `shape[${k}]`, `must be a non-negative integer, got ${size}`);
    }
  });
  const count = shape.reduce((a, b) => a * b, 1);
  if (data === undefined) return { shape, data: new Float64Array(count) };
  if (data.length !== count) {
    throw new ShapeError("tensor", "data", [data.length], [count], "pass N × C × H × W numbers");
  }
  return { shape, data: data instanceof Float64Array ? data : Float64Array.from(data) };
}

/** What flows between layers: feature maps N × C × H × W, or one example a row, N × features. */
export type Value = Tensor | Matrix;

/** Whether a value is a tensor (and not a matrix). */
export function isTensor(value: Value): value is Tensor {
  return "shape" in value;
}

/** N × (C·H·W), one example a row in the order (c, y, x). Shares the tensor's storage. */
export function flatten(x: Tensor): Matrix {
  const [n, c, h, w] = x.shape;
  return { rows: n, cols: c * h * w, data: x.data };
}

/**
 * The inverse of `flatten`: N rows of C·H·W numbers to N × C × H × W. Shares the matrix's storage.
 *
 * @throws ShapeError for a matrix of another width.
 */
export function unflatten(m: Matrix, channels: number, height: number, width: number): Tensor {
  const size = channels * height * width;
  if (m.cols !== size) throw new ShapeError("unflatten", "m", [m.rows, m.cols], [m.rows, size]);
  return { shape: [m.rows, channels, height, width], data: m.data };
}

/** Channels first … first + count − 1 of example n, as a count × (H·W) matrix (a copy). */
export function channelsOf(x: Tensor, n: number, first = 0, count = x.shape[1] - first): Matrix {
  const [, c, h, w] = x.shape;
  const start = (n * c + first) * h * w;
  return { rows: count, cols: h * w, data: x.data.slice(start, start + count * h * w) };
}

/** A number for both directions, or [y, x]. */
export type Pair = number | readonly [number, number];

/**
 * A pair of integers of at least `least`.
 *
 * @throws ArgumentError unless both are integers of at least `least`.
 */
export function toPair(operation: string, name: string, value: Pair, least: number): [number, number] {
  const given: unknown = typeof value === "number" ? [value, value] : value;
  const [y, x] = (Array.isArray(given) ? given : []) as unknown as [number, number];
  if (!(Number.isInteger(y) && Number.isInteger(x) && y >= least && x >= least)) {
    throw new ArgumentError(operation, name, `must be integers of at least ${least}, got ${shown(value)}`);
  }
  return [y, x];
}

/** @throws ShapeError unless the tensor has the shape. */
export function requireTensor(
  operation: string,
  operand: string,
  x: Tensor,
  shape: readonly [number, number, number, number],
): void {
  if (x.shape.some((size, k) => size !== shape[k])) {
    throw new ShapeError(operation, operand, x.shape, shape);
  }
}
