/**
 * Operations for the nodes of a graph (graph.ts). Sequences of T positions with F features are tensors N × F × 1 × T.
 */
import { ArgumentError, ShapeError } from "../errors.js";
import { type ActivationLayer, activate, activation, activationSlope } from "./activation.js";
import {
  type ConvOptions,
  conv2d,
  conv2dInputGradient,
  conv2dWeightGradient,
  convGeometry,
  patches,
} from "./conv.js";
import type { ReferenceOp } from "./graph.js";
import { matmul } from "./matmul.js";
import {
  appendOnesColumn,
  dropLastColumn,
  type Matrix,
  matrix,
  add as plus,
  requireShape,
  rowOf,
  stackColumns,
} from "./matrix.js";
import {
  averagePool,
  averagePoolBackward,
  globalAveragePool,
  globalAveragePoolBackward,
  maxPool,
  maxPoolBackward,
  type PoolOptions,
} from "./pooling.js";
import { channelsOf, flatten, isTensor, type Tensor, tensor, type Value } from "./tensor.js";

/** Options of `denseOp`. */
export interface DenseOpOptions {
  /** Whether the weights' last column is a bias; defaults to true. */
  bias?: boolean;
  /** Whether the input is a feature map, with the same W at each of its positions; defaults to false. */
  positions?: boolean;
}

/**
 * z = W a on rows N × in. W is out × (in [+ 1]). With `positions`, z_t = W a_t at every position of N × in × H × W', to
 * N × out × H × W': a convolution with a kernel of one.
 */
export function denseOp(options: DenseOpOptions = {}): ReferenceOp {
  const { bias = true, positions = false } = options;
  if (positions) return { ...conv2dOp({ kernel: 1, bias }), kind: "dense" };
  const kind = "dense";
  return {
    kind,
    forward(inputs, weights, node = kind) {
      const W = weightsOfNode(kind, weights, node);
      const input = onlyInput(kind, inputs, node);
      if (isTensor(input)) {
        const hint = "put flatten or globalAveragePool in front of a linear layer";
        throw new ShapeError(kind, `input of ${node}`, input.shape, ["N", W.cols - (bias ? 1 : 0)], hint);
      }
      requireShape(kind, `input of ${node}`, input, input.rows, W.cols - (bias ? 1 : 0));
      const A = bias ? appendOnesColumn(input) : input;
      const output = matmul(A, W, { transposeB: true });
      const asOutput = (d: Float64Array): Matrix => ({ ...output, data: d });
      return {
        output,
        back(d) {
          const full = matmul(asOutput(d), W);
          return [(bias ? dropLastColumn(full) : full).data];
        },
        tangent([dX], direction) {
          const kernel = bias ? dropLastColumn(W) : W;
          const moved = matmul({ ...input, data: dX! }, kernel, { transposeB: true });
          return (direction ? plus(moved, matmul(A, direction, { transposeB: true })) : moved).data;
        },
        trainable: {
          groups: 1,
          inputs: () => rowsAsColumns(A),
          derivatives: (dz) => rowsAsColumns(asOutput(dz)),
          gradient: (dz) => matmul(asOutput(dz), A, { transposeA: true }),
        },
      };
    },
  };
}

/** A convolution of N × C × H × W: z_t = W a_t with a_t the patch under position t, W as in conv.ts. */
export function conv2dOp(options: ConvOptions): ReferenceOp {
  const kind = "conv2d";
  return {
    kind,
    forward(inputs, weights, node = kind) {
      const W = weightsOfNode(kind, weights, node);
      const input = tensorInput(kind, inputs, node);
      const [N, channels, height, width] = input.shape;
      const geometry = convGeometry({ channels, height, width }, options);
      const output = conv2d(input, W, geometry);
      const each = W.rows / geometry.groups;
      const asOutput = (d: Float64Array): Tensor => ({ shape: output.shape, data: d });
      return {
        output,
        back: (d) => [conv2dInputGradient(asOutput(d), W, geometry).data],
        tangent([dX], direction) {
          const kernel = geometry.bias ? appendZeros(dropLastColumn(W)) : W;
          const moved = conv2d({ ...input, data: dX! }, kernel, geometry).data;
          if (!direction) return moved;
          const own = conv2d(input, direction, geometry).data;
          return moved.map((x, k) => x + own[k]!);
        },
        trainable: {
          groups: geometry.groups,
          inputs: (group) => patches(input, geometry, group),
          derivatives: (dz, group) =>
            Array.from({ length: N }, (_, n) => channelsOf(asOutput(dz), n, group * each, each)),
          gradient: (dz) => conv2dWeightGradient(input, asOutput(dz), geometry),
        },
      };
    },
  };
}

