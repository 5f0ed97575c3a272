/**
 * What the command line names: activations, losses, optimisers. The lists are the library's, written out because the
 * library itself is not loaded for --help; the types hold them against it, and a test does too.
 */
import type { FisherKind } from "../model/index.js";
import type { ActivationModule, Loss } from "../network/index.js";
import type { Optimizer } from "../optimizers/index.js";
import type { Size } from "./layers.js";

export const ACTIVATIONS = [
  "relu",
  "leakyRelu",
  "tanh",
  "logistic",
] as const satisfies readonly ActivationModule["kind"][];
export type Activation = (typeof ACTIVATIONS)[number];

/** `--loss` and the library's name for it. */
export const LOSS_KINDS = {
  softmax: "softmaxCrossEntropy",
  squared: "halfSquaredError",
  sigmoid: "sigmoidCrossEntropy",
} as const satisfies Record<string, Loss["kind"]>;
export type LossName = keyof typeof LOSS_KINDS;
export const LOSSES = Object.keys(LOSS_KINDS) as readonly LossName[];

export const OPTIMIZERS = ["kfac", "sgd", "adam"] as const satisfies readonly Optimizer["name"][];
export type OptimizerKind = (typeof OPTIMIZERS)[number];

/** The optimisers' names for people. */
export const TITLES: Readonly<Record<Optimizer["name"], string>> = {
  kfac: "K-FAC",
  newton: "Newton",
  sgd: "SGD",
  adam: "Adam",
};

export const FISHER_KINDS = ["exact", "monteCarlo", "empirical"] as const satisfies readonly FisherKind[];

/** A network as the command line describes it. */
export interface NetworkPlan {
  /** Input, hidden and output sizes; of a convolutional network each layer as `--layers` writes it. */
  sizes: readonly Size[];
  activation: Activation;
  loss: LossName;
  batchSize: number;
  seed: number;
}

/** Settings of every optimiser; each takes those it knows, and has its own default for what is absent. */
export interface HyperParameters {
  learningRate?: number;
  /** Share of the learning rate that is left at the end of the run, linearly in between; defaults to 1, constant. */
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
