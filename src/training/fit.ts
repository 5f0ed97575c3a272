import { microBatches } from "../data/index.js";
import { AbortedError, ArgumentError, DataError } from "../errors.js";
import type { ModelBatch } from "../model/index.js";
import type { StepBatch, StepRecord } from "../optimizers/index.js";
import {
  EpochMeans,
  type EpochSummary,
  FitAbortedError,
  type FitEnd,
  type FitHistory,
  type FitPosition,
} from "./history.js";
import type { FitNetwork, FitOptimizer } from "./network.js";
import type { FitOptions } from "./options.js";
import { type FitData, type FitPlan, planFit } from "./plan.js";
import { summaryLine } from "./report.js";
import type { OpenEpoch } from "./source.js";
import { CUT, Wait } from "./wait.js";

/** What is being trained: two runs on one network would take turns in no order. */
const busy = new WeakSet<object>();

/**
 * Trains for some epochs: shuffles, keeps a few steps under way, validates, and ends when it gets no better. The batches are a
 * function of data, batch size, seed and epoch, so that epochs 1 and 2 and then, with `start`, 3 and 4 are epochs 1 to 4.
 *
 * Everything that can be wrong with the arguments is refused before the first step. An error in mid-run (of a step, a callback or
 * the caller's data) ends it: what is under way is waited for.
 *
 * @param net what `optimizer` was made for; leave it alone until the promise settles, but in `onEpoch`
 * @throws (by rejection) ArgumentError for a bad option, ArgumentError, ShapeError or DataError for data that does not fit,
 *   FitAbortedError once the signal fires, DeviceLostError, and whatever a callback or the caller's data throws
 */
export async function fit<R extends StepRecord>(
  net: FitNetwork,
  optimizer: FitOptimizer<R>,
  data: FitData,
  options: FitOptions<R>,
): Promise<FitHistory> {
  const plan = planFit(net, optimizer, data, options);
  if (busy.has(net))
    throw new ArgumentError("fit", "net", "is being trained by another call; wait for it to end");
  busy.add(net);
  try {
    return await new Run(plan).run();
  } finally {
    busy.delete(net);
  }
}

/** A step under way. */
interface Sent<R> {
  readonly record: Promise<R>;
  readonly count: number;
}

/** How an epoch came to its end: with its last step, with the last batch there was, or before that. */
interface EpochEnd {
  readonly means: EpochMeans;
  readonly by: "steps" | "data" | "halt";
}

class Run<R extends StepRecord> {
  readonly #plan: FitPlan<R>;
  readonly #began = performance.now();
  readonly #wait = new Wait();
  readonly #epochs: EpochSummary[] = [];
  #at: Required<FitPosition>;
  /** Steps sent, and those whose records are back. */
  #sent = 0;
  #taken = 0;
  /** A step has failed, and a callback has said that it is enough. */
  #failed = false;
  #enough = false;
  /** Weights after the best epoch, and steps taken since. */
  #weights: readonly Float32Array[] | undefined;
  #since = 0;
  #restored = false;

  constructor(plan: FitPlan<R>) {
    this.#plan = plan;
    const { start } = plan.options;
    const { stepsPerEpoch } = plan.source;
    this.#at = start.step === stepsPerEpoch ? { epoch: start.epoch + 1, step: 0 } : start;
  }

