/** The loop that both training commands share: keeps a few steps in flight and takes their records in order. */
import type { BatchStream } from "./batch-stream.js";
import type { Optimizer, StepRecord } from "./engine.js";
import { Failure } from "./failure.js";
import type { Interrupt } from "./interrupt.js";

/** Steps sent off before the first one's record is back: enough to keep the GPU busy. */
const IN_FLIGHT = 4;

export interface DoneStep {
  /** Counting from 1 over the whole run. */
  step: number;
  /** Counting from 1. */
  epoch: number;
  record: StepRecord;
}

export class Trainer {
  /** Steps taken, all of them known to be good. */
  step: number;
  readonly #optimizer: Optimizer;
  readonly #stream: BatchStream;
  readonly #interrupt: Interrupt;
  readonly #onStep: (done: DoneStep) => void;

  constructor(options: {
    optimizer: Optimizer;
    stream: BatchStream;
    interrupt: Interrupt;
    onStep: (done: DoneStep) => void;
    /** Steps already taken in an earlier run. */
    step?: number;
  }) {
    this.#optimizer = options.optimizer;
    this.#stream = options.stream;
    this.#interrupt = options.interrupt;
    this.#onStep = options.onStep;
    this.step = options.step ?? 0;
  }

  /**
   * Steps until `target` steps are taken, or fewer when a stop is requested. Nothing is in flight when it ends.
   * Throws `Failure` when a loss is not finite.
   */
  async advance(target: number): Promise<void> {
    const pending: Promise<StepRecord>[] = [];
    let next = this.step;
    try {
      for (;;) {
        while (next < target && pending.length < IN_FLIGHT && !this.#interrupt.requested) {
          const promise = this.#optimizer.step(this.#stream.batch(next++));
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
    if (!Number.isFinite(record.loss)) {
      throw new Failure(
        `Training stopped: the loss of step ${this.step + 1} is not finite; lower the learning rate or raise the damping.`,
      );
    }
    const epoch = Math.floor(this.step / this.#stream.stepsPerEpoch) + 1;
    this.step++;
    this.#onStep({ step: this.step, epoch, record });
  }
}
