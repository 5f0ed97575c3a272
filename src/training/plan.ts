/** All that `fit` checks before the first step, and what it then works with. */
import type { Dataset } from "../data/index.js";
import { ArgumentError, type KfacError } from "../errors.js";
import type { AnyBatch } from "../model/index.js";
import type { StepRecord } from "../optimizers/index.js";
import type { GpuDataset } from "../resident/index.js";
import { Best } from "./best.js";
import { examplesOf, type FitExamples, type IndexedExamples, isExamples } from "./examples.js";
import type { FitNetwork, FitOptimizer } from "./network.js";
import { type FitOptions, type ResolvedFitOptions, resolveFitOptions } from "./options.js";
import {
  type BatchSequence,
  examplesSource,
  isIterator,
  isSequence,
  type Source,
  sequenceSource,
} from "./source.js";
import { split, type Validation, validationBy, validationOf } from "./validation.js";

/**
 * What `fit` trains on: arrays of all examples, a data set in main memory or on the GPU, examples by number; or batches as they come, from a sequence or from
 * a function that makes one for each epoch (1 for the first), such as `async function* (epoch) { … }`.
 */
export type FitData =
  | AnyBatch
  | Dataset
  | GpuDataset
  | IndexedExamples
  | BatchSequence
  | ((epoch: number) => BatchSequence | Promise<BatchSequence>);

/** A run that has passed all checks. */
export interface FitPlan<R extends StepRecord> {
  readonly net: FitNetwork;
  readonly optimizer: FitOptimizer<R>;
  readonly options: ResolvedFitOptions<R>;
  readonly source: Source;
  readonly validation: Validation | undefined;
  readonly best: Best;
  readonly restoreBest: boolean;
}

/** @throws KfacError of the kinds that `fit` names, for anything that can be wrong beforehand */
export function planFit<R extends StepRecord>(
  net: FitNetwork,
  optimizer: FitOptimizer<R>,
  data: FitData,
  given: FitOptions<R>,
): FitPlan<R> {
  requireTrained(net, optimizer);
  const options = resolveFitOptions(given);
  if (!isExamples(data)) {
    for (const name of ["batchSize", "dropLast", "shuffle"] as const) {
      if (given[name]) throw argument(name, "is for examples; batches of a sequence are taken as they come");
    }
  }
  const { source, validation } = isExamples(data)
    ? fromExamples(net, optimizer, data, options)
    : fromSequence(net, data, options);
  const { stepsPerEpoch } = source;
  const { step } = options.start;
  if (stepsPerEpoch !== undefined && step > stepsPerEpoch) {
    throw argument("start.step", `must be at most ${stepsPerEpoch}, the steps of an epoch, got ${step}`);
  }
  return { net, optimizer, options, source, validation, ...bestOf(net, validation, options) };
}

function requireTrained(net: FitNetwork, optimizer: FitOptimizer): void {
  if (typeof net !== "object" || net === null) throw argument("net", `must be a network, got ${String(net)}`);
  if (typeof optimizer?.step !== "function") {
    throw argument("optimizer", `must be an optimiser, got ${String(optimizer)}`);
  }
  if (optimizer.model !== undefined && optimizer.model !== net) {
    throw argument("optimizer", "trains another network; pass the one that it was made for");
  }
}

type Origins = Pick<FitPlan<StepRecord>, "source" | "validation">;

function fromExamples<R extends StepRecord>(
  net: FitNetwork,
  { withoutMicroBatches }: FitOptimizer<R>,
  data: FitExamples,
  options: ResolvedFitOptions<R>,
): Origins {
  const { batchSize = net.batchSize, stepsPerEpoch, dropLast, seed } = options;
  if (batchSize === undefined) throw argument("batchSize", "must be a whole number of at least 1");
  if (batchSize > (net.batchSize ?? batchSize) && withoutMicroBatches !== undefined) {
    const most = `must be at most the network's, ${net.batchSize}, got ${batchSize}`;
    throw argument("batchSize", `${most}: there are no micro-batches, since ${withoutMicroBatches}`);
  }
  let examples = examplesOf("data", data, net);
  let validation: Validation | undefined;
  if (typeof options.validation === "number") {
    const [rest, kept] = split(examples, options.validation, seed);
    examples = rest;
    validation = validationBy(kept, net, batchSize);
  } else {
    validation = namedValidation(net, options, batchSize);
  }
  if (dropLast && examples.count < batchSize) {
    throw argument(
      "dropLast",
      `leaves no batch: there are ${examples.count} examples and batchSize is ${batchSize}`,
    );
  }
  const source = examplesSource(examples, { ...options, batchSize });
  return { source: shortened(source, stepsPerEpoch), validation };
}

function fromSequence<R extends StepRecord>(
  net: FitNetwork,
  data: Exclude<FitData, FitExamples>,
  options: ResolvedFitOptions<R>,
): Origins {
  const { stepsPerEpoch, epochs, start } = options;
  if (typeof data !== "function" && !isSequence(data)) {
    const actual = Object.prototype.toString.call(data).slice(8, -1);
    throw argument(
      "data",
      `must be { inputs, targets, count }, a data set, { count, batch }, an iterable of batches or a function that makes one, got ${actual}`,
    );
  }
  if (typeof options.validation === "number") {
    throw argument("validation", "must be examples, since a sequence has no share to keep");
  }
  if (isIterator(data) && stepsPerEpoch === undefined && epochs !== undefined && epochs > start.epoch) {
    throw argument(
      "data",
      "goes by once and several epochs are asked for; pass a function that makes it anew, or stepsPerEpoch",
    );
  }
  const validation = namedValidation(net, options, net.batchSize ?? 1);
  return { source: sequenceSource(data, stepsPerEpoch), validation };
}

/** The validation data that the caller named. */
function namedValidation<R extends StepRecord>(
  net: FitNetwork,
  { validation }: ResolvedFitOptions<R>,
  chunk: number,
): Validation | undefined {
  if (validation === undefined || typeof validation === "number") return undefined;
  if (isExamples(validation)) return validationOf(validation, net, chunk);
  throw argument(
    "validation",
    "must be a share in (0, 1), { inputs, targets, count }, a data set or { count, batch }",
  );
}

function shortened(source: Source, stepsPerEpoch: number | undefined): Source {
  if (stepsPerEpoch === undefined) return source;
  return { ...source, stepsPerEpoch: Math.min(stepsPerEpoch, source.stepsPerEpoch ?? stepsPerEpoch) };
}

function bestOf<R extends StepRecord>(
  net: FitNetwork,
  validation: Validation | undefined,
  { earlyStopping }: ResolvedFitOptions<R>,
): Pick<FitPlan<R>, "best" | "restoreBest"> {
  const metric = earlyStopping?.metric ?? (validation ? "validationLoss" : "loss");
  if (!validation && (metric === "validationLoss" || metric === "validationAccuracy")) {
    throw argument(
      "earlyStopping.metric",
      `must be loss or accuracy without validation data, got ${JSON.stringify(metric)}`,
    );
  }
  const restoreBest = earlyStopping?.restoreBest ?? false;
  if (restoreBest && !(typeof net.weights === "function" && typeof net.setWeights === "function")) {
    throw argument(
      "earlyStopping.restoreBest",
      "must be false for a model without weights() and setWeights()",
    );
  }
  const { patience = Number.POSITIVE_INFINITY, minDelta = 0 } = earlyStopping ?? {};
  return { best: new Best({ metric, patience, minDelta }), restoreBest };
}

function argument(name: string, message: string): KfacError {
  return new ArgumentError("fit", name, message);
}
