// What the race starts with, and what may be changed.
import type { FisherKind } from "kfac-webgpu";

export const KINDS = ["kfac", "adam", "sgd"] as const;
export type Kind = (typeof KINDS)[number];

export const TITLES: Readonly<Record<Kind, string>> = {
  kfac: "K-FAC",
  adam: "Adam",
  sgd: "SGD, momentum 0.9",
};

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
  learningRates: Readonly<Record<Kind, number>>;
  damping: number;
  inverseEvery: number;
  fisher: FisherKind;
}

export const PLAN: RacePlan = { shrink: 2, hidden: [64, 32], batchSize: 250, seed: 1 };

/**
 * Chosen on this network and these digits by the loss after 100 and 200 steps, over seeds 1 to 4: SGD and Adam have the
 * best rate of a grid with steps of two or less, K-FAC the best of a few pairs of rate and damping.
 */
export const SETTINGS: LiveSettings = {
  learningRates: { kfac: 0.1, adam: 0.02, sgd: 0.3 },
  damping: 0.15,
  inverseEvery: 10,
  fisher: "monteCarlo",
};

/** Steps between two measurements of the losses. */
export const MEASURE_EVERY = 5;
/** Training digits that the loss is measured on: the same ones each time. */
export const SAMPLE = 500;
export const MOMENTUM = 0.9;
