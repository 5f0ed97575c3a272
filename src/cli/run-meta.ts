/** What a checkpoint of `kfac train` says about its run. */
import { crc32 } from "../data/crc32.js";
import type { Dataset, JsonObject } from "../data/index.js";
import { CheckpointError } from "../errors.js";
import {
  ACTIVATIONS,
  type Activation,
  LOSSES,
  type LossName,
  OPTIMIZERS,
  type OptimizerKind,
} from "./choices.js";
import { type Size, sizeOf } from "./layers.js";
import { type HyperParameters, savedSettings } from "./settings.js";
import type { TrainPlan } from "./train-plan.js";

export interface RunMeta {
  layers: Size[];
  activation: Activation;
  loss: LossName;
  optimizer: OptimizerKind;
  settings: HyperParameters;
  batch: number;
  microBatch?: number;
  epochs: number;
  seed: number;
  examples: number;
  /** Tells data sets of one size apart. */
  labelChecksum: number;
  /** Steps taken. */
  step: number;
  /** Training time so far. */
  seconds: number;
}

export function runMeta(plan: TrainPlan, data: Dataset, step: number, seconds: number): JsonObject {
  return {
    kind: "train",
    ...runIdentity(plan, data),
    settings: { ...plan.settings } as JsonObject,
    ...(plan.network.microBatch !== undefined && { microBatch: plan.network.microBatch }),
    epochs: plan.epochs,
    step,
    seconds,
  };
}

/** What must be the same for a run to go on as if it had not stopped. */
export function runIdentity(plan: TrainPlan, data: Dataset): JsonObject {
  const { sizes, activation, loss, batchSize, seed } = plan.network;
  return {
    layers: [...sizes],
    activation,
    loss,
    optimizer: plan.optimizer,
    examples: data.count,
    labelChecksum: crc32(data.labels),
    batch: batchSize,
    seed,
  };
}

/** Checks a checkpoint's `meta`. Throws `CheckpointError` naming the field that is not as `kfac train` writes it. */
export function parseRunMeta(meta: JsonObject): RunMeta {
  const fail = (field: string) =>
    new CheckpointError(field, "is not as kfac train writes it; pass a file that kfac train saved");
  const oneOf = <T extends string>(field: string, allowed: readonly T[]): T => {
    const found = allowed.find((name) => name === meta[field]);
    if (found === undefined) throw fail(field);
    return found;
  };
  const count = (field: string, least = 1): number => {
    const value = meta[field];
    if (!(typeof value === "number" && Number.isSafeInteger(value) && value >= least)) throw fail(field);
    return value;
  };
  if (meta.kind !== "train") throw fail("kind");
  const { layers, seconds } = meta;
  if (!Array.isArray(layers) || layers.length < 2) throw fail("layers");
  const sizes = layers.map((size) => {
    const known = sizeOf(size);
    if (known === undefined) throw fail("layers");
    return known;
  });
  if (!(typeof seconds === "number" && seconds >= 0)) throw fail("seconds");
  return {
    layers: sizes,
    activation: oneOf("activation", ACTIVATIONS),
    loss: oneOf("loss", LOSSES),
    optimizer: oneOf("optimizer", OPTIMIZERS),
    settings: parseSettings(meta.settings, fail),
    batch: count("batch"),
    ...(meta.microBatch !== undefined && { microBatch: count("microBatch") }),
    epochs: count("epochs"),
    seed: count("seed", 0),
    examples: count("examples"),
    labelChecksum: count("labelChecksum", 0),
    step: count("step", 0),
    seconds,
  };
}

function parseSettings(
  value: JsonObject[string] | undefined,
  fail: (field: string) => Error,
): HyperParameters {
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw fail("settings");
  return savedSettings(value, (name) => fail(`settings.${name}`));
}
