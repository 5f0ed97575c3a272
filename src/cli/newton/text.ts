/** The result of `kfac newton`, as JSON and for people. */
import { type Matrix, toRows } from "../../reference/index.js";
import type { LinearSolution, Refinement } from "../../solve/index.js";
import { short } from "../table.js";

/** One JSON object; what there is no value of is null. */
export function newtonJson(report: LinearSolution): string {
  const rows = (m: Matrix | undefined) => (m === undefined ? null : toRows(m));
  return JSON.stringify({
    lossBefore: report.lossBefore,
    gradient: rows(report.gradient),
    AAt: rows(report.AAt),
    BBt: rows(report.BBt),
    AAtInverse: rows(report.AAtInverse),
    BBtInverse: rows(report.BBtInverse),
    step: rows(report.step),
    W: rows(report.W),
    ...(report.U === undefined ? {} : { U: rows(report.U) }),
    lossAfter: report.lossAfter ?? null,
    ranks: report.ranks,
    rank: report.rank ?? null,
    iterations: report.iterations ?? null,
    residual: report.refinement?.residual ?? null,
    method: report.method,
    adapter: report.adapter,
    status: report.status,
    refinement: report.refinement ?? null,
  });
}

export function newtonText(report: LinearSolution): string {
  const { AAt, BBt, ranks, refinement } = report;
  const sections: [string, Matrix | undefined][] = [
    ["gradient G", report.gradient],
    [`AA' (rank ${ranks[0]} of ${AAt.rows})`, AAt],
    [`BB' (rank ${ranks[1]} of ${BBt.rows})`, BBt],
    ["(AA')⁻¹", report.AAtInverse],
    ["(BB')⁻¹", report.BBtInverse],
    [report.U ? "step of U" : "step", report.step],
    ["U after the step", report.U],
    [report.U ? "W = K U after the step" : "W after the step", report.W],
  ];
  const of = report.gradient.data.length;
  const rank = report.rank === undefined ? "" : `, H of rank ${report.rank} of ${of}`;
  return [
    `loss    ${number(report.lossBefore)} → ${number(report.lossAfter)}`,
    `method  ${report.method}${rank}`,
    `status  ${report.status}`,
    `on      ${report.adapter}`,
    ...refinementText(refinement, report.iterations),
    "",
    ...sections.flatMap(([name, m]) => (m === undefined ? [] : [matrixText(name, m), ""])),
  ].join("\n");
}

/** One line, or none where nothing was refined. */
export function refinementText(refinement: Refinement | undefined, iterations?: number): string[] {
  if (refinement === undefined) return [];
  const { rounds, residual } = refinement;
  const cg = iterations === undefined ? "" : `${iterations} iterations of conjugate gradients, `;
  return [
    `        f32, refined in f64: ${rounds} rounds, ${cg}relative residual ${residual.toExponential(1)}`,
  ];
}

const MOST_ROWS = 8;
const MOST_COLUMNS = 8;

/** A matrix with its name and shape; of a large one only the first rows and columns. */
export function matrixText(name: string, m: Matrix): string {
  const cells = toRows(m)
    .slice(0, MOST_ROWS)
    .map((row) => [...row.slice(0, MOST_COLUMNS).map(number), ...(m.cols > MOST_COLUMNS ? ["…"] : [])]);
  if (m.rows > MOST_ROWS) cells.push(cells[0]!.map(() => "⋮"));
  const widths = cells[0]!.map((_, c) => Math.max(...cells.map((row) => row[c]!.length)));
  const lines = cells.map((row) => `  ${row.map((cell, c) => cell.padStart(widths[c]!)).join("  ")}`);
  return `${name}, ${m.rows} × ${m.cols}\n${lines.join("\n")}`;
}

export function number(value: number | undefined): string {
  return value === undefined ? "–" : Number.isFinite(value) ? short(value) : String(value);
}
