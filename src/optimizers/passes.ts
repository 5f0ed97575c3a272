import type { Model } from "../model/index.js";
import type { CommandRecorder, Kernel, PipelineManager, Recorder } from "../pipeline/index.js";
import type { StepCommands } from "./commands.js";
import type { Step, StepPlan } from "./direction.js";
import type { MicroBatch, MicroBatches } from "./micro-batches.js";

/** Records and submits; a refusal is told by what is read back next. What `record` throws leaves nothing borrowed. */
export function submitted<T>(manager: PipelineManager, record: (recorder: CommandRecorder) => T): T {
  const recorder = manager.record();
  let result: T;
  try {
    result = record(recorder);
  } catch (error) {
    recorder.end();
    throw error;
  }
  recorder.submit({ watched: true });
  return result;
}

/**
 * Sends the passes over the micro-batches of a step, a submit each: they share the memory of the model, which the next one's
 * numbers reach once the commands before are on their way. The CPU waits for none of them.
 */
export class MicroBatchPasses {
  readonly #manager: PipelineManager;
  readonly #model: Model;
  readonly #commands: StepCommands;

  constructor(manager: PipelineManager, model: Model, commands: StepCommands) {
    this.#manager = manager;
    this.#model = model;
    this.#commands = commands;
  }

  /** The kernels of a whole step, for which one micro-batch of each size is loaded. @throws as `Model.load` */
  kernels(plan: StepPlan, { parts }: MicroBatches): readonly Kernel[] {
    const commands = this.#commands;
    const last = parts.at(-1)!;
    const sizes = new Map(parts.map((part) => [part.batch.count, part]));
    return [...sizes.values()].flatMap((part) => {
      this.#model.load(part.batch);
      return this.#manager.collect((recorder) => {
        const step = commands.part(recorder, plan, part, true);
        if (part.batch.count === last.batch.count) {
          commands.join(recorder);
          commands.statistics(recorder, step);
          commands.update(recorder, step);
        }
        if (commands.asksForLoss) commands.after(recorder, part, true, true);
      });
    });
  }

  /**
   * Submits all passes and what adds them up. The step is that of the last, whose pass is not over.
   *
   * @throws as `Model.load`; then nothing that is kept has changed
   */
  send(plan: StepPlan, batch: MicroBatches): Step {
    const steps = this.#each(batch, (recorder, part, first, last) => {
      const step = this.#commands.part(recorder, plan, part, first);
      if (last) this.#commands.join(recorder);
      return step;
    });
    return steps.at(-1)!;
  }

  /** Submits what looks at the loss again after the step, where that is asked for. */
  sendAfter(batch: MicroBatches): void {
    if (!this.#commands.asksForLoss) return;
    this.#each(batch, (recorder, part, first, last) => this.#commands.after(recorder, part, first, last));
  }

  #each<T>(
    { parts }: MicroBatches,
    record: (recorder: Recorder, part: MicroBatch, first: boolean, last: boolean) => T,
  ): T[] {
    return parts.map((part, index) => {
      this.#model.load(part.batch);
      return submitted(this.#manager, (recorder) =>
        record(recorder, part, index === 0, index === parts.length - 1),
      );
    });
  }
}