/** An element-wise activation of values of any shape. `slope` is leakyRelu's, 0.01 by default. */
export function activationOp(kind: ActivationLayer["kind"], slope?: number): ReferenceOp {
  const layer = activation(kind, slope);
  return {
    kind,
    forward(inputs, _weights, node = kind) {
      const input = onlyInput(kind, inputs, node);
      return {
        output: { ...input, data: input.data.map((z) => activate(layer, z)) },
        back: (d) => [d.map((x, k) => x * activationSlope(layer, input.data[k]!))],
        tangent: ([dX]) => dX!.map((x, k) => x * activationSlope(layer, input.data[k]!)),
      };
    },
  };
}

/** The largest element of each window of N × C × H × W. */
export function maxPoolOp(options: PoolOptions): ReferenceOp {
  const kind = "maxPool";
  return {
    kind,
    forward(inputs, _weights, node = kind) {
      const input = tensorInput(kind, inputs, node);
      const { output, argmax } = maxPool(input, options);
      return {
        output,
        back: (d) => [maxPoolBackward({ shape: output.shape, data: d }, argmax, input.shape).data],
        tangent([dX]) {
          const [, , height, width] = input.shape;
          const windows = output.shape[2] * output.shape[3];
          return output.data.map((_, k) => dX![Math.floor(k / windows) * height * width + argmax[k]!]!);
        },
      };
    },
  };
}

/** The mean of each window of N × C × H × W. */
export function averagePoolOp(options: PoolOptions): ReferenceOp {
  const kind = "averagePool";
  return {
    kind,
    forward(inputs, _weights, node = kind) {
      const input = tensorInput(kind, inputs, node);
      const output = averagePool(input, options);
      return {
        output,
        back: (d) => [averagePoolBackward({ shape: output.shape, data: d }, options, input.shape).data],
        tangent: ([dX]) => averagePool({ ...input, data: dX! }, options).data,
      };
    },
  };
}

/** The mean of each channel over all positions: N × C × H × W to N × C. */
export function globalAveragePoolOp(): ReferenceOp {
  const kind = "globalAveragePool";
  return {
    kind,
    forward(inputs, _weights, node = kind) {
      const input = tensorInput(kind, inputs, node);
      const output = globalAveragePool(input);
      return {
        output,
        back: (d) => [globalAveragePoolBackward({ ...output, data: d }, input.shape).data],
        tangent: ([dX]) => globalAveragePool({ ...input, data: dX! }).data,
      };
    },
  };
}

/** N × C × H × W to N × (C·H·W), in the order (c, y, x). */
export function flattenOp(): ReferenceOp {
  const kind = "flatten";
  return {
    kind,
    forward(inputs, _weights, node = kind) {
      return {
        output: flatten(tensorInput(kind, inputs, node)),
        back: (d) => [d],
        tangent: ([dX]) => dX!,
      };
    },
  };
}

/** The sum of two or more values of one shape: where a residual branch meets its trunk. */
export function addOp(): ReferenceOp {
  const kind = "add";
  return {
    kind,
    forward(inputs, _weights, node = kind) {
      const first = severalInputs(kind, inputs, node);
      inputs.forEach((input, k) => {
        if (sizes(input).join() !== sizes(first).join()) {
          throw new ShapeError(kind, `input ${k} of ${node}`, sizes(input), sizes(first));
        }
      });
      const sum = (terms: readonly Float64Array[]) =>
        first.data.map((_, at) => terms.reduce((total, data) => total + data[at]!, 0));
      return {
        output: { ...first, data: sum(inputs.map(({ data }) => data)) },
        back: (d) => inputs.map(() => d),
        tangent: sum,
      };
    },
  };
}

