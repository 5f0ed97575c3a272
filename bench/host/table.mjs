// What was measured, as text for a terminal.
import { aligned } from "../report/table.mjs";

/** @param {readonly import("./measure.mjs").HostRow[]} rows */
export function tableOf(rows) {
  const head = ["", "samples", "ms", "fastest tenth", "afresh ms", "units", "bound units", "kB allocated"];
  const lines = rows.map(({ name, count, ms, tenthMs, afreshMs, units, boundUnits, bytes }) => [
    name,
    String(count),
    ms.toFixed(3),
    tenthMs.toFixed(3),
    afreshMs.toFixed(3),
    units.toFixed(0),
    boundUnits.toFixed(0),
    (bytes / 1024).toFixed(1),
  ]);
  const [{ unitUs, boundUnitUs }] = rows;
  return `${aligned([head, ...lines])}

A unit is one bare dispatch: ${unitUs.toFixed(1)} µs with its bind group made, ${boundUnitUs.toFixed(1)} µs with one that is there.`;
}
