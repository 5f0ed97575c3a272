// Which charts there are, and what of the results goes into each.
import { charts } from "../library.mjs";
import { LOOKS } from "./looks.mjs";
import { time } from "./table.mjs";

const { barChart, dotChart, lineChart } = charts;

/**
 * @typedef {import("../compare.mjs").Row} Row
 * @typedef {import("../compare.mjs").Measured} Measured
 * @typedef {import("../operations/steps.mjs").StepRow} StepRow
 * @typedef {import("../operations/accuracy.mjs").AccuracyRow} AccuracyRow
 * @typedef {import("../../src/charts/index.js").Dot} Dot
 * @typedef {import("../../src/charts/index.js").Point} Point
 *
 * @typedef {object} Result of a run, or what there is of it so far
 * @property {{ adapter: string, date: string }} machine
 * @property {readonly Row[]} rows
 * @property {readonly StepRow[]} steps
 * @property {readonly AccuracyRow[]} accuracy
 *
 * @typedef {{ name: string, svg: string }} Drawing
 */

/** A chart needs this many sizes. */
const SIZES = 2;

/** @param {Result} result @param {(operation: string) => string} titleOf @returns {Drawing[]} */
export function drawings(result, titleOf) {
  const { rows, steps, accuracy, machine } = result;
  const where = `${machine.adapter}, ${machine.date.slice(0, 10)}`;
  const operations = [...new Set(rows.map((row) => row.operation))];
  return [
    ...operations.map((operation) => speed(operation, rows, titleOf(operation), where)),
    ...operations.map((operation) => ratios(operation, rows, titleOf(operation), where)),
    errors(accuracy, where),
    breakdown(steps, where),
    firstCalls(rows, where),
  ].flatMap((drawing) => drawing ?? []);
}

/** Everyone's figures of one row. @param {Row} row */
function everyone(row) {
  const ours = row.ours ? [{ id: "kfac-webgpu", name: "kfac-webgpu", measured: row.ours }] : [];
  const theirs = row.peers.flatMap(({ peer, name, measured }) =>
    measured ? [{ id: peer, name, measured }] : [],
  );
  return [...ours, ...theirs];
}

/**
 * @param {string} operation @param {readonly Row[]} rows @param {string} title @param {string} where
 * @returns {Drawing | undefined}
 */
function speed(operation, rows, title, where) {
  const own = rows.filter((row) => row.operation === operation && row.series).sort((a, b) => a.size - b.size);
  const sizes = [...new Set(own.map(({ size }) => size))];
  if (sizes.length < SIZES) return undefined;
  const counted = own.every(({ flops }) => flops);
  /** @type {Map<string, { id: string, name: string, points: Point[] }>} */
  const series = new Map();
  for (const row of own) {
    for (const { id, name, measured } of everyone(row)) {
      const one = series.get(id) ?? { id, name, points: [] };
      one.points.push([row.size, row.flops && counted ? row.flops / measured.ms / 1e6 : 1000 / measured.ms]);
      series.set(id, one);
    }
  }
  const svg = lineChart({
    title: `${title}: speed by size`,
    heading: [`${counted ? "Useful operations a second" : "Matrices a second"}, higher is better.`, where],
    looks: LOOKS,
    x: { label: "size", log: true, ticks: sizes },
    y: { label: counted ? "GFLOP/s" : "matrices a second", log: true },
    panels: [{ series: [...series.values()] }],
  });
  return { name: `speed-${operation}`, svg };
}

/**
 * @param {string} operation @param {readonly Row[]} rows @param {string} title @param {string} where
 * @returns {Drawing | undefined}
 */
function ratios(operation, rows, title, where) {
  const own = rows
    .filter((row) => row.operation === operation)
    .map(({ label, peers }) => ({
      label,
      dots: peers.flatMap(({ peer: id, name, ratio }) => (ratio ? [{ id, name, ...ratio }] : [])),
    }))
    .filter(({ dots }) => dots.length > 0);
  if (own.length === 0) return undefined;
  const svg = dotChart({
    title: `${title}: time relative to kfac-webgpu`,
    heading: [
      "Right of the dashed line kfac-webgpu is faster. Median of paired ratios and its interval.",
      where,
    ],
    looks: LOOKS,
    x: "times as long as kfac-webgpu",
    one: "as fast as kfac-webgpu",
    rows: own,
  });
  return { name: `ratio-${operation}`, svg };
}

