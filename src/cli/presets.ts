/** Hyper-parameters of the command line, for digits such as MNIST's at a batch size of 500. */
import type { OptimizerKind } from "./choices.js";
import type { HyperParameters } from "./settings.js";

/** Sizes of the hidden layers. */
export const HIDDEN_LAYERS = [256, 128];
export const BATCH_SIZE = 500;
export const EPOCHS = 5;
export const SEED = 1;

/** What `kfac train` uses unless told otherwise; K-FAC has the library's own defaults, which are rules. `bench/sweep.mjs` looks for better ones. */
export const SETTINGS: Readonly<Record<OptimizerKind, HyperParameters>> = {
  // The library's own defaults.
  kfac: {},
  sgd: { learningRate: 0.1, momentum: 0.9, weightDecay: 0 },
  adam: { learningRate: 0.002, weightDecay: 0 },
};

/** `kfac train --network cnn`, and what any network with convolutions uses unless told otherwise. */
export const CNN_LAYERS = "conv8x5p2-pool2-conv16x5p2-pool2-10";
export const CNN_BATCH_SIZE = 250;
export const CNN_EPOCHS = 2;
export const CNN_SETTINGS: Readonly<Record<OptimizerKind, HyperParameters>> = {
  kfac: SETTINGS.kfac,
  sgd: { ...SETTINGS.sgd, learningRate: 0.05, finalRate: 0.1 },
  adam: { ...SETTINGS.adam, learningRate: 0.003, finalRate: 0.1 },
};

/** `kfac compare`: networks small enough for the exact curvature, both on images made smaller first. */
export const COMPARED = {
  conv: "avg2-conv4x3p1-pool2-conv6x3-pool2-10",
  mlp: "avg4-16-16-10",
  steps: 20,
  batch: 64,
  damping: 0.01,
} as const;

/** The comparison of `kfac mnist`. */
export const COMPARISON = {
  epochs: { kfac: 2, sgd: 5, adam: 5 } satisfies Record<OptimizerKind, number>,
  /** K-FAC runs with nothing set; the learning rates of the others fall linearly to a tenth over their own runs. */
  settings: {
    kfac: {},
    sgd: { learningRate: 0.2, finalRate: 0.1 },
    adam: { learningRate: 0.004, finalRate: 0.1 },
  } satisfies Record<OptimizerKind, HyperParameters>,
  /** Steps between two measurements of the training loss. */
  measureEvery: 20,
  /** Training examples that the loss is measured on: the same ones each time. */
  sampleSize: 10_000,
  /** Steps between two measurements of the test accuracy; a multiple of `measureEvery`. */
  testEvery: 60,
  /** SwiftShader is several times slower than lavapipe: this many steps each. */
  shortSteps: { kfac: 60, sgd: 120, adam: 120 } satisfies Record<OptimizerKind, number>,
  report: ".kfac/report.html",
} as const;
