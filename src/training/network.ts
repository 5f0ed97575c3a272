/** What `fit` asks of what it trains. */
import type { Model } from "../model/index.js";
import type { Network } from "../network/index.js";
import type { StepBatch, StepRecord } from "../optimizers/index.js";

/**
 * What is trained: a `Network`, or a model of the caller's own. Such a model lacks what it likes of a network's; `fit` says so
 * where an option needs it.
 */
export interface FitNetwork
  extends Model,
    Partial<Pick<Network, "batchSize" | "loss" | "check" | "evaluate" | "weights" | "setWeights">> {}

/**
 * What trains it: an `Optimizer`, or what steps like one. A batch is taken in, or copied, before `step` returns. Lists of
 * micro-batches come where steps have more examples than the network takes at a time.
 */
export interface FitOptimizer<R extends StepRecord = StepRecord> {
  readonly model?: Model;
  /** As `Optimizer.averages` and `withAverage`. */
  readonly averages?: boolean;
  /** Why it takes no such lists. */
  readonly withoutMicroBatches?: string | undefined;
  step(batch: StepBatch): Promise<R>;
  withAverage?<T>(use: () => T | Promise<T>): Promise<T>;
}
