import type { NetworkPlan, OptimizerKind } from "./choices.js";
import type { HyperParameters } from "./settings.js";

/** Everything that a training run needs to know besides its data. */
export interface TrainPlan {
  network: NetworkPlan;
  optimizer: OptimizerKind;
  settings: HyperParameters;
  epochs: number;
  /** Steps of the whole run. */
  steps: number;
  stepsPerEpoch: number;
}
