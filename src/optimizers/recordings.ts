import type { Pass } from "../model/index.js";
import { LruCache } from "../pipeline/cache.js";
import type { CommandRecorder, PipelineManager } from "../pipeline/index.js";
import type { Recording } from "../pipeline/recording.js";
import type { StepCommands } from "./commands.js";
import type { StepPlan } from "./direction.js";

/** Kinds of steps whose commands are kept: batches of a few sizes, measured or not, each with what it takes in and renews. */
const KEPT = 64;

interface Kept {
  readonly recording: Recording;
  readonly pass: Pass;
}

/**
 * The commands of an optimiser's steps, kept by kind. Recording a step asks every layer, block and operation and checks all
 * they say; a step of a kind that was recorded before writes its numbers into uniforms and sends the same commands again.
 * No memory is kept for that, so any buffer may go meanwhile; then the step is recorded afresh.
 */
export class StepRecordings {
  readonly #manager: PipelineManager;
  readonly #commands: StepCommands;
  readonly #kept = new LruCache<Kept>(KEPT);

  constructor(manager: PipelineManager, commands: StepCommands) {
    this.#manager = manager;
    this.#commands = commands;
  }

  /** Records a whole step. */
  step(recorder: CommandRecorder, plan: StepPlan): void {
    const { repeats, profiler } = this.#manager;
    // What is profiled has a pass for each dispatch.
    const kind = repeats && !profiler ? this.#commands.kind(plan) : undefined;
    if (kind === undefined) {
      this.#commands.whole(recorder, plan);
      return;
    }
    const known = this.#kept.get(kind);
    if (known?.recording.stands && this.#commands.repeat(known.pass, plan)) {
      recorder.repeat(known.recording);
      return;
    }
    let pass: Pass | undefined;
    const recording = recorder.keep((inner) => {
      pass = this.#commands.whole(inner, plan).pass;
    });
    if (pass?.repeat) this.#kept.set(kind, { recording, pass });
  }

  dispose(): void {
    this.#kept.clear();
  }
}
