/**
 * What the command line names: activations, losses, optimisers. The library itself is not loaded for --help: activations
 * come from where it names them, losses have shorter names here, and types and a test hold all of them against it.
 */
import { ACTIVATIONS, type ActivationName } from "../layers/names.js";
import type { Loss } from "../network/index.js";
import type { Adam, Kfac, Sgd } from "../optimizers/index.js";
import type { Size } from "./layers.js";

export { ACTIVATIONS, type ActivationName as Activation };

/** `--loss` and the library's name for it. */
export const LOSS_KINDS = {
  softmax: "softmaxCrossEntropy",
  squared: "halfSquaredError",
  sigmoid: "sigmoidCrossEntropy",
} as const satisfies Record<string, Loss["kind"]>;
export type LossName = keyof typeof LOSS_KINDS;
export const LOSSES = Object.keys(LOSS_KINDS) as readonly LossName[];

export const OPTIMIZERS = ["kfac", "sgd", "adam"] as const satisfies readonly (Adam | Kfac | Sgd)["name"][];
export type OptimizerKind = (typeof OPTIMIZERS)[number];

/** The optimisers' names for people. */
export const TITLES: Readonly<Record<OptimizerKind, string>> = { kfac: "K-FAC", sgd: "SGD", adam: "Adam" };

/** A network as the command line describes it. */
export interface NetworkPlan {
  /** Input, hidden and output sizes; of a convolutional network each layer as `--layers` writes it. */
  sizes: readonly Size[];
  activation: ActivationName;
  loss: LossName;
  batchSize: number;
  /** Most examples of a pass, where a step takes several; all of a batch by default. */
  microBatch?: number | undefined;
  seed: number;
}
