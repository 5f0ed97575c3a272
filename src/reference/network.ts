/**
 * A dense network in f64: linear layers and element-wise activations, the twin of the GPU network of dense layers.
 * Inputs, outputs and back-propagated derivatives hold one example a row.
 */
import { ArgumentError, ShapeError } from "../errors.js";
import { initialWeights as randomWeights } from "../random/index.js";
import { gram } from "./gram.js";
import {
  type LossKind,
  lossGradient,
  lossSquareRootColumn,
  lossValues,
  sampledGradient,
  type Targets,
} from "./loss.js";
import { matmul } from "./matmul.js";
import { appendOnesColumn, type Matrix, matrix, requireShape, scale, shapeOf, stackRows } from "./matrix.js";

/** z = W a. W is out × in, or out × (in + 1) with the bias as its last column. */
export interface LinearLayer {
  kind: "linear";
  weights: Matrix;
  bias: boolean;
}

export interface ActivationLayer {
  kind: "relu" | "leakyRelu" | "tanh" | "logistic";
  /** Slope of leakyRelu below zero; 0.01 unless given. */
  slope?: number;
}

export type Layer = LinearLayer | ActivationLayer;
export type Network = readonly Layer[];

/** A linear layer around existing weights. */
export function linear(weights: Matrix, bias = true): LinearLayer {
  return { kind: "linear", weights, bias };
}

/** An element-wise activation. At zero, relu and leakyRelu take the slope of the negative side. */
export function activation(kind: ActivationLayer["kind"], slope?: number): ActivationLayer {
  return { kind, slope };
}

/** Initial weights as a matrix, out × (in + bias): see `initialWeights` in src/random. */
export function initialWeights(
  out: number,
  inputs: number,
  options: Parameters<typeof randomWeights>[2],
): Matrix {
  return matrix(out, inputs + (options.bias === false ? 0 : 1), randomWeights(out, inputs, options));
}

/** What a forward pass leaves for the backward pass. */
export interface ForwardPass {
  /** Z, N × C. */
  outputs: Matrix;
  /** A of each linear layer, in order: N × (in + bias), the bias input 1 as the last column. */
  inputs: Matrix[];
  /** Input of every layer, in order, as it was before any bias column. */
  layerInputs: Matrix[];
}

/** Runs X (N × in) through the network. Throws `ShapeError` where a layer does not fit its input. */
export function forward(network: Network, X: Matrix): ForwardPass {
  const inputs: Matrix[] = [];
  const layerInputs: Matrix[] = [];
  let current = X;
  network.forEach((layer, index) => {
    layerInputs.push(current);
    if (layer.kind === "linear") {
      const expected = layer.weights.cols - (layer.bias ? 1 : 0);
      if (current.cols !== expected) {
        throw new ShapeError("forward", `input of layer ${index}`, shapeOf(current), [
          current.rows,
          expected,
        ]);
      }
      const A = layer.bias ? appendOnesColumn(current) : current;
      inputs.push(A);
      current = matmul(A, layer.weights, { transposeB: true });
    } else {
      current = { ...current, data: current.data.map((z) => activate(layer, z)) };
    }
  });
  return { outputs: current, inputs, layerInputs };
}

/** The activation's value at z. */
export function activate(layer: ActivationLayer, z: number): number {
  switch (layer.kind) {
    case "relu":
      return Math.max(z, 0);
    case "leakyRelu":
      return z > 0 ? z : (layer.slope ?? 0.01) * z;
    case "tanh":
      return Math.tanh(z);
    case "logistic":
      return z >= 0 ? 1 / (1 + Math.exp(-z)) : Math.exp(z) / (1 + Math.exp(z));
  }
}

/** The activation's derivative at z. */
export function activationSlope(layer: ActivationLayer, z: number): number {
  switch (layer.kind) {
    case "relu":
      return z > 0 ? 1 : 0;
    case "leakyRelu":
      return z > 0 ? 1 : (layer.slope ?? 0.01);
    case "tanh":
      return 1 - Math.tanh(z) ** 2;
    case "logistic": {
      const s = activate(layer, z);
      return s * (1 - s);
    }
  }
}

/**
 * Back-propagates D (N × C, a derivative in the outputs per example) and returns the derivative in z of each linear
 * layer, in order, each N × out. Row i depends on example i only: no sum over examples is taken.
 */
export function backward(network: Network, pass: ForwardPass, D: Matrix): Matrix[] {
  requireShape("backward", "D", D, pass.outputs.rows, pass.outputs.cols);
  const result: Matrix[] = [];
  let current = D;
  for (let index = network.length - 1; index >= 0; index--) {
    const layer = network[index]!;
    if (layer.kind === "linear") {
      result.unshift(current);
      const full = matmul(current, layer.weights);
      current = layer.bias ? dropLastColumn(full) : full;
    } else {
      const z = pass.layerInputs[index]!.data;
      current = { ...current, data: current.data.map((d, k) => d * activationSlope(layer, z[k]!)) };
    }
  }
  return result;
}

/** m without its last column, the inverse of `appendOnesColumn`. */
export function dropLastColumn(m: Matrix): Matrix {
  const out = matrix(m.rows, m.cols - 1);
  for (let i = 0; i < m.rows; i++) {
    out.data.set(m.data.subarray(i * m.cols, i * m.cols + out.cols), i * out.cols);
  }
  return out;
}

