/**
 * Two-dimensional convolution (cross-correlation, as in every deep-learning framework) through patches:
 * z_t = W a_t, with a_t the patch of the input under output position t (Grosse & Martens 2016).
 *
 * Weights are O × (C/groups·kh·kw [+ 1]): columns in the order (channel, ky, kx), the bias last. Positions t = y·W' + x
 * count the outputs row-major. Sequences are feature maps of height 1.
 */
import { ArgumentError, ShapeError } from "../errors.js";
import { matmul } from "./matmul.js";
import { add, type Matrix, matrix, requireShape } from "./matrix.js";
import { channelsOf, type Pair, requireTensor, type Tensor, tensor, toPair } from "./tensor.js";

/** What a convolution is, but for the sizes of its input. */
export interface ConvOptions {
  /** Size of the kernel. */
  kernel: Pair;
  /** Defaults to 1. */
  stride?: Pair;
  /** Zeros added on each side; defaults to 0. */
  padding?: Pair;
  /** Distance of the kernel's taps; defaults to 1. */
  dilation?: Pair;
  /** Channels are split into this many independent convolutions; defaults to 1. */
  groups?: number;
  /** Whether the weights have a bias column; defaults to true. */
  bias?: boolean;
}

/** A convolution's sizes, all pairs [y, x]. */
export interface ConvGeometry {
  channels: number;
  height: number;
  width: number;
  kernel: [number, number];
  stride: [number, number];
  padding: [number, number];
  dilation: [number, number];
  groups: number;
  bias: boolean;
  /** H' and W', ⌊(H + 2·padding − dilation·(k − 1) − 1)/stride⌋ + 1. */
  outHeight: number;
  outWidth: number;
  /** T = H'·W'. */
  positions: number;
  /** Columns of W: C/groups·kh·kw [+ 1]. */
  columns: number;
}

/**
 * The sizes of a convolution of C × H × W inputs.
 *
 * @throws ArgumentError for options that do not fit.
 */
export function convGeometry(
  input: { channels: number; height: number; width: number },
  options: ConvOptions,
): ConvGeometry {
  const { channels, height, width } = input;
  const kernel = toPair("convGeometry", "kernel", options.kernel, 1);
  const stride = toPair("convGeometry", "stride", options.stride ?? 1, 1);
  const padding = toPair("convGeometry", "padding", options.padding ?? 0, 0);
  const dilation = toPair("convGeometry", "dilation", options.dilation ?? 1, 1);
  const { groups = 1, bias = true } = options;
  if (!(Number.isInteger(groups) && groups >= 1 && channels % groups === 0)) {
    throw new ArgumentError("convGeometry", "groups", `must divide the ${channels} channels, got ${groups}`);
  }
  const size = (extent: number, k: 0 | 1) =>
    Math.floor((extent + 2 * padding[k] - dilation[k] * (kernel[k] - 1) - 1) / stride[k]) + 1;
  const outHeight = size(height, 0);
  const outWidth = size(width, 1);
  if (outHeight < 1 || outWidth < 1) {
    throw new ArgumentError(
      "convGeometry",
      "kernel",
      `[${kernel}] with dilation [${dilation}] must fit into the padded input of ${height} × ${width}`,
    );
  }
  return {
    channels,
    height,
    width,
    kernel,
    stride,
    padding,
    dilation,
    groups,
    bias,
    outHeight,
    outWidth,
    positions: outHeight * outWidth,
    columns: (channels / groups) * kernel[0] * kernel[1] + (bias ? 1 : 0),
  };
}

/**
 * Calls visit(row, t, k) for every patch element inside the image: `row` = (channel − first, ky, kx) in a patch matrix,
 * t the position, k = (channel, y, x) in the example's C·H·W numbers. Padding is not visited.
 */
export function visitPatches(
  geometry: ConvGeometry,
  firstChannel: number,
  channelCount: number,
  visit: (row: number, t: number, k: number) => void,
): void {
  const { height, width, kernel, stride, padding, dilation, outHeight, outWidth } = geometry;
  for (let c = 0; c < channelCount; c++) {
    for (let ky = 0; ky < kernel[0]; ky++) {
      for (let kx = 0; kx < kernel[1]; kx++) {
        const row = (c * kernel[0] + ky) * kernel[1] + kx;
        for (let oy = 0; oy < outHeight; oy++) {
          const y = oy * stride[0] - padding[0] + ky * dilation[0];
          if (y < 0 || y >= height) continue;
          for (let ox = 0; ox < outWidth; ox++) {
            const x = ox * stride[1] - padding[1] + kx * dilation[1];
            if (x < 0 || x >= width) continue;
            visit(row, oy * outWidth + ox, ((firstChannel + c) * height + y) * width + x);
          }
        }
      }
    }
  }
}

function channelRange(
  operation: string,
  geometry: ConvGeometry,
  group: number | undefined,
): [number, number] {
  if (group === undefined) return [0, geometry.channels];
  if (!(Number.isInteger(group) && group >= 0 && group < geometry.groups)) {
    throw new ArgumentError(operation, "group", `must be from 0 to ${geometry.groups - 1}, got ${group}`);
  }
  const each = geometry.channels / geometry.groups;
  return [group * each, each];
}

/**
 * The A_i of a convolution: per example a (C·kh·kw [+ 1]) × T matrix whose column t is the patch under position t, with a
 * last row of ones when there is a bias. With `group`, only that group's channels: (C/groups·kh·kw [+ 1]) × T.
 *
 * @throws ShapeError for an X of another shape, ArgumentError for a group that is not there.
 */
