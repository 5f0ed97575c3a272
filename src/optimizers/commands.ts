import type { Model, Pass } from "../model/index.js";
import type { Recorder } from "../pipeline/index.js";
import type { WeightAverage } from "./average.js";
import type { Direction, Step, StepPlan } from "./direction.js";
import { type StepRecord, statusOf } from "./record.js";
import type { StepTail, TailSettings } from "./tail.js";

/** The commands of a step, part by part in their order: what a step does, whenever it is sent. */
export class StepCommands {
  readonly #model: Model;
  readonly #direction: Direction;
  readonly #tail: StepTail;
  readonly #scope: "network" | "layer";
  readonly #average: WeightAverage | undefined;

  constructor(
    model: Model,
    direction: Direction,
    tail: StepTail,
    scope: "network" | "layer",
    average?: WeightAverage,
  ) {
    this.#average = average;
    this.#model = model;
    this.#direction = direction;
    this.#tail = tail;
    this.#scope = scope;
  }

  /** Records forward and backward pass, and writes what the commands of a step read. */
  pass(recorder: Recorder, plan: StepPlan): Step {
    const pass = this.#model.recordPass(recorder, this.#direction.fisher?.(plan));
    const step = { ...plan, pass, flags: this.#tail.flags };
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
    this.#write({ ...plan, pass, flags: this.#tail.flags });
    return true;
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
    this.#average?.record(recorder);
    this.#tail.begin(recorder, settings.gradientClip > 0);
    if (control) this.#tail.measureSlope(recorder, control.state, control.update);
    const update = this.#direction.record?.(recorder, step);
    const controlled = control && { control: control.state, pass: step.pass };
    this.#tail.finish(recorder, settings, update, controlled);
    control?.state.measureRatio(recorder);
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

  #write(step: Step): void {
    const { control } = this.#direction;
    const settings = tailSettings(step);
    this.#tail.write(settings);
    this.#average?.write(settings.averageDecay, step.number);
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