/** Two or more values side by side: columns of matrices, channels of tensors with the same positions. */
export function concatOp(): ReferenceOp {
  const kind = "concat";
  return {
    kind,
    forward(inputs, _weights, node = kind) {
      const first = severalInputs(kind, inputs, node);
      inputs.forEach((input, k) => {
        const wanted = sizes(first).map((size, axis) => (axis === 1 ? "any" : size));
        const same = isTensor(input) === isTensor(first);
        if (!same || sizes(input).some((size, axis) => axis !== 1 && size !== wanted[axis])) {
          throw new ShapeError(kind, `input ${k} of ${node}`, sizes(input), wanted);
        }
      });
      const count = sizes(first)[0]!;
      // An example's numbers are contiguous with the channel slowest, for either form.
      const widths = inputs.map(({ data }) => data.length / count);
      const features = inputs.reduce((sum, input) => sum + sizes(input)[1]!, 0);
      const width = widths.reduce((a, b) => a + b, 0);
      const starts = widths.map((_, k) => widths.slice(0, k).reduce((a, b) => a + b, 0));
      const joined = (parts: readonly Float64Array[]) => {
        const all = new Float64Array(count * width);
        parts.forEach((data, k) => {
          for (let i = 0; i < count; i++) {
            const own = data.subarray(i * widths[k]!, (i + 1) * widths[k]!);
            all.set(own, i * width + starts[k]!);
          }
        });
        return all;
      };
      const data = joined(inputs.map((input) => input.data));
      const output = isTensor(first)
        ? tensor([count, features, first.shape[2], first.shape[3]], data)
        : matrix(count, features, data);
      return {
        output,
        tangent: joined,
        back: (d) =>
          inputs.map(({ data }, k) => {
            const part = new Float64Array(data.length);
            for (let i = 0; i < count; i++) {
              const from = i * width + starts[k]!;
              part.set(d.subarray(from, from + widths[k]!), i * widths[k]!);
            }
            return part;
          }),
      };
    },
  };
}

/**
 * Indices N × T (whole numbers from 0 to `size` − 1) to the columns of the identity, N × size × 1 × T. With a dense layer
 * without bias at each position it is an embedding. Indices have no derivative, so what goes back is zero.
 *
 * @throws ArgumentError when `size` is not a positive integer.
 */
export function oneHotOp(size: number): ReferenceOp {
  const kind = "oneHot";
  if (!(Number.isInteger(size) && size >= 1)) {
    throw new ArgumentError(kind, "size", `must be a positive integer, got ${size}`);
  }
  return {
    kind,
    forward(inputs, _weights, node = kind) {
      const input = onlyInput(kind, inputs, node);
      if (isTensor(input)) throw new ShapeError(kind, `input of ${node}`, input.shape, ["N", "T"]);
      const { rows: N, cols: T } = input;
      const output = tensor([N, size, 1, T]);
      input.data.forEach((index, k) => {
        if (!(Number.isInteger(index) && index >= 0 && index < size)) {
          const rule = `must hold whole numbers from 0 to ${size - 1}`;
          throw new ArgumentError(kind, `input of ${node}`, `${rule}, got ${index}`);
        }
        output.data[(Math.floor(k / T) * size + index) * T + (k % T)] = 1;
      });
      return {
        output,
        back: () => [new Float64Array(input.data.length)],
        tangent: () => new Float64Array(output.data.length),
      };
    },
  };
}

/**
 * The only input of a node, for operations of one input.
 *
 * @throws ArgumentError when there are none or several.
 */
export function onlyInput(kind: string, inputs: readonly Value[], node: string): Value {
  const [input] = inputs;
  if (input === undefined || inputs.length !== 1) {
    throw new ArgumentError(kind, `inputs of ${node}`, `must be one, got ${inputs.length}`);
  }
  return input;
}

/**
 * The only input of a node, for operations on feature maps.
 *
 * @throws ArgumentError as `onlyInput`; ShapeError when it is a matrix.
 */
export function tensorInput(kind: string, inputs: readonly Value[], node: string): Tensor {
  const input = onlyInput(kind, inputs, node);
  if (isTensor(input)) return input;
  throw new ShapeError(kind, `input of ${node}`, [input.rows, input.cols], ["N", "C", "H", "W"]);
}

/**
 * The weights of a node, for operations that have some.
 *
 * @throws ArgumentError when there are none.
 */
export function weightsOfNode(kind: string, weights: Matrix | undefined, node: string): Matrix {
  if (weights) return weights;
  throw new ArgumentError(kind, `weights of ${node}`, "must be there, got none");
}

/** The first of two inputs or more. */
function severalInputs(kind: string, inputs: readonly Value[], node: string): Value {
  const [input] = inputs;
  if (input === undefined || inputs.length < 2) {
    throw new ArgumentError(kind, `inputs of ${node}`, `must be two or more, got ${inputs.length}`);
  }
  return input;
}

function appendZeros(m: Matrix): Matrix {
  return stackColumns([m, matrix(m.rows, 1)]);
}

function sizes(value: Value): readonly number[] {
  return isTensor(value) ? value.shape : [value.rows, value.cols];
}

/** Each row as a column of its own: a batch of vectors as one position an example. */
function rowsAsColumns(m: Matrix): Matrix[] {
  return Array.from({ length: m.rows }, (_, i) => matrix(m.cols, 1, rowOf(m, i).data));
}
