// The results as text for a terminal.

/** @param {import("../compare.mjs").Row[]} rows @param {string} title */
export function tableOf(title, rows) {
  const head = ["", "", "ms", "GFLOP/s", "times ours", "interval", "pairs", "first ms", "error", ""];
  const lines = [head];
  for (const row of rows) {
    const { ours } = row;
    lines.push([
      row.label,
      "kfac-webgpu",
      ours ? time(ours.ms) : "",
      ours && row.flops ? rate(row.flops, ours.ms) : "",
      "",
      "",
      "",
      ours ? time(ours.firstMs) : "",
      ours ? ours.error.toExponential(0) : "",
      row.failure ?? (ours ? costs(ours) : ""),
    ]);
    for (const peer of row.peers) lines.push(peerLine(row, peer));
  }
  return `${title}\n${aligned(lines)}`;
}

/** @param {import("../compare.mjs").Row} row @param {import("../compare.mjs").PeerRow} peer */
function peerLine(row, peer) {
  const { measured, ratio } = peer;
  if (!measured || !ratio)
    return ["", peer.name, "–", "", "", "", "", "", "", `${peer.status}: ${peer.reason}`];
  return [
    "",
    peer.name,
    time(measured.ms),
    row.flops ? rate(row.flops, measured.ms) : "",
    `${times(ratio.value)}×`,
    ratio.count > 1 ? `${times(ratio.low)} – ${times(ratio.high)}` : "",
    String(ratio.count),
    time(measured.firstMs),
    measured.error.toExponential(0),
    [peer.formulation ?? "", ...onDevice(peer), ...slower(peer)].join("; "),
  ];
}

/** How much of the time is the device's, where the rest counts. @param {import("../compare.mjs").Measured} ours */
function costs({ ms, deviceMs, dispatches = 0 }) {
  const recorded = dispatches > 0 ? [dispatches === 1 ? "1 dispatch" : `${dispatches} dispatches`] : [];
  const told =
    deviceMs !== undefined && deviceMs < 0.9 * ms ? [`${time(deviceMs)} ms from the submit on`] : [];
  return [...recorded, ...told].join(", ");
}

/** @param {import("../compare.mjs").PeerRow} peer */
function onDevice({ ratio, deviceRatio }) {
  return ratio && deviceRatio && deviceRatio > 1.1 * ratio.value
    ? [`${times(deviceRatio)}× from the submit on`]
    : [];
}

/** The formulations that were tried as well. @param {import("../compare.mjs").PeerRow} peer */
function slower({ others = [] }) {
  return others.map(({ formulation, ms, reason }) => `${formulation}: ${ms ? `${time(ms)} ms` : reason}`);
}

/** @param {import("../operations/steps.mjs").StepRow[]} rows */
export function stepTable(rows) {
  const lines = [["", "", "SGD ms", "K-FAC ms", "K-FAC / SGD", "interval", "pairs", "dispatches", ""]];
  for (const { label, batch, sgd, kfac, ratio, kernels, failure } of rows) {
    const dispatches = kernels?.kfac.reduce((sum, kernel) => sum + kernel.dispatches, 0);
    const numbers =
      sgd && kfac && ratio
        ? [
            time(sgd.ms),
            time(kfac.ms),
            `${times(ratio.value)}×`,
            `${times(ratio.low)} – ${times(ratio.high)}`,
            String(ratio.count),
          ]
        : ["–", "–", "", "", ""];
    lines.push([label, `N = ${batch}`, ...numbers, dispatches ? dispatches.toFixed(0) : "", failure ?? ""]);
    for (const { kernel, ms, dispatches: count } of kernels?.kfac.slice(0, 5) ?? []) {
      lines.push(["", `  ${kernel}`, "", time(ms), "", "", "", count.toFixed(count < 10 ? 1 : 0), ""]);
    }
  }
  return `Training step (factors every step, inverses every 10; means over 10 steps, then the kernels that take most)\n${aligned(lines)}`;
}

/** @param {import("../operations/accuracy.mjs").AccuracyRow[]} rows */
export function accuracyTable(rows) {
  const conditions = [...new Set(rows.map(({ condition }) => condition))];
  const lines = [["n", "", ...conditions.map((condition) => `κ ${condition.toExponential(0)}`), ""]];
  for (const n of new Set(rows.map((row) => row.n))) {
    const own = rows.filter((row) => row.n === n);
    for (const key of new Set(own.map(({ name, way }) => `${name}: ${way}`))) {
      const line = conditions.map((condition) => {
        const found = own.find((row) => `${row.name}: ${row.way}` === key && row.condition === condition);
        return found ? (found.error?.toExponential(0) ?? "failed") : "";
      });
      lines.push([String(n), key, ...line, ""]);
    }
  }
  return `Error of the inverse in f32, relative to the f64 inverse, by condition number\n${aligned(lines)}`;
}

/** Columns of text, the first two and the last to the left, numbers to the right. @param {string[][]} lines */
export function aligned(lines) {
  const columns = Math.max(...lines.map((line) => line.length));
  const widths = Array.from({ length: columns }, (_, c) =>
    Math.max(...lines.map((line) => [...(line[c] ?? "")].length)),
  );
  const pad = (/** @type {string} */ text, /** @type {number} */ c) => {
    const space = " ".repeat(widths[c] - [...text].length);
    return c < 2 || c === columns - 1 ? text + space : space + text;
  };
  return lines.map((line) => `  ${line.map(pad).join("  ")}`.trimEnd()).join("\n");
}

/** Milliseconds in three digits. @param {number} ms */
export function time(ms) {
  return ms.toFixed(ms >= 100 ? 0 : ms >= 10 ? 1 : ms >= 1 ? 2 : 3);
}

/** @param {number} ratio */
export function times(ratio) {
  return ratio.toFixed(ratio >= 100 ? 0 : ratio >= 10 ? 1 : 2);
}

/** @param {number} flops @param {number} ms */
const rate = (flops, ms) => {
  const value = flops / ms / 1e6;
  return value >= 100 ? value.toFixed(0) : value.toPrecision(3);
};

/** What was measured, where and with what. @param {import("../adapter.mjs").Machine} machine */
export function machineText(machine) {
  const { date, adapter, driverName, cpu, cores, memoryGiB, platform, load, versions } = machine;
  const named = Object.entries(versions).map(([name, version]) => `${name} ${version}`);
  return [
    `${date}`,
    `adapter   ${adapter} (${driverName})`,
    `machine   ${cpu}, ${cores} cores, ${memoryGiB} GiB, ${platform}, load ${load.toFixed(1)}`,
    `versions  ${named.join(", ")}`,
  ].join("\n");
}
