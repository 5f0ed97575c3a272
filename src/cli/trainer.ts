/** The loop that both training commands share: keeps a few steps in flight and takes their records in order. */
import { microBatches } from "../data/index.js";
import type { Optimizer, StepRecord } from "../optimizers/index.js";
import { Failure } from "./failure.js";
import type { Interrupt } from "./interrupt.js";
import { judged } from "./judged.js";
import type { Stream } from "./placed.js";
import type { HyperParameters } from "./settings.js";

/** Steps sent off before the first one's record is back: enough to keep the GPU busy. */
const IN_FLIGHT = 4;

export interface DoneStep {
  /** Counting from 1 over the whole run. */
  step: number;
  /** Counting from 1. */
  epoch: number;
  record: StepRecord;
}

/** A learning rate that falls linearly over `steps` steps to its `finalRate`'s share; undefined where it is
 * constant or the optimiser's own. */
export function linearRate(
  { learningRate, finalRate = 1 }: HyperParameters,
  steps: number,
): ((step: number) => number) | undefined {
  if (typeof learningRate !== "number" || finalRate === 1) return undefined;
  return (step) => learningRate * (1 - ((1 - finalRate) * step) / steps);
}

export class Trainer {
  /** Steps taken, all of them known to be good. */
  step: number;
  readonly #optimizer: Optimizer;
  readonly #stream: Stream;
  readonly #microBatch: number | undefined;
  readonly #interrupt: Interrupt;
  readonly #onStep: (done: DoneStep) => void;
  readonly #rate: ((step: number) => number) | undefined;

  constructor(options: {
    optimizer: Optimizer;
    stream: Stream;
    /** Most examples of a pass; all of a batch by default. */
    microBatch?: number | undefined;
    interrupt: Interrupt;
    onStep: (done: DoneStep) => void;
    /** Steps already taken in an earlier run. */
    step?: number;
    /** The learning rate of a step, counted from 0; defaults to the optimiser's own. */
    rate?: ((step: number) => number) | undefined;
  }) {
    this.#optimizer = options.optimizer;
    this.#stream = options.stream;
    this.#microBatch = options.microBatch;
    this.#interrupt = options.interrupt;
    this.#onStep = options.onStep;
    this.step = options.step ?? 0;
    this.#rate = options.rate;
  }

  /**
   * Steps until `target` steps are taken, or fewer when a stop is requested. Nothing is in flight when it ends.
   * Throws `Failure` when a loss is not finite and the optimiser has not dealt with it.
   */
  async advance(target: number): Promise<void> {
    const pending: Promise<StepRecord>[] = [];
    let next = this.step;
    try {
      for (;;) {
        while (next < target && pending.length < IN_FLIGHT && !this.#interrupt.requested) {
          if (this.#rate) this.#optimizer.learningRate = this.#rate(next);
          const batch = this.#stream.batch(next++);
          const size = this.#microBatch ?? batch.count;
          const promise = this.#optimizer.step(size < batch.count ? microBatches(batch, size) : batch);
          // It is awaited below; a rejection before that must not count as unhandled.
          promise.catch(() => {});
          pending.push(promise);
        }
        const promise = pending.shift();
        if (promise === undefined) return;
        this.#take(await promise);
      }
    } finally {
      await Promise.allSettled(pending);
    }
  }

  #take(record: StepRecord): void {
    // A batch that was left out, or a step that was taken back, has done no harm.
    const { verdict = "taken" } = judged(record);
    if (!Number.isFinite(record.loss) && verdict === "taken") {
      throw new Failure(
        `Training stopped: the loss of step ${this.step + 1} is not finite; lower the learning rate or look at the data.`,
      );
    }
    const epoch = Math.floor(this.step / this.#stream.stepsPerEpoch) + 1;
    this.step++;
    this.#onStep({ step: this.step, epoch, record });
  }
}
