// What the race starts with, and what may be changed.
import { ADAM_OPTIONS, type FisherKind, KFAC_OPTIONS, SGD_OPTIONS } from "kfac-webgpu";

export const KINDS = ["kfac", "adam", "sgd"] as const;
export type Kind = (typeof KINDS)[number];

export const TITLES: Readonly<Record<Kind, string>> = {
  kfac: "K-FAC",
  adam: "Adam",
  sgd: "SGD, momentum 0.9",
};

/** What each optimiser's options are. */
export const OPTIONS = { kfac: KFAC_OPTIONS, adam: ADAM_OPTIONS, sgd: SGD_OPTIONS } as const;

/** What the race is run on; a change starts it afresh. */
export interface RacePlan {
  /** Pixels of the digits' 28 that become one, along each side. */
  shrink: 1 | 2;
  hidden: readonly number[];
  batchSize: number;
  /** Of the weights, the order of the examples and the Monte-Carlo samples. */
  seed: number;
}

/** What counts from the next step on. */
export interface LiveSettings {
  /** K-FAC's may be a rule by which it finds its own. */
  learningRates: Readonly<Record<Exclude<Kind, "kfac">, number> & { kfac: number | "model" }>;
  /** A number, or a rule. */
  damping: number | "loss";
  inverseEvery: number;
  fisher: FisherKind;
}

export const PLAN: RacePlan = { shrink: 2, hidden: [64, 32], batchSize: 250, seed: 1 };

/**
 * K-FAC's are its own defaults. The others' are the best of a grid by the loss after 100 and 200 steps with PLAN (geometric
 * mean over seeds 1 to 4): Adam's rate of 9 from 0.001 to 0.04, SGD's of 7 from 0.05 to 0.6.
 */
export const SETTINGS: LiveSettings = {
  learningRates: { kfac: KFAC_OPTIONS.learningRate.default, adam: 0.03, sgd: 0.3 },
  damping: KFAC_OPTIONS.damping.default,
  inverseEvery: KFAC_OPTIONS.inverseEvery.default,
  fisher: KFAC_OPTIONS.fisher.default,
};

/** Steps between two measurements of the losses. */
export const MEASURE_EVERY = 5;
/** Training digits that the loss is measured on: the same ones each time. */
export const SAMPLE = 500;
/** Of SGD; K-FAC finds its own. */
export const MOMENTUM = SGD_OPTIONS.momentum.default;
