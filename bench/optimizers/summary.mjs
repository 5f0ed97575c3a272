// What the runs say together: means over seeds, the best setting of each optimiser, and K-FAC beside the best Adam.
import { timing } from "../library.mjs";
import { EVERY, WINDOW } from "./steps.mjs";

/**
 * @typedef {import("./run.mjs").Run} Run
 *
 * @typedef {object} Line one optimiser with one setting on one task, over its seeds
 * @property {string} task
 * @property {string} optimizer
 * @property {string} setting
 * @property {number} seeds
 * @property {number} steps the fewest of its runs
 * @property {number} start mean over seeds
 * @property {Record<string, { mean: number, low: number, high: number }>} ends by mark; Infinity where a loss is not finite
 * @property {number[]} curve mean over seeds of the running mean, at every EVERY-th step
 * @property {number} above runs that ended above their start
 * @property {number} highest of all losses
 * @property {number} rejected
 * @property {number} skipped
 * @property {Record<string, number>} statuses
 * @property {number} ms of a step, median over seeds
 * @property {string[]} failures
 *
 * @typedef {object} Comparison at one mark
 * @property {number} mark
 * @property {string} setting of the rival's best
 * @property {number} rival mean over seeds of the rival's best
 * @property {number} own
 * @property {number} ratio own / rival
 * @property {number | undefined} share of the rival's steps after which its end is reached; undefined where it is not
 */

const number = (/** @type {number | null | undefined} */ value) => value ?? Number.POSITIVE_INFINITY;
const meanOf = (/** @type {readonly number[]} */ values) =>
  values.reduce((sum, value) => sum + value, 0) / values.length;

/** @param {readonly Run[]} runs @returns {Line[]} in the order of the runs */
export function linesOf(runs) {
  /** @type {Map<string, Run[]>} */
  const groups = new Map();
  for (const run of runs) {
    const key = `${run.task} ${run.optimizer} ${run.setting}`;
    groups.set(key, [...(groups.get(key) ?? []), run]);
  }
  return [...groups.values()].map(lineOf);
}

/** @param {readonly Run[]} runs of one task, optimiser and setting @returns {Line} */
function lineOf(runs) {
  const { task, optimizer, setting } = runs[0];
  const marks = Object.keys(runs[0].ends).filter((mark) => runs.every(({ ends }) => mark in ends));
  /** @type {Record<string, number>} */
  const statuses = {};
  for (const run of runs) {
    for (const [status, count] of Object.entries(run.statuses))
      statuses[status] = (statuses[status] ?? 0) + count;
  }
  const length = Math.min(...runs.map(({ curve }) => curve.length));
  return {
    ...{ task, optimizer, setting, seeds: runs.length, statuses },
    steps: Math.min(...runs.map(({ steps }) => steps)),
    start: meanOf(runs.map(({ start }) => number(start))),
    ends: Object.fromEntries(
      marks.map((mark) => {
        const values = runs.map(({ ends }) => number(ends[mark]));
        return [mark, { mean: meanOf(values), low: Math.min(...values), high: Math.max(...values) }];
      }),
    ),
    curve: Array.from({ length }, (_, k) => meanOf(runs.map(({ curve }) => number(curve[k])))),
    above: runs.filter(({ failure, curve, start }) => failure || !(number(curve.at(-1)) <= number(start)))
      .length,
    highest: Math.max(...runs.map(({ highest }) => number(highest.loss))),
    rejected: runs.reduce((sum, run) => sum + run.rejected, 0),
    skipped: runs.reduce((sum, run) => sum + run.skipped, 0),
    ms: timing.median(runs.flatMap(({ ms }) => ms ?? [])),
    failures: runs.flatMap(({ failure }) => failure ?? []),
  };
}

/** The setting that is lowest at a mark. @param {readonly Line[]} lines of one task and optimiser @param {number} mark */
export function bestOf(lines, mark) {
  const there = lines.filter(({ ends }) => String(mark) in ends);
  return there.length === 0
    ? undefined
    : there.reduce((best, line) => (line.ends[mark].mean < best.ends[mark].mean ? line : best));
}

/**
 * An optimiser beside the best of another's settings, each mark for itself.
 * @param {Line} own @param {readonly Line[]} rivals of the same task @param {readonly number[]} marks
 * @returns {Comparison[]} of the marks that both have
 */
export function compareAt(own, rivals, marks) {
  return marks.flatMap((mark) => {
    const best = bestOf(rivals, mark);
    if (!best || !(String(mark) in own.ends)) return [];
    const [rival, mean] = [best.ends[mark].mean, own.ends[mark].mean];
    const reached = reachedAt(own.curve, rival);
    return [
      {
        ...{ mark, setting: best.setting, rival, own: mean, ratio: mean / rival },
        share: reached === undefined ? undefined : reached / mark,
      },
    ];
  });
}

/** The first step at which a running mean over a whole window is as low as that. @param {readonly number[]} curve @param {number} loss */
export function reachedAt(curve, loss) {
  const at = curve.findIndex((value, k) => (k + 1) * EVERY >= WINDOW && value <= loss);
  return at < 0 ? undefined : (at + 1) * EVERY;
}

/**
 * How many tasks an optimiser is ahead on.
 * @param {readonly { comparisons: readonly Comparison[], above: number }[]} tasks @param {readonly number[]} marks
 */
export function countsOf(tasks, marks) {
  const all = tasks.flatMap(({ comparisons }) => comparisons);
  return {
    tasks: tasks.length,
    /** At the last mark that is told. */
    above: tasks.reduce((sum, { above }) => sum + above, 0),
    ahead: marks.flatMap((mark) => {
      const own = all.filter((one) => one.mark === mark);
      return own.length === 0
        ? []
        : [{ mark, of: own.length, ahead: own.filter(({ ratio }) => ratio < 1).length }];
    }),
    everywhere: tasks.filter(
      ({ comparisons }) => comparisons.length > 0 && comparisons.every(({ ratio }) => ratio < 1),
    ).length,
    worst: Math.max(...all.map(({ ratio }) => ratio)),
    halved: marks.flatMap((mark) => {
      const own = all.filter((one) => one.mark === mark);
      return own.length === 0
        ? []
        : [
            {
              mark,
              of: own.length,
              count: own.filter(({ share }) => share !== undefined && share <= 0.5).length,
            },
          ];
    }),
  };
}
