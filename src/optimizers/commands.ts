import type { Model, Pass } from "../model/index.js";
import type { Recorder } from "../pipeline/index.js";
import type { Accumulation } from "./accumulation.js";
import type { WeightAverage } from "./average.js";
import type { Direction, Step, StepPlan } from "./direction.js";
import type { MicroBatch } from "./micro-batches.js";
import { type StepRecord, statusOf } from "./record.js";
import type { StepTail, TailSettings } from "./tail.js";

/** The commands of a step, part by part in their order: what a step does, whenever it is sent. */
export class StepCommands {
  readonly #model: Model;
  readonly #direction: Direction;
  readonly #tail: StepTail;
  readonly #accumulation: Accumulation;
  readonly #scope: "network" | "layer";
  readonly #average: WeightAverage | undefined;

  constructor(parts: {
    model: Model;
    direction: Direction;
    tail: StepTail;
    accumulation: Accumulation;
    scope: "network" | "layer";
    average?: WeightAverage | undefined;
  }) {
    this.#model = parts.model;
    this.#direction = parts.direction;
    this.#tail = parts.tail;
    this.#accumulation = parts.accumulation;
    this.#scope = parts.scope;
    this.#average = parts.average;
  }

  /** Records forward and backward pass, and writes what the commands of a step read. */
  pass(recorder: Recorder, plan: StepPlan): Step {
    const pass = this.#model.recordPass(recorder, this.#direction.fisher?.(plan));
    const step = { ...plan, pass, flags: this.#tail.flags, summed: false };
    this.#write(step);
    return step;
  }

  /** Steps of one kind have the same commands, as long as their passes do; undefined where each may have its own. */
  kind(plan: StepPlan): string | undefined {
    const own = this.#direction.recording?.(plan);
    if (own === undefined) return undefined;
    const fisher = this.#direction.fisher?.(plan);
    const { gradientClip, klClip } = tailSettings(plan);
    return `${plan.examples} ${fisher?.kind} ${fisher?.samples} ${gradientClip > 0} ${klClip > 0} ${own}`;
  }

  /** Makes the commands of a step that had this pass ready for another one. False where the model would record others. */
  repeat(pass: Pass, plan: StepPlan): boolean {
    if (!pass.repeat?.(this.#direction.fisher?.(plan))) return false;
    this.#write({ ...plan, pass, flags: this.#tail.flags, summed: false });
    return true;
  }

  /** Records the pass over a micro-batch, and what adds up its part of the batch; `first` of the step's. */
  part(recorder: Recorder, plan: StepPlan, { share, first: example }: MicroBatch, first: boolean): Step {
    const fisher = this.#direction.fisher?.(plan);
    const pass = this.#model.recordPass(recorder, fisher && { ...fisher, first: example });
    this.#accumulation.add(recorder, share, first);
    if (fisher) this.#direction.addStatistics?.(recorder, pass, share, first);
    const step = { ...plan, pass, flags: this.#tail.flags, summed: true };
    this.#write(step);
    return step;
  }

  /** Records that the sums over all micro-batches are what the pass of the last one left. */
  join(recorder: Recorder): void {
    this.#accumulation.finish(recorder);
  }

  /** Whether the step under way wants the loss of its batch after it, which for micro-batches is `after`'s affair. */
  get asksForLoss(): boolean {
    return this.#direction.control?.state.asksForRatio ?? false;
  }

  /** Records the loss after the step of a micro-batch that is loaded again and, with the last, what follows from it. */
  after(recorder: Recorder, { share }: MicroBatch, first: boolean, last: boolean): void {
    const { state } = this.#direction.control!;
    state.addLossAfter(recorder, share, first);
    if (last) state.judgeRatio(recorder);
  }

  /** Records the verdict on the batch, and what is kept of its pass. */
  statistics(recorder: Recorder, step: Step): void {
    this.#direction.control?.state.judge(recorder);
    if (step.pass.fisher) this.#direction.statistics?.(recorder, step);
  }

  /** Records all that follows, from G to the weights. */
  update(recorder: Recorder, step: Step): void {
    const settings = tailSettings(step);
    const { control } = this.#direction;
    // Weights that nothing has changed count once.
    if (step.number >= this.#firstStep) this.#average?.record(recorder);
    // Before the direction overwrites U.
    this.#tail.begin(recorder, settings.gradientClip > 0, control?.update);
    const update = this.#direction.record?.(recorder, step);
    const controlled = control && { control: control.state, step };
    this.#tail.finish(recorder, update, controlled);
    if (!step.summed) control?.state.measureRatio(recorder);
  }

  /** Records all three. */
  whole(recorder: Recorder, plan: StepPlan): Step {
    const step = this.pass(recorder, plan);
    this.statistics(recorder, step);
    this.update(recorder, step);
    return step;
  }

  /** Records what reads the step's record back, with what the direction adds to it. */
  record(recorder: Recorder, plan: StepPlan): Promise<StepRecord> {
    const { damping } = plan.settings as { damping?: unknown };
    const { readBack = [] } = this.#direction;
    const ranges = [{ buffer: this.#model.statistics, bytes: 8 }, this.#tail.outcome, ...readBack];
    return recorder.readRanges(ranges).then(([head, outcome, ...rest]) => {
      const [loss, accuracy] = new Float32Array(head!);
      const { status: trouble, ...report } = this.#direction.decode?.(rest, plan) ?? {};
      // Where the GPU finds the rate, the direction tells it.
      const { learningRate }: { learningRate: number } = { ...tailSettings(plan), ...report };
      const { flags, ...tail } = this.#tail.decode(outcome!, learningRate);
      return {
        step: plan.number,
        loss: loss!,
        accuracy: accuracy!,
        learningRate,
        ...(typeof damping === "number" && { lambda: damping }),
        ...tail,
        ...report,
        status: statusOf({ ...tail, flags }, this.#scope, trouble),
      };
    });
  }

  get #firstStep(): number {
    return this.#direction.firstStep ?? 1;
  }

  #write(step: Step): void {
    const { control } = this.#direction;
    const settings = tailSettings(step);
    this.#tail.write(settings);
    this.#average?.write(settings.averageDecay, Math.max(1, step.number - this.#firstStep + 1));
    control?.state.write(control.plan(step));
    this.#direction.write?.(step);
  }
}

/** What the tail takes of a step's settings; every schema has these. */
function tailSettings({ settings }: StepPlan): TailSettings & { averageDecay: number } {
  const given = settings as unknown as TailSettings & { averageDecay: number };
  // Where it is a word, the GPU finds the number.
  const known = (value: unknown) => (typeof value === "number" ? value : 0);
  return { ...given, learningRate: known(given.learningRate), momentum: known(given.momentum) };
}