export function patches(X: Tensor, geometry: ConvGeometry, group?: number): Matrix[] {
  const { channels, height, width, kernel, bias, positions } = geometry;
  const N = X.shape[0];
  requireTensor("patches", "X", X, [N, channels, height, width]);
  const [first, count] = channelRange("patches", geometry, group);
  const rows = count * kernel[0] * kernel[1];
  return Array.from({ length: N }, (_, n) => {
    const out = matrix(rows + (bias ? 1 : 0), positions);
    const base = n * channels * height * width;
    visitPatches(geometry, first, count, (row, t, k) => {
      out.data[row * positions + t] = X.data[base + k]!;
    });
    if (bias) out.data.fill(1, rows * positions);
    return out;
  });
}

/**
 * The adjoint of `patches`: per example, every patch element is added back to where it was read; N × C × H × W. The bias
 * row goes nowhere. With `group`, the matrices are of that group's channels and the other channels stay zero.
 *
 * @throws ShapeError for a matrix of another shape, ArgumentError for a group that is not there.
 */
export function foldPatches(P: readonly Matrix[], geometry: ConvGeometry, group?: number): Tensor {
  const { channels, height, width, kernel, bias, positions } = geometry;
  const [first, count] = channelRange("foldPatches", geometry, group);
  const rows = count * kernel[0] * kernel[1] + (bias ? 1 : 0);
  const out = tensor([P.length, channels, height, width]);
  P.forEach((p, n) => {
    requireShape("foldPatches", `P[${n}]`, p, rows, positions);
    const base = n * channels * height * width;
    visitPatches(geometry, first, count, (row, t, k) => {
      out.data[base + k]! += p.data[row * positions + t]!;
    });
  });
  return out;
}

/** The rows of W of one group: O/groups × columns. */
export function groupRows(W: Matrix, groups: number, group: number): Matrix {
  const each = W.rows / groups;
  return {
    rows: each,
    cols: W.cols,
    data: W.data.slice(group * each * W.cols, (group + 1) * each * W.cols),
  };
}

function requireWeights(operation: string, W: Matrix, { columns, groups }: ConvGeometry): void {
  requireShape(operation, "W", W, W.rows, columns, "W has one column per patch element, and one for a bias");
  if (W.rows % groups !== 0) {
    throw new ShapeError(operation, "W", [W.rows, W.cols], [`a multiple of ${groups}`, columns]);
  }
}

function requireOutputs(operation: string, dY: Tensor, N: number, O: number, geometry: ConvGeometry): void {
  requireTensor(operation, "dY", dY, [N, O, geometry.outHeight, geometry.outWidth]);
}

/**
 * Z with z_t = W a_t: X is N × C × H × W, W is O × columns, the result N × O × H' × W'.
 *
 * @throws ShapeError for an X or W that does not fit the geometry.
 */
export function conv2d(X: Tensor, W: Matrix, geometry: ConvGeometry): Tensor {
  requireWeights("conv2d", W, geometry);
  const { groups, outHeight, outWidth, positions } = geometry;
  const N = X.shape[0];
  const out = tensor([N, W.rows, outHeight, outWidth]);
  const each = W.rows / groups;
  for (let g = 0; g < groups; g++) {
    const Wg = groupRows(W, groups, g);
    patches(X, geometry, g).forEach((a, n) => {
      out.data.set(matmul(Wg, a).data, (n * W.rows + g * each) * positions);
    });
  }
  return out;
}

/**
 * ∂/∂X from dY = ∂/∂Z (N × O × H' × W'): the patches W' dz_t folded back; N × C × H × W.
 *
 * @throws ShapeError for a dY or W that does not fit the geometry.
 */
export function conv2dInputGradient(dY: Tensor, W: Matrix, geometry: ConvGeometry): Tensor {
  requireWeights("conv2dInputGradient", W, geometry);
  const N = dY.shape[0];
  requireOutputs("conv2dInputGradient", dY, N, W.rows, geometry);
  const { groups, channels, height, width } = geometry;
  const each = W.rows / groups;
  const out = tensor([N, channels, height, width]);
  for (let g = 0; g < groups; g++) {
    const Wg = groupRows(W, groups, g);
    const P = Array.from({ length: N }, (_, n) =>
      matmul(Wg, channelsOf(dY, n, g * each, each), { transposeA: true }),
    );
    const folded = foldPatches(P, geometry, g).data;
    for (let k = 0; k < folded.length; k++) out.data[k]! += folded[k]!;
  }
  return out;
}

/**
 * ∂/∂W = Σ_i Σ_t dz_t a_t' from dY = ∂/∂Z, summed over examples; O × columns, O the channels of dY.
 *
 * @throws ShapeError for an X or dY that does not fit the geometry.
 */
export function conv2dWeightGradient(X: Tensor, dY: Tensor, geometry: ConvGeometry): Matrix {
  const [N, O] = dY.shape;
  requireOutputs("conv2dWeightGradient", dY, X.shape[0], O, geometry);
  const { groups, columns } = geometry;
  if (O % groups !== 0) {
    throw new ShapeError("conv2dWeightGradient", "dY", dY.shape, [N, `a multiple of ${groups}`, "H'", "W'"]);
  }
  const each = O / groups;
  const out = matrix(O, columns);
  for (let g = 0; g < groups; g++) {
    let sum = matrix(each, columns);
    patches(X, geometry, g).forEach((a, n) => {
      sum = add(sum, matmul(channelsOf(dY, n, g * each, each), a, { transposeB: true }));
    });
    out.data.set(sum.data, g * each * columns);
  }
  return out;
}
