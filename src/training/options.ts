/** The options of `fit`, and what is wrong with those of a caller. */

import { adviceFor, shown } from "../arguments.js";
import { ArgumentError } from "../errors.js";
import type { StepRecord } from "../optimizers/index.js";
import { checkOption } from "../optimizers/resolve.js";
import { nonNegative, type OptionEntry, whole } from "../optimizers/schema.js";
import type { FitExamples } from "./examples.js";
import type { EpochSummary, FitPosition } from "./history.js";

/** What is watched: a number of the epoch's summary. */
export type FitMetric = "loss" | "accuracy" | "validationLoss" | "validationAccuracy";

const METRICS: readonly FitMetric[] = ["loss", "accuracy", "validationLoss", "validationAccuracy"];

/** When to end a run that gets no better. */
export interface EarlyStopping {
  /**
   * What is watched: a name, whose losses are to fall and accuracies to rise, or a function of the summary, to fall. Defaults to
   * `"validationLoss"` where there is validation data, else `"loss"`.
   */
  metric?: FitMetric | ((summary: EpochSummary) => number | Promise<number>);
  /** Epochs in a row without improvement after which the run ends; defaults to 5. Epochs without validation do not count. */
  patience?: number;
  /** What counts as an improvement: more than this; defaults to 0. */
  minDelta?: number;
  /**
   * At the end of the run, however it ends unless by an error or a signal, put the weights after the best epoch back; defaults
   * to true. The optimiser's own state stays that after the last step.
   */
  restoreBest?: boolean;
}

/** Where a run is. */
export interface FitProgress {
  readonly epoch: number;
  /** Undefined where `steps` alone ends the run. */
  readonly epochs: number | undefined;
  /** Steps of this epoch, and of an epoch; undefined where only its end shows. */
  readonly step: number;
  readonly stepsPerEpoch: number | undefined;
  /** Steps of the whole run so far, and at its end if nothing ends it sooner; undefined where that is not known. */
  readonly done: number;
  readonly total: number | undefined;
  /** Mean loss of the epoch so far. */
  readonly loss: number;
  /** Since the start of the run. */
  readonly seconds: number;
}

/**
 * How `fit` trains. `epochs` or `steps` must be given. `onStep` and `onEpoch` may return promises, which are awaited, and end
 * the run by `"stop"`; whatever else they return means nothing.
 */
export interface FitOptions<R extends StepRecord = StepRecord> {
  /** Number of the last epoch: with `start: { epoch: 3 }` and 4, epochs 3 and 4 are run. */
  epochs?: number;
  /** Most steps that this run takes. */
  steps?: number;
  /** An epoch ends after so many steps, if not sooner. For sequences without an end, or to validate more often. */
  stepsPerEpoch?: number;
  /**
   * Examples of a step; defaults to the network's `batchSize`, the most that it takes at a time. A larger batch is a step all the
   * same, pass by pass, in micro-batches as equal as they can be. The last batch of an epoch may have fewer.
   */
  batchSize?: number;
  /** Leave out a last batch with fewer examples; defaults to false. */
  dropLast?: boolean;
  /** A new order in each epoch; defaults to true. */
  shuffle?: boolean;
  /** Of the orders, and of the split where `validation` is a share; a u32, defaults to 0. */
  seed?: number;
  /** Data that is not trained on: examples, or the share of the data to keep for it, in (0, 1). */
  validation?: FitExamples | number;
  /** Epochs between validations, which come at the end of the run as well; defaults to 1. */
  validateEvery?: number;
  /** When to end a run that gets no better; by default it does not. */
  earlyStopping?: EarlyStopping;
  /** Where an earlier run stopped: its history's `at`, or `{ epoch: 3 }` for the start of the third. */
  start?: FitPosition;
  /** Steps that may be under way before the first of them has reported; defaults to 4. */
  inFlight?: number;
  /**
   * Gets the record of each step, in their order, up to `inFlight` − 1 steps later, and the place in the run after it. What it
   * changes, such as the learning rate, counts for the steps that are not under way yet.
   */
  onStep?: (record: R, at: Required<FitPosition>) => unknown;
  /** Gets each epoch once it is over. Nothing is under way then: the time to save, or to look at the network. */
  onEpoch?: (summary: EpochSummary) => unknown;
  /** Gets where the run is, after every step. */
  onProgress?: (progress: FitProgress) => void;
  /** A line an epoch: true for the console, or a function. */
  log?: boolean | ((line: string) => void);
  /** Ends the run after the steps under way; then `fit` rejects with a `FitAbortedError`. */
  signal?: AbortSignal;
}

const NUMBERS = {
  epochs: whole({ optional: true, help: "number of the last epoch" }),
  steps: whole({ optional: true, help: "most steps of this run" }),
  stepsPerEpoch: whole({ optional: true, help: "steps after which an epoch ends" }),
  batchSize: whole({ optional: true, help: "examples of a step" }),
  seed: whole({ default: 0, least: 0, most: 0xffffffff, help: "of the orders and the split" }),
  validateEvery: whole({ default: 1, help: "epochs between validations" }),
  inFlight: whole({ default: 4, most: 64, help: "steps under way at a time" }),
} as const satisfies Record<string, OptionEntry>;

const FLAGS = { dropLast: false, shuffle: true } as const;
const FUNCTIONS = ["onStep", "onEpoch", "onProgress"] as const;
const OTHERS = ["validation", "earlyStopping", "start", "log", "signal"] as const;
const NAMES = [...Object.keys(NUMBERS), ...Object.keys(FLAGS), ...FUNCTIONS, ...OTHERS];

