// How a figure is made: repetitions that fill a sample, interleaved pairs, medians of paired ratios with an interval.

/**
 * @typedef {object} Runner what can be timed
 * @property {(repetitions: number) => Promise<{ totalMs?: number, deviceMs?: number } | void>} run performs the repetitions
 *   and waits for the last. It may tell the milliseconds of all of them: from the submit on, or by a clock of its own
 * @property {() => Promise<void>} [enter] before a sample, untimed
 * @property {() => Promise<Float32Array[]>} [output] what the first set of inputs gives
 * @property {number} [most] repetitions of a sample that memory allows
 * @property {() => void} dispose
 *
 * @typedef {{ ms: number, deviceMs?: number }} Sample milliseconds of one repetition
 * @typedef {{ repetitions: number, firstMs: number, ms: number }} Calibration
 * @typedef {{ value: number, low: number, high: number, confidence: number, count: number }} Interval
 */

/** @param {readonly number[]} values */
export function median(values) {
  if (values.length === 0) return Number.NaN;
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/**
 * The median with the interval between two order statistics that holds the true median with at least the wanted
 * confidence, whatever the distribution. Too few samples give their whole range and the confidence it has.
 * @param {readonly number[]} values
 * @param {number} [wanted]
 * @returns {Interval}
 */
export function medianInterval(values, wanted = 0.95) {
  const count = values.length;
  const sorted = [...values].sort((a, b) => a - b);
  const { rank, confidence } = intervalRank(count, wanted);
  return {
    value: median(values),
    low: sorted[rank - 1] ?? Number.NaN,
    high: sorted[count - rank] ?? Number.NaN,
    confidence,
    count,
  };
}

/**
 * The innermost rank r such that the r-th smallest and r-th largest of `count` samples enclose the median often enough.
 * @param {number} count @param {number} wanted
 */
export function intervalRank(count, wanted) {
  if (count === 0) return { rank: 1, confidence: 0 };
  // Below the r-th smallest lie fewer than r of `count` fair coin tosses.
  let probability = 2 ** -count;
  let below = probability;
  let rank = 1;
  let confidence = 1 - 2 * below;
  for (let r = 2; 2 * r <= count; r++) {
    probability *= (count - r + 2) / (r - 1);
    below += probability;
    if (1 - 2 * below < wanted) break;
    rank = r;
    confidence = 1 - 2 * below;
  }
  return { rank, confidence: Math.max(0, confidence) };
}

/** How many times as long b takes as a, pair by pair. @param {readonly Sample[]} a @param {readonly Sample[]} b */
export function pairedRatios(a, b) {
  if (a.length !== b.length) throw new Error(`${a.length} samples are not paired with ${b.length}`);
  return a.map(({ ms }, pair) => b[pair].ms / ms);
}

/** @param {Runner} runner @param {number} repetitions @returns {Promise<Sample>} */
export async function sample(runner, repetitions) {
  await runner.enter?.();
  const start = performance.now();
  const told = (await runner.run(repetitions)) ?? {};
  const ms = (told.totalMs ?? performance.now() - start) / repetitions;
  return told.deviceMs === undefined ? { ms } : { ms, deviceMs: told.deviceMs / repetitions };
}

/**
 * Times the first call, warms up, and finds how many repetitions fill a sample.
 * @param {Runner} runner
 * @param {{ sampleMs: number, firstMs?: number, secondMs?: number }} options of calls that were made already; one whose
 *   second call took seconds is not made again
 * @returns {Promise<Calibration>}
 */
export async function calibrate(runner, { sampleMs, firstMs, secondMs = 0 }) {
  const first = firstMs ?? (await sample(runner, 1)).ms;
  if (secondMs > 1000) return { repetitions: 1, firstMs: first, ms: secondMs };
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
  return { repetitions, firstMs: first, ms };
}

/**
 * How many pairs to make: all that were asked for, fewer where they would outlast the budget, but some.
 * @param {number} wanted @param {number} pairMs @param {number} budgetMs
 */
export function affordablePairs(wanted, pairMs, budgetMs) {
  const least = Math.min(wanted, pairMs > 5000 ? 1 : pairMs > 2000 ? 2 : 3);
  return Math.max(least, Math.min(wanted, Math.floor(budgetMs / pairMs)));
}

/**
 * Interleaved pairs A B A B.
 * @param {{ runner: Runner, repetitions: number }} a
 * @param {{ runner: Runner, repetitions: number }} b
 * @param {number} pairs
 */
export async function samplePairs(a, b, pairs) {
  /** @type {{ a: Sample[], b: Sample[] }} */
  const samples = { a: [], b: [] };
  for (let pair = 0; pair < pairs; pair++) {
    samples.a.push(await sample(a.runner, a.repetitions));
    samples.b.push(await sample(b.runner, b.repetitions));
  }
  return samples;
}