  async run(): Promise<FitHistory> {
    const { signal, epochs } = this.#plan.options;
    const cut = () => this.#wait.cut();
    signal?.addEventListener("abort", cut);
    try {
      // Nothing is left to do where an earlier run came to its end.
      let ended: FitEnd | undefined = this.#at.epoch > (epochs ?? Infinity) ? "epochs" : undefined;
      while (ended === undefined) ended = await this.#epoch();
      this.#restore();
      return this.#history(ended);
    } catch (error) {
      if (error instanceof AbortedError && signal?.aborted) {
        throw new FitAbortedError(this.#history("aborted"), signal.reason);
      }
      throw error;
    } finally {
      signal?.removeEventListener("abort", cut);
    }
  }

  /** Runs the rest of an epoch. Returns why the run ends after it; undefined where it goes on. */
  async #epoch(): Promise<FitEnd | undefined> {
    const { options, source, validation, best } = this.#plan;
    const { signal, validateEvery, onEpoch, log } = options;
    const { epoch, step: skip } = this.#at;
    const began = performance.now();
    const { means, by } = await this.#train(epoch, skip);
    if (signal?.aborted) throw new AbortedError("fit", signal.reason);
    if (means.steps === 0 && skip === 0) {
      // What goes by once may end with an epoch.
      if (this.#taken > 0 && !source.repeats) return "data";
      throw new DataError(
        "data",
        `gave no batch for epoch ${epoch}; pass what can be gone through in each epoch`,
      );
    }
    let ended = this.#ended(epoch, by);
    if (by !== "halt") this.#at = { epoch: epoch + 1, step: 0 };
    if (means.steps === 0) return ended;
    const evaluation =
      validation && (ended || epoch % validateEvery === 0)
        ? await this.#averaged(() => validation(signal))
        : undefined;
    const summary: EpochSummary = {
      ...means.summary(epoch, (performance.now() - began) / 1000),
      ...(evaluation && { validationLoss: evaluation.loss, validationAccuracy: evaluation.accuracy }),
    };
    this.#epochs.push(summary);
    if (await best.judge(summary)) await this.#keepWeights();
    if (best.exhausted) ended ??= "early stopping";
    log?.(summaryLine(summary, options.epochs));
    if ((await onEpoch?.(summary)) === "stop") ended ??= "callback";
    return ended;
  }

  /** Takes the steps of an epoch. Nothing is under way when it is over, whether it ends well or by an error. */
  async #train(epoch: number, skip: number): Promise<EpochEnd> {
    const { source, options } = this.#plan;
    const { stepsPerEpoch = Number.POSITIVE_INFINITY } = source;
    const { inFlight, steps = Number.POSITIVE_INFINITY, signal } = options;
    const batches = source.open(epoch, skip);
    const means = new EpochMeans();
    const pending: Sent<R>[] = [];
    let sent = skip;
    let out = false;
    let trouble: { readonly error: unknown } | undefined;
    const goesOn = () =>
      !(out || trouble || this.#failed || this.#enough || signal?.aborted) &&
      sent < stepsPerEpoch &&
      this.#sent < steps;
    try {
      for (;;) {
        while (pending.length < inFlight && goesOn()) {
          try {
            const batch = await this.#next(batches);
            out = batch === undefined;
            if (batch === undefined || batch === CUT || !goesOn()) break;
            pending.push(this.#send(batch));
            sent++;
          } catch (error) {
            trouble = { error };
          }
        }
        const oldest = pending.shift();
        if (!oldest) break;
        await this.#take(await oldest.record, oldest.count, means);
      }
    } finally {
      batches.close();
      await Promise.allSettled(pending.map(({ record }) => record));
    }
    if (trouble) throw trouble.error;
    return { means, by: sent === stepsPerEpoch ? "steps" : out ? "data" : "halt" };
  }

  async #next(batches: OpenEpoch): Promise<StepBatch | undefined | typeof CUT> {
    const batch = batches.next();
    return isPromise(batch) ? this.#wait.until(batch) : batch;
  }

  #send(given: StepBatch): Sent<R> {
    const { net, optimizer } = this.#plan;
    const batch = inPasses(given, net.batchSize);
    const record = Promise.resolve(optimizer.step(batch));
    // It is awaited in its turn; until then its failure must not count as unhandled.
    record.catch(() => {
      this.#failed = true;
      this.#wait.cut();
    });
    this.#sent++;
    // What is no batch was refused.
    const count = isList(batch) ? batch.reduce((sum, part) => sum + part?.count, 0) : batch?.count;
    return { record, count };
  }

  async #take(record: R, count: number, means: EpochMeans): Promise<void> {
    const { onStep, onProgress, epochs } = this.#plan.options;
    const { epoch, step } = this.#at;
    this.#at = { epoch, step: step + 1 };
    this.#taken++;
    this.#since++;
    means.take(record, count);
    if ((await onStep?.(record, this.#at)) === "stop") this.#enough = true;
    onProgress?.({
      epoch,
      epochs,
      step: this.#at.step,
      stepsPerEpoch: this.#plan.source.stepsPerEpoch,
      done: this.#taken,
      total: this.#total,
      loss: means.loss,
      seconds: this.#seconds,
    });
  }

  /** Why the run ends with this epoch, whatever becomes of it. */
  #ended(epoch: number, by: EpochEnd["by"]): FitEnd | undefined {
    const { options, source } = this.#plan;
    const { epochs, steps } = options;
    if (by !== "halt" && epoch === epochs) return "epochs";
    if (this.#enough) return "callback";
    if (this.#sent === steps) return "steps";
    return by === "data" && !source.repeats ? "data" : undefined;
  }

  async #keepWeights(): Promise<void> {
    const { net, restoreBest } = this.#plan;
    if (restoreBest) this.#weights = await this.#averaged(() => net.weights!());
    this.#since = 0;
  }

  /** With the mean of the weights in their place, where there is one. */
  #averaged<T>(use: () => Promise<T>): Promise<T> {
    const { optimizer } = this.#plan;
    return optimizer.averages && optimizer.withAverage ? optimizer.withAverage(use) : use();
  }

  /** Puts the weights after the best epoch back, where there are others now. */
  #restore(): void {
    if (!this.#weights || this.#since === 0) return;
    this.#plan.net.setWeights!(this.#weights);
    this.#restored = true;
  }

  get #seconds(): number {
    return (performance.now() - this.#began) / 1000;
  }

  /** Steps of the run if nothing ends it sooner. */
  get #total(): number | undefined {
    const { options, source } = this.#plan;
    const { epochs, steps, start } = options;
    if (epochs === undefined || source.stepsPerEpoch === undefined) return steps;
    return Math.min(steps ?? Infinity, (epochs - start.epoch + 1) * source.stepsPerEpoch - start.step);
  }

  #history(ended: FitEnd): FitHistory {
    return {
      epochs: this.#epochs,
      steps: this.#taken,
      seconds: this.#seconds,
      bestEpoch: this.#plan.best.epoch,
      ended,
      restored: this.#restored,
      at: this.#at,
    };
  }
}

/** A batch of more examples than the network takes at a time, in micro-batches. */
function inPasses(batch: StepBatch, size: number | undefined): StepBatch {
  return isList(batch) || size === undefined || !(batch?.count > size) ? batch : microBatches(batch, size);
}

function isList(batch: StepBatch): batch is readonly ModelBatch[] {
  return Array.isArray(batch);
}

function isPromise<T>(value: T | Promise<T>): value is Promise<T> {
  return typeof value === "object" && value !== null && "then" in value;
}