/** @param {readonly AccuracyRow[]} accuracy @param {string} where @returns {Drawing | undefined} */
function errors(accuracy, where) {
  if (accuracy.length === 0) return undefined;
  const sizes = [...new Set(accuracy.map(({ n }) => n))];
  const panels = sizes.map((n) => {
    const own = accuracy.filter((row) => row.n === n);
    // Of a library's ways the first that is listed, which is the one taken for speed.
    /** @type {Map<string, { id: string, name: string, way: string, points: Point[] }>} */
    const series = new Map();
    for (const { who: id, name, way, condition, error } of own) {
      if (!error) continue;
      const one = series.get(id) ?? { id, name, way, points: [] };
      if (one.way === way) one.points.push([condition, error]);
      series.set(id, one);
    }
    const conditions = [...new Set(own.map(({ condition }) => condition))];
    /** @type {Point[]} */
    const rounding = conditions.map((condition) => [condition, condition * 2 ** -24]);
    return {
      title: `n = ${n}`,
      series: [...series.values()],
      reference: { name: "κ · 2⁻²⁴", points: rounding },
    };
  });
  const svg = lineChart({
    title: "Error of f32 inverses by condition number",
    heading: ["‖X − S⁻¹‖ / ‖S⁻¹‖ beside the f64 inverse, lower is better.", where],
    looks: LOOKS,
    x: { label: "condition number κ", log: true, ticks: [1e1, 1e3, 1e5, 1e7] },
    y: { label: "relative error", log: true },
    panels,
  });
  return { name: "error-invert", svg };
}

/** @param {readonly StepRow[]} steps @param {string} where @returns {Drawing | undefined} */
function breakdown(steps, where) {
  const measured = steps.flatMap(({ label, batch, kernels }) =>
    kernels ? [{ label, batch, all: kernels.kfac }] : [],
  );
  if (measured.length === 0) return undefined;
  const groups = measured.map(({ label, batch, all }) => {
    const total = all.reduce((sum, { ms }) => sum + ms, 0);
    const shown = all.slice(0, 8);
    const rest = all.slice(8);
    if (rest.length > 0) {
      shown.push({
        kernel: `${rest.length} others`,
        ms: rest.reduce((sum, { ms }) => sum + ms, 0),
        dispatches: rest.reduce((sum, { dispatches }) => sum + dispatches, 0),
      });
    }
    const bars = shown.map(({ kernel, ms, dispatches }) => ({
      label: kernel,
      value: ms,
      text: `${time(ms)} ms, ${Math.round((100 * ms) / total)} %, ${Number(dispatches.toFixed(1))} dispatches`,
    }));
    return { title: `${label}, batch of ${batch}`, bars };
  });
  const svg = barChart({
    title: "Where a K-FAC step spends its time",
    heading: ["GPU time of each kernel, mean of 10 steps with one inversion.", where],
    looks: LOOKS,
    id: "kfac-webgpu",
    groups,
  });
  return { name: "step-kernels", svg };
}

/** @param {readonly Row[]} rows @param {string} where @returns {Drawing | undefined} */
function firstCalls(rows, where) {
  const firsts = rows.filter(
    (row, k) => rows.findIndex(({ operation }) => operation === row.operation) === k,
  );
  const own = firsts
    .map((row) => ({
      label: `${row.operation} ${row.label}`,
      dots: everyone(row).map(({ id, name, measured }) => ({ id, name, value: measured.firstMs })),
    }))
    .filter(({ dots }) => dots.length > 0);
  if (own.length === 0) return undefined;
  const svg = dotChart({
    title: "First call of an operation",
    heading: ["Compiling included, lower is better.", where],
    looks: LOOKS,
    x: "milliseconds",
    rows: own,
  });
  return { name: "first-call", svg };
}
