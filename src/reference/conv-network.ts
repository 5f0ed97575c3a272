/**
 * The note's third network in f64: convolutions, pooling, activations, flatten and dense layers on N × C × H × W inputs.
 * Losses, Fisher kinds and Monte-Carlo draws are those of loss.ts and fisher.ts. A network that ends in a feature map
 * has its C·H·W numbers (c, y, x) as outputs, so half squared error on it is a per-position loss. A layer on sequences is
 * a 1 × 1 convolution of N × features × 1 × T. A chain over graph.ts.
 */
import {
  CHAIN_INPUT,
  type ChainGraph,
  chainGraph,
  replaceWeights,
  trainableNodes,
  weightsOfLayers,
} from "./chain.js";
import type { ConvOptions } from "./conv.js";
import type { Fisher } from "./fisher.js";
import {
  type ForwardStep,
  type GraphPass,
  graphBackward,
  graphForward,
  passCurvature,
  passLossAndGradients,
  type ReferenceOp,
  type TrainableStep,
} from "./graph.js";
import type { LossKind, Reduction, Targets } from "./loss.js";
import type { Matrix } from "./matrix.js";
import type { Layer } from "./network.js";
import type { PositionBlock } from "./operator.js";
import {
  activationOp,
  averagePoolOp,
  conv2dOp,
  denseOp,
  flattenOp,
  globalAveragePoolOp,
  maxPoolOp,
} from "./ops.js";
import type { PoolOptions } from "./pooling.js";
import type { Tensor } from "./tensor.js";

export type { ForwardStep, TrainableStep } from "./graph.js";

/** z_t = W a_t, W as in conv.ts. */
export interface ConvLayer {
  kind: "conv";
  weights: Matrix;
  options: ConvOptions;
}

/** The largest number or the mean of each window. */
export interface PoolLayer {
  kind: "maxPool" | "averagePool";
  options: PoolOptions;
}

/** One layer of a convolutional network. */
export type ConvNetworkLayer =
  | Layer
  | ConvLayer
  | PoolLayer
  /** N × C × H × W to N × C. */
  | { kind: "globalAveragePool" }
  /** N × C × H × W to N × (C·H·W). */
  | { kind: "flatten" };

/** A convolutional network: its layers in order. */
export type ConvNetwork = readonly ConvNetworkLayer[];

/** A convolutional layer around existing weights. */
export function conv(weights: Matrix, options: ConvOptions): ConvLayer {
  return { kind: "conv", weights, options };
}

/** A pooling layer. */
export function pool(kind: PoolLayer["kind"], options: PoolOptions): PoolLayer {
  return { kind, options };
}

/** The network as a graph with the input "inputs", and its weights by key. */
export function convNetworkGraph(network: ConvNetwork): ChainGraph {
  return chainGraph(
    network.map((layer) => ({ op: opOf(layer), weights: "weights" in layer ? layer.weights : undefined })),
  );
}

function opOf(layer: ConvNetworkLayer): ReferenceOp {
  switch (layer.kind) {
    case "linear":
      return denseOp({ bias: layer.bias });
    case "conv":
      return conv2dOp(layer.options);
    case "maxPool":
      return maxPoolOp(layer.options);
    case "averagePool":
      return averagePoolOp(layer.options);
    case "globalAveragePool":
      return globalAveragePoolOp();
    case "flatten":
      return flattenOp();
    default:
      return activationOp(layer.kind, layer.slope);
  }
}

/** What a forward pass leaves for the backward pass. */
export interface ConvForwardPass {
  /** Z, N × C; a final feature map is flattened. */
  outputs: Matrix;
  /** One per layer, in order. */
  steps: ForwardStep[];
  /** The pass of the network's graph. */
  pass: GraphPass;
}

/**
 * Runs X (N × C × H × W) through the network.
 *
 * @throws ShapeError where a layer does not fit its input.
 */
export function convForward(network: ConvNetwork, X: Tensor): ConvForwardPass {
  const { graph, weights } = convNetworkGraph(network);
  const pass = graphForward(graph, weights, { [CHAIN_INPUT]: X });
  return { outputs: pass.outputs, steps: graph.nodes.map(({ name }) => pass.steps.get(name)!), pass };
}

/**
 * Back-propagates D (N × C, a derivative in the outputs per example); returns the derivative in z of each layer with
 * weights, in order, laid out as that layer's output. No sum over examples is taken.
 *
 * @throws ShapeError for a D of another shape than the outputs.
 */
export function convBackward({ pass }: ConvForwardPass, D: Matrix): Float64Array[] {
  const derivatives = graphBackward(pass, D);
  return trainableNodes(pass).map(({ name }) => derivatives.get(name)!);
}

/** The layers with weights of a pass, in order. */
export function trainableSteps({ pass }: ConvForwardPass): TrainableStep[] {
  return trainableNodes(pass).map(({ step }) => step);
}

/**
 * Loss, outputs Z and the gradient of each layer's weights on a batch X (N × C × H × W). `reduction` defaults to "mean".
 *
 * @throws ShapeError or ArgumentError for an X or targets that do not fit.
 */
export function convLossAndGradients(
  network: ConvNetwork,
  kind: LossKind,
  X: Tensor,
  targets: Targets,
  reduction: Reduction = "mean",
): { loss: number; outputs: Matrix; gradients: Matrix[] } {
  const { pass } = convForward(network, X);
  const { gradients, ...rest } = passLossAndGradients(pass, kind, targets, reduction);
  return { ...rest, gradients: Object.values(gradients) };
}

/**
 * The inputs and derivatives of each layer with weights, as blocks for operator.ts and approximations.ts: one block for
 * each group of a convolution (its rows of W), so `result[layer]` has one entry unless the layer is grouped. Columns,
 * divisor and draws are those of `curvatureRows`: `B[i][c]` is column c of example i.
 *
 * @throws as `convForward` and `curvatureStarts`.
 */
export function convCurvature(
  network: ConvNetwork,
  kind: LossKind,
  X: Tensor,
  fisher: Fisher,
): PositionBlock[][] {
  return Object.values(passCurvature(convForward(network, X).pass, kind, fisher));
}

/**
 * A copy of the network with other weights, one matrix per layer with weights in order.
 *
 * @throws ArgumentError for too few matrices, ShapeError for one of another shape.
 */
export function withConvWeights(network: ConvNetwork, weights: readonly Matrix[]): ConvNetworkLayer[] {
  return replaceWeights<ConvNetworkLayer>("withConvWeights", network, weights);
}

/** The weights of each layer that has some, in order. */
export function convWeightsOf(network: ConvNetwork): Matrix[] {
  return weightsOfLayers(network);
}
