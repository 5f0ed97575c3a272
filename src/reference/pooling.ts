/** Pooling of N × C × H × W tensors: maximum, average, global average. No padding; incomplete windows are left out. */
import { ArgumentError, ShapeError } from "../errors.js";
import { type Matrix, matrix, requireShape } from "./matrix.js";
import { type Pair, requireTensor, type Tensor, tensor, toPair } from "./tensor.js";

/** What a pool is, but for the sizes of its input. */
export interface PoolOptions {
  /** Size of the window. */
  kernel: Pair;
  /** Defaults to the window's own size. */
  stride?: Pair;
}

interface Windows {
  kernel: [number, number];
  stride: [number, number];
  /** N × C × H' × W'. */
  shape: [number, number, number, number];
}

function windows(operation: string, shape: Tensor["shape"], options: PoolOptions): Windows {
  const kernel = toPair(operation, "kernel", options.kernel, 1);
  const stride = toPair(operation, "stride", options.stride ?? kernel, 1);
  const [N, C, H, W] = shape;
  if (kernel[0] > H || kernel[1] > W) {
    throw new ArgumentError(operation, "kernel", `[${kernel}] must fit into the input of ${H} × ${W}`);
  }
  const out = (extent: number, k: 0 | 1) => Math.floor((extent - kernel[k]) / stride[k]) + 1;
  return { kernel, stride, shape: [N, C, out(H, 0), out(W, 1)] };
}

/** Calls visit(k, plane, cell) for every cell of every window: k the output's flat index, cell = y·W + x in its plane. */
function visitWindows(
  { kernel, stride, shape }: Windows,
  W: number,
  visit: (k: number, plane: number, cell: number) => void,
): void {
  const [N, C, outHeight, outWidth] = shape;
  let k = 0;
  for (let plane = 0; plane < N * C; plane++) {
    for (let oy = 0; oy < outHeight; oy++) {
      for (let ox = 0; ox < outWidth; ox++, k++) {
        for (let y = 0; y < kernel[0]; y++) {
          for (let x = 0; x < kernel[1]; x++) {
            visit(k, plane, (oy * stride[0] + y) * W + ox * stride[1] + x);
          }
        }
      }
    }
  }
}

/** Largest elements and where they were. */
export interface MaxPoolResult {
  /** N × C × H' × W'. */
  output: Tensor;
  /** For each output, y·W + x of the largest input in its plane; of equals the first row-major. */
  argmax: Uint32Array;
}

/**
 * Largest element of each window.
 *
 * @throws ArgumentError for a window that does not fit.
 */
export function maxPool(X: Tensor, options: PoolOptions): MaxPoolResult {
  const w = windows("maxPool", X.shape, options);
  const [, , H, W] = X.shape;
  const output = tensor(w.shape);
  const argmax = new Uint32Array(output.data.length);
  let last = -1;
  visitWindows(w, W, (k, plane, cell) => {
    const value = X.data[plane * H * W + cell]!;
    if (k !== last || value > output.data[k]!) {
      output.data[k] = value;
      argmax[k] = cell;
    }
    last = k;
  });
  return { output, argmax };
}

/**
 * ∂/∂X of `maxPool`: each derivative goes to the element that was taken. `shape` is X's.
 *
 * @throws ShapeError for operands that do not fit `shape`.
 */
export function maxPoolBackward(dY: Tensor, argmax: Uint32Array, shape: Tensor["shape"]): Tensor {
  const [N, C, H, W] = shape;
  requireTensor("maxPoolBackward", "dY", dY, [N, C, dY.shape[2], dY.shape[3]]);
  if (argmax.length !== dY.data.length) {
    throw new ShapeError("maxPoolBackward", "argmax", [argmax.length], [dY.data.length]);
  }
  const out = tensor(shape);
  const size = dY.shape[2] * dY.shape[3];
  for (let k = 0; k < dY.data.length; k++) {
    out.data[Math.floor(k / size) * H * W + argmax[k]!]! += dY.data[k]!;
  }
  return out;
}

/**
 * Mean of each window.
 *
 * @throws ArgumentError for a window that does not fit.
 */
export function averagePool(X: Tensor, options: PoolOptions): Tensor {
  const w = windows("averagePool", X.shape, options);
  const [, , H, W] = X.shape;
  const out = tensor(w.shape);
  const weight = 1 / (w.kernel[0] * w.kernel[1]);
  visitWindows(w, W, (k, plane, cell) => {
    out.data[k]! += weight * X.data[plane * H * W + cell]!;
  });
  return out;
}

/**
 * ∂/∂X of `averagePool`. `shape` is X's.
 *
 * @throws ShapeError for a dY that does not fit `shape`.
 */
export function averagePoolBackward(dY: Tensor, options: PoolOptions, shape: Tensor["shape"]): Tensor {
  const w = windows("averagePoolBackward", shape, options);
  requireTensor("averagePoolBackward", "dY", dY, w.shape);
  const [, , H, W] = shape;
  const out = tensor(shape);
  const weight = 1 / (w.kernel[0] * w.kernel[1]);
  visitWindows(w, W, (k, plane, cell) => {
    out.data[plane * H * W + cell]! += weight * dY.data[k]!;
  });
  return out;
}

/** Mean of each channel over all positions, N × C. */
export function globalAveragePool(X: Tensor): Matrix {
  const [N, C, H, W] = X.shape;
  const out = matrix(N, C);
  for (let k = 0; k < X.data.length; k++) out.data[Math.floor(k / (H * W))]! += X.data[k]! / (H * W);
  return out;
}

/**
 * ∂/∂X of `globalAveragePool` from its N × C derivative. `shape` is X's.
 *
 * @throws ShapeError for a dY that does not fit `shape`.
 */
export function globalAveragePoolBackward(dY: Matrix, shape: Tensor["shape"]): Tensor {
  const [N, C, H, W] = shape;
  requireShape("globalAveragePoolBackward", "dY", dY, N, C);
  const out = tensor(shape);
  for (let k = 0; k < out.data.length; k++) out.data[k] = dY.data[Math.floor(k / (H * W))]! / (H * W);
  return out;
}
