/** How a figure is made: repetitions that fill a sample, interleaved pairs, the ratio within each pair. */
import { type Interval, median, medianInterval } from "./statistics.js";

/** Milliseconds of all repetitions of a sample, as their runner tells them. */
export interface Told {
  /** By a clock of its own, instead of ours. */
  totalMs?: number;
  /** From the submit on. */
  deviceMs?: number;
}

/** What can be timed. */
export interface Runner {
  /** Performs the repetitions and waits for the last. */
  run(repetitions: number): Promise<void> | Promise<Told>;
  /** Before each sample, untimed. */
  enter?(): Promise<void> | void;
  /** Repetitions of a sample that memory allows; defaults to 5000. */
  readonly most?: number;
}

/** Milliseconds of one repetition. */
export interface Sample {
  ms: number;
  /** From the submit on, where the runner tells. */
  deviceMs?: number;
}

/** What is known of a runner before it is measured. */
export interface Calibration {
  /** So many fill a sample. */
  repetitions: number;
  /** Milliseconds of the first call, compiling included. */
  firstMs: number;
  /** Milliseconds of one repetition when warm. */
  ms: number;
}

/** How to calibrate. */
export interface CalibrateOptions {
  /** A sample should take at least so many milliseconds. */
  sampleMs: number;
  /** Of a first call that was made already. */
  firstMs?: number;
  /** Of a second one. If it took more than a second, no third is made. */
  secondMs?: number;
}

/** A runner with its repetitions in a sample. */
export interface Side {
  runner: Runner;
  repetitions: number;
}

/** One sample, of so many repetitions. */
export async function sample(runner: Runner, repetitions: number): Promise<Sample> {
  await runner.enter?.();
  const start = performance.now();
  const told: Told = (await runner.run(repetitions)) ?? {};
  const ms = (told.totalMs ?? performance.now() - start) / repetitions;
  return told.deviceMs === undefined ? { ms } : { ms, deviceMs: told.deviceMs / repetitions };
}

/** Times the first call, warms up, and finds how many repetitions fill a sample. */
export async function calibrate(runner: Runner, options: CalibrateOptions): Promise<Calibration> {
  const { sampleMs, secondMs = 0 } = options;
  const firstMs = options.firstMs ?? (await sample(runner, 1)).ms;
  if (secondMs > 1000) return { repetitions: 1, firstMs, ms: secondMs };
  let repetitions = 1;
  let { ms } = await sample(runner, 1);
  // The first warm calls are still slower than later ones, so the count is found in steps.
  for (let step = 0; step < 4 && ms * repetitions < sampleMs; step++) {
    const enough = Math.ceil((1.1 * sampleMs) / Math.max(ms, 1e-4));
    const next = Math.min(enough, 20 * repetitions, runner.most ?? 5000);
    if (next <= repetitions) break;
    repetitions = next;
    ms = (await sample(runner, repetitions)).ms;
  }
  return { repetitions, firstMs, ms };
}

/** How many pairs to make: all that were asked for, fewer where they would outlast the budget, but some. */
export function affordablePairs(wanted: number, pairMs: number, budgetMs: number): number {
  const least = Math.min(wanted, pairMs > 5000 ? 1 : pairMs > 2000 ? 2 : 3);
  return Math.max(least, Math.min(wanted, Math.floor(budgetMs / pairMs)));
}

/** What interleaved pairs of samples tell. */
export interface Pairs {
  a: Sample[];
  b: Sample[];
  /** How many times as long b takes as a: the median of the ratios within each pair, and its interval. */
  ratio: Interval;
}

/** Interleaved samples a b a b …: whatever slows the machine for a while slows both. */
export async function samplePairs(a: Side, b: Side, pairs: number): Promise<Pairs> {
  const samples: { a: Sample[]; b: Sample[] } = { a: [], b: [] };
  for (let pair = 0; pair < pairs; pair++) {
    samples.a.push(await sample(a.runner, a.repetitions));
    samples.b.push(await sample(b.runner, b.repetitions));
  }
  return { ...samples, ratio: medianInterval(pairedRatios(samples.a, samples.b)) };
}

/**
 * How many times as long b takes as a, pair by pair.
 * @throws RangeError when there are not as many of one as of the other
 */
export function pairedRatios(a: readonly Sample[], b: readonly Sample[]): number[] {
  if (a.length !== b.length) throw new RangeError(`${a.length} samples are not paired with ${b.length}`);
  return a.map(({ ms }, pair) => b[pair]!.ms / ms);
}

/** The median of the samples, in milliseconds a repetition. */
export function medianMs(samples: readonly Sample[]): number {
  return median(samples.map(({ ms }) => ms));
}
