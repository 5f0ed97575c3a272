/**
 * The note's third network in f64: convolutions, pooling, activations, flatten and dense layers on N × C × H × W inputs.
 * Losses, Fisher kinds and Monte-Carlo draws are those of loss.ts and network.ts. A network that ends in a feature map
 * has its C·H·W numbers (c, y, x) as outputs, so half squared error on it is a per-position loss. A layer on sequences is
 * a 1 × 1 convolution of N × features × 1 × T.
 */
import { ArgumentError, ShapeError } from "../errors.js";
import {
  type ConvOptions,
  conv2d,
  conv2dInputGradient,
  conv2dWeightGradient,
  convGeometry,
  patches,
} from "./conv.js";
import { type LossKind, lossGradient, lossValues, type Targets } from "./loss.js";
import { matmul } from "./matmul.js";
import { appendOnesColumn, type Matrix, matrix, requireShape, rowOf, scale } from "./matrix.js";
import {
  activate,
  activationSlope,
  curvatureStarts,
  dropLastColumn,
  type Fisher,
  type Layer,
  type LinearLayer,
  type Reduction,
} from "./network.js";
import type { PositionBlock } from "./operator.js";
import {
  averagePool,
  averagePoolBackward,
  globalAveragePool,
  globalAveragePoolBackward,
  maxPool,
  maxPoolBackward,
  type PoolOptions,
} from "./pooling.js";
import { channelsOf, flatten, type Tensor } from "./tensor.js";

/** z_t = W a_t, W as in conv.ts. */
export interface ConvLayer {
  kind: "conv";
  weights: Matrix;
  options: ConvOptions;
}

export interface PoolLayer {
  kind: "maxPool" | "averagePool";
  options: PoolOptions;
}

export type ConvNetworkLayer =
  | Layer
  | ConvLayer
  | PoolLayer
  /** N × C × H × W to N × C. */
  | { kind: "globalAveragePool" }
  /** N × C × H × W to N × (C·H·W). */
  | { kind: "flatten" };

export type ConvNetwork = readonly ConvNetworkLayer[];

/** A convolutional layer around existing weights. */
export function conv(weights: Matrix, options: ConvOptions): ConvLayer {
  return { kind: "conv", weights, options };
}

/** A pooling layer. */
export function pool(kind: PoolLayer["kind"], options: PoolOptions): PoolLayer {
  return { kind, options };
}

/** What flows between layers: a feature map, or one example a row. */
export type Value = Tensor | Matrix;

const isTensor = (value: Value): value is Tensor => "shape" in value;

/** What a layer with weights leaves for its gradient and curvature. Derivatives are laid out as the layer's output. */
export interface TrainableStep {
  weights: Matrix;
  /** Convolution groups, each with curvature of its own; 1 for a dense layer. */
  groups: number;
  /** A_i of one group: per example in × T, bias row included. */
  inputs(group: number): Matrix[];
  /** One group's part of derivatives in z: per example out × T. */
  derivatives(dz: Float64Array, group: number): Matrix[];
  /** Σ_i Σ_t dz_t a_t', of the weights' shape. */
  gradient(dz: Float64Array): Matrix;
}

/** One layer's part of a forward pass. */
export interface ForwardStep {
  output: Value;
  /** Derivative in the layer's input from that in its output, both laid out as those. */
  back(d: Float64Array): Float64Array;
  trainable?: TrainableStep;
}

export interface ConvForwardPass {
  /** Z, N × C; a final feature map is flattened. */
  outputs: Matrix;
  /** One per layer, in order. */
  steps: ForwardStep[];
}

/** Runs X (N × C × H × W) through the network. Throws `ShapeError` where a layer does not fit its input. */
export function convForward(network: ConvNetwork, X: Tensor): ConvForwardPass {
  const steps: ForwardStep[] = [];
  let current: Value = X;
  network.forEach((layer, index) => {
    const step = forwardStep(layer, current, index);
    steps.push(step);
    current = step.output;
  });
  return { outputs: isTensor(current) ? flatten(current) : current, steps };
}

function forwardStep(layer: ConvNetworkLayer, input: Value, index: number): ForwardStep {
  if (layer.kind === "linear") {
    if (!isTensor(input)) return linearStep(layer, input, index);
    const hint = "put flatten or globalAveragePool in front of a linear layer";
    throw new ShapeError("convForward", `input of layer ${index}`, input.shape, ["N", "in"], hint);
  }
  switch (layer.kind) {
    case "relu":
    case "leakyRelu":
    case "tanh":
    case "logistic":
      return {
        output: { ...input, data: input.data.map((z) => activate(layer, z)) },
        back: (d) => d.map((x, k) => x * activationSlope(layer, input.data[k]!)),
      };
  }
  if (!isTensor(input)) {
    const expected = ["N", "C", "H", "W"];
    throw new ShapeError("convForward", `input of layer ${index}`, [input.rows, input.cols], expected);
  }
  const { shape } = input;
  switch (layer.kind) {
    case "conv":
      return convStep(layer, input);
    case "maxPool": {
      const { output, argmax } = maxPool(input, layer.options);
      return { output, back: (d) => maxPoolBackward({ shape: output.shape, data: d }, argmax, shape).data };
    }
    case "averagePool": {
      const output = averagePool(input, layer.options);
      return {
        output,
        back: (d) => averagePoolBackward({ shape: output.shape, data: d }, layer.options, shape).data,
      };
    }
    case "globalAveragePool": {
      const output = globalAveragePool(input);
      return { output, back: (d) => globalAveragePoolBackward({ ...output, data: d }, shape).data };
    }
    case "flatten":
      return { output: flatten(input), back: (d) => d };
  }
}

