/** What a run of `fit` says of itself. */
import { AbortedError } from "../errors.js";
import type { ControlReport, StepRecord } from "../optimizers/index.js";

/** A place in a run: so many steps of that epoch are taken. */
export interface FitPosition {
  /** 1 for the first. */
  readonly epoch: number;
  /** Defaults to 0, the epoch's start. */
  readonly step?: number;
}

/** One epoch, or as much of it as was run. */
export interface EpochSummary {
  /** 1 for the first. */
  readonly epoch: number;
  /** Steps and examples that the means are made of, or that `notFinite` counts. */
  readonly steps: number;
  readonly examples: number;
  /** Mean loss of the examples, each before the step that it took part in; NaN where no loss was finite. */
  readonly loss: number;
  /** Share of the examples classified right, likewise; 0 for losses without classes, NaN where no loss was finite. */
  readonly accuracy: number;
  /** Mean loss over the validation data after the epoch; undefined in epochs without. */
  readonly validationLoss?: number;
  /** Share of the validation data classified right; undefined in epochs without. */
  readonly validationAccuracy?: number;
  /** Of training and validation. */
  readonly seconds: number;
  /** Steps whose loss was not finite. They count in no mean. */
  readonly notFinite: number;
  /** Steps that left a layer alone; see `StepRecord.skippedLayers`. */
  readonly skipped: number;
  /** Steps that the optimiser took back, and batches that it left out; 0 for those that judge none. */
  readonly rejected: number;
  readonly held: number;
}

/** Why a run ended. `"data"`: the sequence of batches came to its end. `"callback"`: a callback said stop. */
export type FitEnd = "epochs" | "steps" | "early stopping" | "callback" | "data" | "aborted";

/** A whole run. */
export interface FitHistory {
  readonly epochs: readonly EpochSummary[];
  /** Steps of this run. */
  readonly steps: number;
  readonly seconds: number;
  /** The epoch whose metric was best; undefined where none was a number. */
  readonly bestEpoch: number | undefined;
  readonly ended: FitEnd;
  /** Whether the weights after `bestEpoch` were put back; else they are those after the last step. */
  readonly restored: boolean;
  /** Where it stopped: `start` of a run that goes on from here. */
  readonly at: FitPosition;
}

/** The caller's `AbortSignal` fired. What was trained until then is kept. */
export class FitAbortedError extends AbortedError {
  /** What came before; to go on, call `fit` with `start: error.history.at`. */
  readonly history: FitHistory;

  constructor(history: FitHistory, reason: unknown) {
    super("fit", reason);
    this.history = history;
  }
}

/** A record with the verdict of optimisers that judge their batches. */
type JudgedRecord = StepRecord & Partial<Pick<ControlReport, "verdict">>;

/** Means over the records of an epoch, each record weighted by its examples. */
export class EpochMeans {
  steps = 0;
  examples = 0;
  notFinite = 0;
  skipped = 0;
  rejected = 0;
  held = 0;
  #loss = 0;
  #right = 0;
  #counted = 0;

  take({ loss, accuracy, skippedLayers, verdict }: JudgedRecord, count: number): void {
    this.steps++;
    this.examples += count;
    if (skippedLayers > 0) this.skipped++;
    if (verdict === "restored") this.rejected++;
    if (verdict === "held") this.held++;
    if (!Number.isFinite(loss)) {
      this.notFinite++;
      return;
    }
    this.#counted += count;
    this.#loss += loss * count;
    this.#right += accuracy * count;
  }

  get loss(): number {
    return this.#loss / this.#counted;
  }

  get accuracy(): number {
    return this.#right / this.#counted;
  }

  /** Without what only a validation knows. */
  summary(epoch: number, seconds: number): EpochSummary {
    const { steps, examples, loss, accuracy, notFinite, skipped, rejected, held } = this;
    return { epoch, steps, examples, loss, accuracy, seconds, notFinite, skipped, rejected, held };
  }
}
