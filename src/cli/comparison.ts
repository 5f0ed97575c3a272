/** What the comparison of optimisers finds out. */

import type { Size } from "./layers.js";
import type { HyperParameters } from "./settings.js";

export interface Measurement {
  step: number;
  /** Training time, without measuring. */
  seconds: number;
  /** Mean over the fixed sample of training examples. */
  loss: number;
  /** Where it was measured too. */
  testAccuracy?: number;
}

export interface OptimizerRun {
  kind: string;
  name: string;
  settings: HyperParameters;
  measurements: Measurement[];
  /** At the end. */
  testAccuracy: number | undefined;
}

export interface Comparison {
  adapter: string;
  sizes: readonly Size[];
  examples: number;
  batchSize: number;
  seed: number;
  sampleSize: number;
  measureEvery: number;
  runs: OptimizerRun[];
}

/** Adam's lowest measured training loss; undefined before Adam has run. */
export function adamsBest(runs: readonly OptimizerRun[]): number | undefined {
  const losses = runs.find(({ kind }) => kind === "adam")?.measurements.map(({ loss }) => loss) ?? [];
  return losses.length === 0 ? undefined : Math.min(...losses);
}

/** The first measurement at which `run` was as low as Adam's best. */
export function reachOf(runs: readonly OptimizerRun[], run: OptimizerRun): Measurement | undefined {
  const best = adamsBest(runs);
  return best === undefined ? undefined : run.measurements.find(({ loss }) => loss <= best);
}