function linearStep(layer: LinearLayer, input: Matrix, index: number): ForwardStep {
  const { weights, bias } = layer;
  requireShape("convForward", `input of layer ${index}`, input, input.rows, weights.cols - (bias ? 1 : 0));
  const A = bias ? appendOnesColumn(input) : input;
  const output = matmul(A, weights, { transposeB: true });
  const asColumns = (m: Matrix) =>
    Array.from({ length: m.rows }, (_, i) => matrix(m.cols, 1, rowOf(m, i).data));
  return {
    output,
    back(d) {
      const full = matmul({ ...output, data: d }, weights);
      return (bias ? dropLastColumn(full) : full).data;
    },
    trainable: {
      weights,
      groups: 1,
      inputs: () => asColumns(A),
      derivatives: (dz) => asColumns({ ...output, data: dz }),
      gradient: (dz) => matmul({ ...output, data: dz }, A, { transposeA: true }),
    },
  };
}

function convStep(layer: ConvLayer, input: Tensor): ForwardStep {
  const { weights, options } = layer;
  const [N, channels, height, width] = input.shape;
  const geometry = convGeometry({ channels, height, width }, options);
  const output = conv2d(input, weights, geometry);
  const each = weights.rows / geometry.groups;
  const asOutput = (d: Float64Array): Tensor => ({ shape: output.shape, data: d });
  return {
    output,
    back: (d) => conv2dInputGradient(asOutput(d), weights, geometry).data,
    trainable: {
      weights,
      groups: geometry.groups,
      inputs: (group) => patches(input, geometry, group),
      derivatives: (dz, group) =>
        Array.from({ length: N }, (_, n) => channelsOf(asOutput(dz), n, group * each, each)),
      gradient: (dz) => conv2dWeightGradient(input, asOutput(dz), geometry),
    },
  };
}

/**
 * Back-propagates D (N × C, a derivative in the outputs per example); returns the derivative in z of each layer with
 * weights, in order, laid out as that layer's output. No sum over examples is taken.
 */
export function convBackward(pass: ConvForwardPass, D: Matrix): Float64Array[] {
  requireShape("convBackward", "D", D, pass.outputs.rows, pass.outputs.cols);
  const result: Float64Array[] = [];
  let current = D.data;
  for (const step of [...pass.steps].reverse()) {
    if (step.trainable) result.unshift(current);
    current = step.back(current);
  }
  return result;
}

/** The layers with weights of a pass, in order. */
export function trainableSteps(pass: ConvForwardPass): TrainableStep[] {
  return pass.steps.flatMap(({ trainable }) => (trainable ? [trainable] : []));
}

/** Loss, outputs Z and the gradient of each layer's weights on a batch X (N × C × H × W). */
export function convLossAndGradients(
  network: ConvNetwork,
  kind: LossKind,
  X: Tensor,
  targets: Targets,
  reduction: Reduction = "mean",
): { loss: number; outputs: Matrix; gradients: Matrix[] } {
  const pass = convForward(network, X);
  const { outputs } = pass;
  const factor = reduction === "mean" ? 1 / outputs.rows : 1;
  const derivatives = convBackward(pass, lossGradient(kind, outputs, targets));
  return {
    loss: factor * lossValues(kind, outputs, targets).reduce((a, b) => a + b, 0),
    outputs,
    gradients: trainableSteps(pass).map((step, l) => scale(step.gradient(derivatives[l]!), factor)),
  };
}

/**
 * The inputs and derivatives of each layer with weights, as blocks for operator.ts and approximations.ts: one block for
 * each group of a convolution (its rows of W), so `result[layer]` has one entry unless the layer is grouped. Columns,
 * divisor and draws are those of `curvatureRows`: `B[i][c]` is column c of example i.
 */
export function convCurvature(
  network: ConvNetwork,
  kind: LossKind,
  X: Tensor,
  fisher: Fisher,
): PositionBlock[][] {
  const pass = convForward(network, X);
  const { starts, divisor } = curvatureStarts(kind, pass.outputs, fisher);
  const passes = starts.map((D) => convBackward(pass, D));
  return trainableSteps(pass).map((step, l) =>
    Array.from({ length: step.groups }, (_, group): PositionBlock => {
      const columns = passes.map((derivatives) => step.derivatives(derivatives[l]!, group));
      const A = step.inputs(group);
      return { A, B: A.map((_, i) => columns.map((column) => column[i]!)), divisor };
    }),
  );
}

/** A copy of the network with other weights, one matrix per layer with weights in order. */
export function withConvWeights(network: ConvNetwork, weights: readonly Matrix[]): ConvNetworkLayer[] {
  let l = 0;
  const result = network.map((layer, index) => {
    if (layer.kind !== "linear" && layer.kind !== "conv") return layer;
    const W = weights[l++];
    if (W === undefined) {
      throw new ArgumentError(
        "withConvWeights",
        "weights",
        `must hold a matrix for layer ${index}, has none`,
      );
    }
    requireShape("withConvWeights", `weights[${l - 1}]`, W, layer.weights.rows, layer.weights.cols);
    return { ...layer, weights: W };
  });
  return result;
}

/** The weights of each layer that has some, in order. */
export function convWeightsOf(network: ConvNetwork): Matrix[] {
  return network.flatMap((layer) =>
    layer.kind === "linear" || layer.kind === "conv" ? [layer.weights] : [],
  );
}
