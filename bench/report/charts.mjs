// Which charts there are, and what of the results goes into each.
import { barChart, dotChart, lineChart } from "./chart.mjs";
import { time } from "./table.mjs";

/**
 * @typedef {import("../compare.mjs").Row} Row
 * @typedef {{ name: string, svg: string }} Drawing
 */

/** A chart needs this many sizes. */
const SIZES = 2;

/** @param {any} result @param {(operation: string) => string} titleOf @returns {Drawing[]} */
export function drawings(result, titleOf) {
  const { rows, steps, accuracy, machine } = result;
  const where = `${machine.adapter}, ${machine.date.slice(0, 10)}`;
  const operations = [...new Set(rows.map((/** @type {Row} */ row) => row.operation))];
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

/** @returns {Drawing | undefined} */
function speed(operation, rows, title, where) {
  const own = rows.filter((row) => row.operation === operation && row.series).sort((a, b) => a.size - b.size);
  const sizes = [...new Set(own.map(({ size }) => size))];
  if (sizes.length < SIZES) return undefined;
  const counted = own.every(({ flops }) => flops);
  const series = new Map();
  for (const row of own) {
    for (const { id, name, measured } of everyone(row)) {
      const one = series.get(id) ?? { id, name, points: [] };
      one.points.push([row.size, counted ? row.flops / measured.ms / 1e6 : 1000 / measured.ms]);
      series.set(id, one);
    }
  }
  const svg = lineChart({
    title: `${title}: speed by size`,
    subtitle: `${counted ? "Useful operations a second" : "Matrices a second"}, higher is better.`,
    where,
    x: "size",
    y: counted ? "GFLOP/s" : "matrices a second",
    xTicks: sizes,
    panels: [{ series: [...series.values()] }],
  });
  return { name: `speed-${operation}`, svg };
}

/** @returns {Drawing | undefined} */
function ratios(operation, rows, title, where) {
  const own = rows
    .filter((row) => row.operation === operation)
    .map(({ label, peers }) => ({
      label,
      dots: peers.flatMap(({ peer, name, ratio }) =>
        ratio ? [{ id: peer, name, value: ratio.value, low: ratio.low, high: ratio.high }] : [],
      ),
    }))
    .filter(({ dots }) => dots.length > 0);
  if (own.length === 0) return undefined;
  const svg = dotChart({
    title: `${title}: time relative to kfac-webgpu`,
    subtitle: "Right of the dashed line kfac-webgpu is faster. Median of paired ratios and its interval.",
    where,
    x: "times as long as kfac-webgpu",
    one: "as fast as kfac-webgpu",
    rows: own,
  });
  return { name: `ratio-${operation}`, svg };
}

/** @returns {Drawing | undefined} */
function errors(accuracy, where) {
  if (accuracy.length === 0) return undefined;
  const sizes = [...new Set(accuracy.map(({ n }) => n))];
  const panels = sizes.map((n) => {
    const own = accuracy.filter((row) => row.n === n && row.error !== null && row.error > 0);
    // Of a library's ways the first that is listed, which is the one taken for speed.
    const ways = new Map();
    for (const row of own) if (!ways.has(row.who)) ways.set(row.who, row.way);
    const series = [...ways].map(([id, way]) => {
      const mine = own.filter((row) => row.who === id && row.way === way);
      return { id, name: mine[0].name, points: mine.map(({ condition, error }) => [condition, error]) };
    });
    const conditions = [...new Set(own.map(({ condition }) => condition))];
    const reference = {
      name: "κ · 2⁻²⁴",
      points: conditions.map((condition) => [condition, condition * 2 ** -24]),
    };
    return { title: `n = ${n}`, series, reference };
  });
  const svg = lineChart({
    title: "Error of f32 inverses by condition number",
    subtitle: "‖X − S⁻¹‖ / ‖S⁻¹‖ beside the f64 inverse, lower is better.",
    where,
    x: "condition number κ",
    y: "relative error",
    xTicks: [1e1, 1e3, 1e5, 1e7],
    panels,
  });
  return { name: "error-invert", svg };
}

/** @returns {Drawing | undefined} */
function breakdown(steps, where) {
  const measured = steps.filter(({ kernels }) => kernels);
  if (measured.length === 0) return undefined;
  const groups = measured.map(({ label, batch, kernels }) => {
    const all = kernels.kfac;
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
    subtitle: "GPU time of each kernel, mean of 10 steps with one inversion.",
    where,
    groups,
  });
  return { name: "step-kernels", svg };
}

/** @returns {Drawing | undefined} */
function firstCalls(rows, where) {
  const firsts = [...new Map([...rows].reverse().map((row) => [row.operation, row])).values()].reverse();
  const own = firsts
    .map((row) => ({
      label: `${row.operation} ${row.label}`,
      dots: everyone(row).map(({ id, name, measured }) => ({ id, name, value: measured.firstMs })),
    }))
    .filter(({ dots }) => dots.length > 0);
  if (own.length === 0) return undefined;
  const svg = dotChart({
    title: "First call of an operation",
    subtitle: "Compiling included, lower is better.",
    where,
    x: "milliseconds",
    rows: own,
  });
  return { name: "first-call", svg };
}
