/** Which epoch was best, and whether it is time to end. */
import type { EpochSummary } from "./history.js";
import type { EarlyStopping } from "./options.js";

/** How epochs are judged. */
export interface Judgement {
  readonly metric: NonNullable<EarlyStopping["metric"]>;
  /** Epochs in a row without improvement after which to end. */
  readonly patience: number;
  readonly minDelta: number;
}

/** Keeps the best epoch. */
export class Best {
  /** Undefined until a metric was a number. */
  epoch: number | undefined;
  readonly #judgement: Judgement;
  #value = Number.POSITIVE_INFINITY;
  #waited = 0;

  constructor(judgement: Judgement) {
    this.#judgement = judgement;
  }

  /** Out of patience. */
  get exhausted(): boolean {
    return this.#waited >= this.#judgement.patience;
  }

  /** Whether this epoch is the best so far. One whose metric is not known does not count; NaN is no improvement. */
  async judge(summary: EpochSummary): Promise<boolean> {
    const { metric, minDelta } = this.#judgement;
    const known = typeof metric === "function" ? await metric(summary) : summary[metric];
    if (known === undefined) return false;
    const value = metric === "accuracy" || metric === "validationAccuracy" ? -known : known;
    if (!(value < this.#value - (this.epoch === undefined ? 0 : minDelta))) {
      this.#waited++;
      return false;
    }
    this.epoch = summary.epoch;
    this.#value = value;
    this.#waited = 0;
    return true;
  }
}
