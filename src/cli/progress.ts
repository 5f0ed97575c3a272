/** Progress on stderr: one line that rewrites itself on a terminal, otherwise a plain line every few seconds. */

import type { ControlReport, StepRecord } from "../optimizers/index.js";
import type { Environment } from "./environment.js";
import { judged } from "./judged.js";
import { duration, percent, short } from "./table.js";

export interface ProgressState {
  label: string;
  step: number;
  steps: number;
  /** Steps of this process, to measure speed by: the run may have been resumed. */
  firstStep: number;
  epoch: number;
  epochs: number;
  loss: number;
  accuracy: number | undefined;
  /** What the optimiser says of the step. */
  record: StepRecord;
  /** Of this process. */
  seconds: number;
}

const REDRAW_MS = 80;
const LINE_MS = 5000;
const BAR = 24;

export class Progress {
  readonly #environment: Environment;
  #last = Number.NEGATIVE_INFINITY;
  #drawn = false;
  /** Single batches jump; people want the trend. */
  #loss: number | undefined;
  #accuracy: number | undefined;
  /** Of the step before. */
  #verdict: ControlReport["verdict"] = "taken";

  constructor(environment: Environment) {
    this.#environment = environment;
  }

  update(state: ProgressState): void {
    this.#loss = blend(this.#loss, state.loss);
    if (state.accuracy !== undefined) this.#accuracy = blend(this.#accuracy, state.accuracy);
    this.#tell(state);
    const { stderr, now } = this.#environment;
    const time = now();
    if (time - this.#last < (stderr.isTTY ? REDRAW_MS : LINE_MS)) return;
    this.#last = time;
    const line = this.#line(state, stderr.isTTY);
    if (!stderr.isTTY) {
      stderr.write(`${line}\n`);
      return;
    }
    stderr.write(`\r${shorten(line, stderr.columns - 1)}\x1b[K`);
    this.#drawn = true;
  }

  /** A line that stays, above the bar. */
  note(line: string): void {
    this.clear();
    this.#environment.stderr.write(`${line}\n`);
  }

  /** Takes the bar away. */
  clear(): void {
    if (this.#drawn) this.#environment.stderr.write("\r\x1b[K");
    this.#drawn = false;
    this.#last = this.#environment.stderr.isTTY ? Number.NEGATIVE_INFINITY : this.#last;
  }

  /** Another run begins: forget the trend. */
  restart(): void {
    this.#loss = undefined;
    this.#accuracy = undefined;
    this.#verdict = "taken";
  }

  /** A line that stays for the first batch of several that is left out, and for each step that is taken back. */
  #tell({ label, step, record }: ProgressState): void {
    const { verdict = "taken", status } = judged(record);
    const before = this.#verdict;
    this.#verdict = verdict;
    if (verdict === "restored" || (verdict === "held" && before === "taken")) {
      this.note(`${label}  step ${step}: ${status}`);
    }
  }

  #line(state: ProgressState, withBar: boolean): string {
    const { label, step, steps, epoch, epochs, seconds, record } = state;
    const speed = seconds > 0 ? (step - state.firstStep) / seconds : 0;
    const share = steps > 0 ? step / steps : 1;
    const parts = [
      `${label}  epoch ${epoch}/${epochs}`,
      withBar ? `${bar(share)} ${String(Math.floor(100 * share)).padStart(3)} %` : `step ${step}/${steps}`,
      `loss ${short(this.#loss)}`,
      ...(this.#accuracy === undefined ? [] : [`accuracy ${percent(this.#accuracy)}`]),
      ...decisions(record),
      `${speed.toFixed(speed < 10 ? 1 : 0)} steps/s`,
      ...(speed > 0 ? [`${duration((steps - step) / speed)} left`] : []),
    ];
    return parts.join("  ");
  }
}

/** What the optimiser found by itself, and what it did about bad batches. */
function decisions(record: StepRecord): string[] {
  const { verdict, learningRate, lambda, rejected = 0, heldBatches = 0 } = judged(record);
  if (verdict === undefined) return [];
  return [
    ...(verdict === "taken" ? [`rate ${short(learningRate)}`] : []),
    `λ ${short(lambda)}`,
    ...(rejected > 0 ? [`${rejected} taken back`] : []),
    ...(heldBatches > 0 ? [`${heldBatches} left out`] : []),
  ];
}

function blend(old: number | undefined, value: number): number {
  return old === undefined ? value : 0.9 * old + 0.1 * value;
}

function bar(share: number): string {
  const full = Math.round(share * BAR);
  return "█".repeat(full) + "░".repeat(BAR - full);
}

function shorten(line: string, columns: number): string {
  const characters = [...line];
  return characters.length <= columns ? line : characters.slice(0, Math.max(0, columns)).join("");
}