const STOPPING = {
  patience: whole({ default: 5, help: "epochs without improvement" }),
  minDelta: nonNegative({ default: 0, help: "what counts as an improvement" }),
} as const;

const START = {
  epoch: whole({ help: "1 for the first" }),
  step: whole({ default: 0, least: 0, help: "steps of that epoch already taken" }),
} as const;

/** Options with their defaults. */
export interface ResolvedFitOptions<R extends StepRecord>
  extends Omit<FitOptions<R>, "earlyStopping" | "start" | "log"> {
  readonly dropLast: boolean;
  readonly shuffle: boolean;
  readonly seed: number;
  readonly validateEvery: number;
  readonly inFlight: number;
  readonly start: Required<FitPosition>;
  readonly earlyStopping:
    | (Required<Omit<EarlyStopping, "metric">> & Pick<EarlyStopping, "metric">)
    | undefined;
  readonly log: ((line: string) => void) | undefined;
}

/** @throws ArgumentError naming the option, the value and what is right */
export function resolveFitOptions<R extends StepRecord>(options: FitOptions<R>): ResolvedFitOptions<R> {
  const given = record("options", options, NAMES);
  const numbers = checkedNumbers("", given, NUMBERS);
  const { epochs, steps } = numbers;
  if (epochs === undefined && steps === undefined) {
    throw new ArgumentError("fit", "epochs", "must be a whole number of at least 1 where steps is not given");
  }
  const flags = Object.entries(FLAGS).map(([name, value]) => [name, flag(name, given[name], value)]);
  for (const name of FUNCTIONS) {
    const value = given[name];
    must("a function", value === undefined || typeof value === "function", name, value);
  }
  const { log, signal, validation } = given;
  if (log !== undefined) {
    must("true, false or a function", typeof log === "boolean" || typeof log === "function", "log", log);
  }
  if (signal !== undefined) {
    const known =
      typeof signal === "object" && signal !== null && "aborted" in signal && "addEventListener" in signal;
    must("an AbortSignal", known, "signal", signal);
  }
  if (typeof validation === "number") {
    must("a share in (0, 1), or examples", validation > 0 && validation < 1, "validation", validation);
  }
  return {
    ...options,
    ...(numbers as ResolvedFitOptions<R>),
    ...(Object.fromEntries(flags) as typeof FLAGS),
    start: startOf(given.start, epochs),
    earlyStopping: stoppingOf(given.earlyStopping),
    log: typeof options.log === "function" ? options.log : log ? (line) => console.log(line) : undefined,
  };
}

function startOf(given: unknown, epochs: number | undefined): Required<FitPosition> {
  if (given === undefined) return { epoch: 1, step: 0 };
  const start = checkedNumbers("start.", record("start", given, Object.keys(START)), START);
  const { epoch, step } = start as { epoch: number; step: number };
  // Where a run of so many epochs ended, the next one has nothing to do, and does it.
  if (epochs !== undefined && (epoch > epochs + 1 || (epoch > epochs && step > 0))) {
    throw new ArgumentError(
      "fit",
      "start.epoch",
      `must be at most epochs, the number of the last, ${epochs}, got ${epoch}`,
    );
  }
  return { epoch, step };
}

function stoppingOf(given: unknown): ResolvedFitOptions<StepRecord>["earlyStopping"] {
  if (given === undefined) return undefined;
  const stopping = record("earlyStopping", given, ["metric", "patience", "minDelta", "restoreBest"]);
  const { patience, minDelta } = checkedNumbers("earlyStopping.", stopping, STOPPING);
  const { metric, restoreBest } = stopping;
  if (metric !== undefined) {
    const known = typeof metric === "function" || METRICS.some((name) => name === metric);
    must(`${METRICS.join(", ")} or a function`, known, "earlyStopping.metric", metric);
  }
  return {
    metric: metric as EarlyStopping["metric"],
    patience: patience!,
    minDelta: minDelta!,
    restoreBest: flag("earlyStopping.restoreBest", restoreBest, true),
  };
}

/** An object with none but these names. */
function record(
  argument: string,
  value: unknown,
  names: readonly string[],
): Readonly<Record<string, unknown>> {
  must("an object", typeof value === "object" && value !== null && !Array.isArray(value), argument, value);
  for (const name of Object.keys(value as object)) {
    if (names.includes(name)) continue;
    const path = argument === "options" ? name : `${argument}.${name}`;
    throw new ArgumentError("fit", path, `is not an option; ${adviceFor(name, names)}`);
  }
  return value as Readonly<Record<string, unknown>>;
}

function checkedNumbers<S extends Readonly<Record<string, OptionEntry>>>(
  prefix: string,
  given: Readonly<Record<string, unknown>>,
  schema: S,
): { [K in keyof S]: number | undefined } {
  const entries = Object.entries(schema).map(([name, entry]) => {
    const value = given[name] === undefined ? entry.default : given[name];
    if (value === undefined && entry.optional) return [name, undefined];
    return [name, checkOption("fit", prefix + name, entry, value)];
  });
  return Object.fromEntries(entries);
}

function flag(name: string, value: unknown, standard: boolean): boolean {
  if (value === undefined) return standard;
  must("true or false", typeof value === "boolean", name, value);
  return value as boolean;
}

function must(what: string, holds: boolean, argument: string, value: unknown): void {
  if (holds) return;
  throw new ArgumentError("fit", argument, `must be ${what}, got ${shown(value)}`);
}
