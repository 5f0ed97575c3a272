/** The part of the engine that the command line uses. `connect.ts` and connect/ alone know the engine itself. */
import type { CurvatureComparison } from "../curvature/index.js";
import type { Certificate, VerifyOptions } from "../verify/index.js";
import type { Size } from "./layers.js";

export interface Batch {
  /** count × features. */
  inputs: Float32Array;
  /** Classes, or count × outputs values. */
  targets: Uint32Array | Float32Array;
  count: number;
}

export interface LayerRecord {
  readonly name: string;
  readonly lambda: number;
  readonly pi: number;
  /** "ok", or what is the matter. */
  readonly text: string;
}

export interface StepRecord {
  /** Mean over the batch, before the step. */
  readonly loss: number;
  /** Share of the batch classified right, for losses with classes. */
  readonly accuracy: number;
  readonly gradientNorm: number;
  readonly updateNorm: number;
  readonly learningRate: number;
  /** Damping; absent without curvature. */
  readonly lambda?: number;
  readonly layers?: readonly LayerRecord[];
  /** "ok", or what is the matter. */
  readonly status: string;
}

export type OptimizerState = Record<string, Float32Array | Uint32Array>;

export interface Optimizer {
  readonly name: OptimizerKind;
  /** Counts from the next step on. */
  learningRate: number;
  /** Sends the step off at once; resolves when its record has come back. */
  step(batch: Batch): Promise<StepRecord>;
  state(): Promise<OptimizerState>;
  restore(state: OptimizerState): void | Promise<void>;
  dispose(): void;
}

export interface Evaluation {
  loss: number;
  accuracy: number;
  count: number;
}

export interface Network {
  readonly layers: readonly { readonly name: string; readonly in: number; readonly out: number }[];
  weights(): Promise<Float32Array[]>;
  setWeights(weights: Float32Array[]): void | Promise<void>;
  evaluate(supplier: (start: number, end: number) => Batch, options: { total: number }): Promise<Evaluation>;
  /** count × outputs. */
  predict(inputs: Float32Array, count: number): Promise<Float32Array>;
  dispose(): void;
}

export const ACTIVATIONS = ["relu", "leakyRelu", "tanh", "logistic"] as const;
export const LOSSES = ["softmax", "squared", "sigmoid"] as const;
export const OPTIMIZERS = ["kfac", "sgd", "adam"] as const;
export const FISHER_KINDS = ["exact", "monteCarlo", "empirical"] as const;

export type Activation = (typeof ACTIVATIONS)[number];
export type Loss = (typeof LOSSES)[number];
export type OptimizerKind = (typeof OPTIMIZERS)[number];
export type FisherKind = (typeof FISHER_KINDS)[number];

export interface NetworkPlan {
  /** Input, hidden and output sizes; of a convolutional network each layer as `--layers` writes it. */
  sizes: readonly Size[];
  activation: Activation;
  loss: Loss;
  batchSize: number;
  seed: number;
}

/** The optimisers' names for people. */
export const TITLES: Readonly<Record<OptimizerKind, string>> = { kfac: "K-FAC", sgd: "SGD", adam: "Adam" };

/** Settings of every optimiser; each takes those it knows, and has its own default for what is absent. */
export interface HyperParameters {
  learningRate?: number;
  /** Share of the learning rate that is left at the end of the run, linearly in between; 1, constant, unless given. */
  finalRate?: number;
  momentum?: number;
  weightDecay?: number;
  damping?: number;
  emaDecay?: number;
  factorEvery?: number;
  inverseEvery?: number;
  klClip?: number;
  fisher?: FisherKind;
  samples?: number;
}

/** A matrix in main memory, row-major. */
export interface HostMatrix {
  rows: number;
  cols: number;
  data: Float32Array;
}

export interface Engine {
  readonly capabilities: { readonly adapter: string; readonly software: boolean };
  network(plan: NetworkPlan): Network;
  optimizer(kind: OptimizerKind, network: Network, settings: HyperParameters, seed: number): Optimizer;
  /** Σ A_i A_i'. */
  gram(options: { A: HostMatrix | HostMatrix[] }): Promise<HostMatrix>;
  matmul(
    A: HostMatrix,
    B: HostMatrix,
    options?: { transposeA?: boolean; transposeB?: boolean; alpha?: number },
  ): Promise<HostMatrix>;
  /** (S + damping·I)⁻¹; bits of status: 1 not positive definite, 2 not finite, 4 damping below what f32 resolves. */
  invert(S: HostMatrix, options: { damping: number }): Promise<{ inverse: HostMatrix; status: number }>;
  /** P G Q. */
  sandwich(P: HostMatrix, G: HostMatrix, Q: HostMatrix): Promise<HostMatrix>;
  /** S = V Λ V', values rising; bits of status: 2 not finite, 8 not converged. */
  eigh(S: HostMatrix): Promise<{ values: Float32Array; vectors: HostMatrix; status: number }>;
  /** V ↦ Σ B_iB_i' V A_iA_i'. With `inverses`, solutions are preconditioned by left · R · right. */
  kroneckerSum(
    examples: { A: HostMatrix[]; B: HostMatrix[] },
    inverses?: { left: HostMatrix; right: HostMatrix },
  ): CurvatureSystem;
  /** The Hessian in a convolution's weights of half squared error, summed over examples. */
  convolution(problem: ConvolutionProblem): Promise<CurvatureSystem & { readonly gradient: HostMatrix }>;
  /** Every approximation of each layer's curvature on this batch, against the exact one. */
  compare(network: Network, batch: Batch, options: CompareOptions): Promise<LayerComparison[]>;
  /** The package's theorems and kernels, checked on this adapter. */
  verify(options: VerifyOptions): Promise<Certificate[]>;
  dispose(): void;
}

export interface CompareOptions {
  damping: number;
  signal?: AbortSignal;
  onProgress?: (layer: string, done: number, total: number) => void;
}

export interface LayerComparison extends CurvatureComparison {
  /** Of fitting and solving an approximation once, by name. */
  seconds: Readonly<Record<string, number>>;
}

export type Approximation = "expand" | "reduce" | "ekfac" | "kfoc" | "meanFluctuation";

/** A symmetric positive semi-definite H on out × in matrices that the engine holds and never forms. */
export interface CurvatureSystem {
  apply(V: HostMatrix): Promise<HostMatrix>;
  /** (H + damping·I)⁻¹ R by conjugate gradients from zero. */
  solve(
    R: HostMatrix,
    options: { damping: number; maxIterations: number; tolerance?: number },
  ): Promise<{ solution: HostMatrix; iterations: number; status: string }>;
  /** (H̃ + damping·I)⁻¹ R with an approximation H̃ of H; meanFluctuation has its damping in the second product. */
  approximate(kind: Approximation, R: HostMatrix, damping: number): Promise<HostMatrix>;
  dispose(): void;
}

/** Prediction head · flatten(conv(x)), or flatten(conv(x)); all pairs are [y, x]. */
export interface ConvolutionProblem {
  /** N × C × H × W. */
  inputs: Float32Array;
  shape: readonly [number, number, number, number];
  kernel: readonly [number, number];
  stride: readonly [number, number];
  padding: readonly [number, number];
  dilation: readonly [number, number];
  bias: boolean;
  /** H'·W'. */
  positions: number;
  /** O × (C·kh·kw [+ 1]). */
  W: HostMatrix;
  /** outputs × (O·H'·W'). */
  head: HostMatrix | undefined;
  /** N × outputs. */
  target: HostMatrix;
}