/** How the examples' losses are put together: their sum, or their sum over N. */
export type Reduction = "mean" | "sum";

export interface LossAndGradients {
  /** The loss in nats (cross-entropies) or squared output units (half squared error), mean or sum over examples. */
  loss: number;
  outputs: Matrix;
  /** G = ∂loss/∂W of each linear layer, out × (in + bias). */
  gradients: Matrix[];
  /** As in `ForwardPass`. */
  inputs: Matrix[];
}

/** Loss and gradient of the network on a batch X (N × in). */
export function lossAndGradients(
  network: Network,
  kind: LossKind,
  X: Matrix,
  targets: Targets,
  reduction: Reduction = "mean",
): LossAndGradients {
  const pass = forward(network, X);
  const factor = reduction === "mean" ? 1 / X.rows : 1;
  const values = lossValues(kind, pass.outputs, targets);
  const derivatives = backward(network, pass, lossGradient(kind, pass.outputs, targets));
  return {
    loss: factor * values.reduce((a, b) => a + b, 0),
    outputs: pass.outputs,
    gradients: derivatives.map((dz, l) => matmul(dz, pass.inputs[l]!, { transposeA: true, alpha: factor })),
    inputs: pass.inputs,
  };
}

/**
 * Where the columns of B_i come from:
 * - "exact": one column per output, from the square root of the loss's Hessian (the GGN, equal to the true Fisher);
 * - "monteCarlo": `samples` columns from targets drawn from the model (an unbiased estimate of the true Fisher);
 * - "empirical": one column from the true targets. Not the Fisher information; named for what it is.
 */
export type Fisher =
  | { kind: "exact" }
  | { kind: "monteCarlo"; seed: number; step: number; samples?: number }
  | { kind: "empirical"; targets: Targets };

export interface CurvatureRows {
  /** A of each linear layer, N × (in + bias). */
  A: Matrix[];
  /**
   * B of each linear layer, (N·columns) × out: row c·N + i is column c of B_i, the derivative of example i's OWN loss
   * (no 1/N inside), one block of N rows per backward pass.
   */
  B: Matrix[];
  /** Columns of each B_i: C for "exact", `samples` for "monteCarlo", 1 for "empirical". */
  columns: number;
  /** Divide Σ bb' by this to get B̄: N, and for "monteCarlo" N·samples. */
  divisor: number;
}

/**
 * The columns of each B_i at the network's outputs Z (N × C): matrices N × C whose row i belongs to example i, one for
 * each column, and the divisor of `CurvatureRows`.
 */
export function curvatureStarts(
  kind: LossKind,
  Z: Matrix,
  fisher: Fisher,
): { starts: Matrix[]; divisor: number } {
  if (fisher.kind === "exact") {
    const starts = Array.from({ length: Z.cols }, (_, c) => lossSquareRootColumn(kind, Z, c));
    return { starts, divisor: Z.rows };
  }
  if (fisher.kind === "empirical") {
    return { starts: [lossGradient(kind, Z, fisher.targets)], divisor: Z.rows };
  }
  const { seed, step, samples = 1 } = fisher;
  if (!(Number.isInteger(samples) && samples >= 1)) {
    throw new ArgumentError("curvatureRows", "samples", `must be a positive integer, got ${samples}`);
  }
  const starts = Array.from({ length: samples }, (_, sample) =>
    sampledGradient(kind, Z, { seed, step, sample }),
  );
  return { starts, divisor: Z.rows * samples };
}

/** The rows that K-FAC's factors are sums over (Martens & Grosse 2015, §2–3). */
export function curvatureRows(network: Network, kind: LossKind, X: Matrix, fisher: Fisher): CurvatureRows {
  const pass = forward(network, X);
  const { starts, divisor } = curvatureStarts(kind, pass.outputs, fisher);
  const passes = starts.map((D) => backward(network, pass, D));
  const B = pass.inputs.map((_, l) => stackRows(passes.map((p) => p[l]!)));
  return { A: pass.inputs, B, columns: starts.length, divisor };
}

/** Ā (in × in) and B̄ (out × out) of one layer: the means (1/N) Σ A_iA_i' and (1/N) Σ B_iB_i'. */
export interface Factors {
  A: Matrix;
  B: Matrix;
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

/** A copy of the network with other weights, one matrix per linear layer in order. */
export function withWeights(network: Network, weights: readonly Matrix[]): Layer[] {
  let l = 0;
  return network.map((layer, index) => {
    if (layer.kind !== "linear") return layer;
    const W = weights[l++];
    if (W === undefined) {
      throw new ArgumentError(
        "withWeights",
        "weights",
        `must hold one matrix per linear layer, layer ${index} has none`,
      );
    }
    requireShape("withWeights", `weights[${l - 1}]`, W, layer.weights.rows, layer.weights.cols);
    return { ...layer, weights: W };
  });
}

/** The weights of each linear layer, in order. */
export function weightsOf(network: Network): Matrix[] {
  return network.flatMap((layer) => (layer.kind === "linear" ? [layer.weights] : []));
}
