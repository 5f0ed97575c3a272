/**
 * A dense network in f64: linear layers and element-wise activations, the twin of the GPU network of dense layers.
 * Inputs, outputs and back-propagated derivatives hold one example a row. A chain over graph.ts.
 */
import { type InitialWeightsOptions, initialWeights as randomWeights } from "../random/index.js";
import type { ActivationLayer } from "./activation.js";
import {
  CHAIN_INPUT,
  type ChainGraph,
  chainGraph,
  replaceWeights,
  trainableNodes,
  weightsOfLayers,
} from "./chain.js";
import type { Factors } from "./factors.js";
import { curvatureStarts, type Fisher } from "./fisher.js";
import { gram } from "./gram.js";
import { type GraphPass, graphBackward, graphForward, passLossAndGradients } from "./graph.js";
import type { LossKind, Reduction, Targets } from "./loss.js";
import { matmul } from "./matmul.js";
import { appendOnesColumn, type Matrix, matrix, requireShape, scale, stackRows } from "./matrix.js";
import type { CurvatureRows } from "./operator.js";
import { activationOp, denseOp } from "./ops.js";
import { isTensor } from "./tensor.js";

export { type ActivationLayer, activate, activation, activationSlope } from "./activation.js";
export type { Factors } from "./factors.js";
export { curvatureStarts, type Fisher } from "./fisher.js";
export type { Reduction } from "./loss.js";
export type { CurvatureRows } from "./operator.js";

/** z = W a. W is out × in, or out × (in + 1) with the bias as its last column. */
export interface LinearLayer {
  kind: "linear";
  weights: Matrix;
  bias: boolean;
}

/** One layer of a dense network. */
export type Layer = LinearLayer | ActivationLayer;
/** A dense network: its layers in order. */
export type Network = readonly Layer[];

/** A linear layer around existing weights. `bias` says whether their last column is one. */
export function linear(weights: Matrix, bias = true): LinearLayer {
  return { kind: "linear", weights, bias };
}

/** Initial weights as a matrix, out × (in + bias): see `initialWeights` in src/random. */
export function initialWeights(out: number, inputs: number, options: InitialWeightsOptions): Matrix {
  return matrix(out, inputs + (options.bias === false ? 0 : 1), randomWeights(out, inputs, options));
}

/** The network as a graph with the input "inputs", and its weights by key. */
export function networkGraph(network: Network): ChainGraph {
  return chainGraph(
    network.map((layer) =>
      layer.kind === "linear"
        ? { op: denseOp({ bias: layer.bias }), weights: layer.weights }
        : { op: activationOp(layer.kind, layer.slope) },
    ),
  );
}

/** What a forward pass leaves for the backward pass. */
export interface ForwardPass {
  /** Z, N × C. */
  outputs: Matrix;
  /** A of each linear layer, in order: N × (in + bias), the bias input 1 as the last column. */
  inputs: Matrix[];
  /** The pass of the network's graph. */
  pass: GraphPass;
}

/**
 * Runs X (N × in) through the network.
 *
 * @throws ShapeError where a layer does not fit its input.
 */
export function forward(network: Network, X: Matrix): ForwardPass {
  const { graph, weights } = networkGraph(network);
  const pass = graphForward(graph, weights, { [CHAIN_INPUT]: X });
  const inputs = network.flatMap((layer, index) => {
    if (layer.kind !== "linear") return [];
    const input = pass.values.get(graph.nodes[index]!.inputs[0]!)!;
    if (isTensor(input)) return [];
    return [layer.bias ? appendOnesColumn(input) : input];
  });
  return { outputs: pass.outputs, inputs, pass };
}

/**
 * Back-propagates D (N × C, a derivative in the outputs per example) and returns the derivative in z of each linear
 * layer, in order, each N × out. Row i depends on example i only: no sum over examples is taken.
 *
 * @throws ShapeError for a D of another shape than the outputs.
 */
export function backward({ pass }: ForwardPass, D: Matrix): Matrix[] {
  const derivatives = graphBackward(pass, D);
  return trainableNodes(pass).map(({ name }) =>
    matrix(D.rows, pass.weights[name]!.rows, derivatives.get(name)!),
  );
}

/** Loss, outputs, gradients and inputs of a batch. */
export interface LossAndGradients {
  /** The loss in nats (cross-entropies) or squared output units (half squared error), mean or sum over examples. */
  loss: number;
  outputs: Matrix;
  /** G = ∂loss/∂W of each linear layer, out × (in + bias). */
  gradients: Matrix[];
  /** As in `ForwardPass`. */
  inputs: Matrix[];
}

/**
 * Loss and gradient of the network on a batch X (N × in). `reduction` defaults to "mean".
 *
 * @throws ShapeError or ArgumentError for an X or targets that do not fit.
 */
export function lossAndGradients(
  network: Network,
  kind: LossKind,
  X: Matrix,
  targets: Targets,
  reduction: Reduction = "mean",
): LossAndGradients {
  const { inputs, pass } = forward(network, X);
  const { gradients, ...rest } = passLossAndGradients(pass, kind, targets, reduction);
  return { ...rest, gradients: Object.values(gradients), inputs };
}

/** The rows that K-FAC's factors are sums over (Martens & Grosse 2015, §2–3). */
export function curvatureRows(network: Network, kind: LossKind, X: Matrix, fisher: Fisher): CurvatureRows {
  const pass = forward(network, X);
  const { starts, divisor } = curvatureStarts(kind, pass.outputs, fisher);
  const passes = starts.map((D) => backward(pass, D));
  const B = pass.inputs.map((_, l) => stackRows(passes.map((p) => p[l]!)));
  return { A: pass.inputs, B, columns: starts.length, divisor };
}

/** The factors of each linear layer from one batch. */
export function batchFactors(rows: CurvatureRows): Factors[] {
  return rows.A.map((A, l) => ({
    A: gram({ A, examples: "rows", alpha: 1 / A.rows }),
    B: gram({ A: rows.B[l]!, examples: "rows", alpha: 1 / rows.divisor }),
  }));
}

/**
 * The layer's own block of the mean loss's GGN, applied without forming it: V ↦ (1/N) Σ_i B_iB_i' V A_iA_i', for V of
 * the layer's shape out × (in + bias) (Bulatov 2017, H = Σ_i A_iA_i' ⊗ B_iB_i').
 *
 * @throws ShapeError for a V of another shape.
 */
export function applyGgnBlock(rows: CurvatureRows, layer: number, V: Matrix): Matrix {
  const A = rows.A[layer]!;
  const B = rows.B[layer]!;
  requireShape("applyGgnBlock", "V", V, B.cols, A.cols);
  const N = A.rows;
  const VA = matmul(V, A, { transposeB: true });
  const right = matrix(B.cols, N);
  for (let r = 0; r < B.rows; r++) {
    const i = r % N;
    let weight = 0;
    for (let o = 0; o < B.cols; o++) weight += B.data[r * B.cols + o]! * VA.data[o * N + i]!;
    for (let o = 0; o < B.cols; o++) right.data[o * N + i]! += weight * B.data[r * B.cols + o]!;
  }
  return scale(matmul(right, A), 1 / rows.divisor);
}

/**
 * A copy of the network with other weights, one matrix per linear layer in order.
 *
 * @throws ArgumentError for too few matrices, ShapeError for one of another shape.
 */
export function withWeights(network: Network, weights: readonly Matrix[]): Layer[] {
  return replaceWeights<Layer>("withWeights", network, weights);
}

/** The weights of each linear layer, in order. */
export function weightsOf(network: Network): Matrix[] {
  return weightsOfLayers(network);
}
