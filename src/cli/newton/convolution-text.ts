/** The result of `kfac newton` for a convolution, as JSON and for people. */
import { type ConvGeometry, toRows } from "../../reference/index.js";
import type { ConvolutionSolution } from "../../solve/index.js";
import { kernelOf } from "./convolution-input.js";
import { matrixText, number, refinementText } from "./text.js";

/** One JSON object; what there is no value of is null. */
export function convolutionJson(report: ConvolutionSolution, geometry: ConvGeometry): string {
  const after = report.W === undefined ? { kernel: null, bias: null } : kernelOf(report.W, geometry);
  return JSON.stringify({
    lossBefore: report.lossBefore,
    gradient: toRows(report.gradient),
    step: report.step === undefined ? null : toRows(report.step),
    ...after,
    lossAfter: report.lossAfter ?? null,
    rank: report.rank ?? null,
    iterations: report.iterations ?? null,
    residual: report.refinement?.residual ?? null,
    method: report.method,
    adapter: report.adapter,
    status: report.status,
  });
}

export function convolutionText(report: ConvolutionSolution, geometry: ConvGeometry): string {
  const { rank, refinement, iterations } = report;
  const { channels, kernel, bias } = geometry;
  const columns = `columns (channel, y, x) of ${channels} × ${kernel[0]} × ${kernel[1]}${bias ? ", then the bias" : ""}`;
  const rankText = rank === undefined ? "" : `, rank ${rank} of ${report.gradient.data.length}`;
  return [
    `loss    ${number(report.lossBefore)} → ${number(report.lossAfter)}`,
    `method  ${report.method}${rankText}`,
    `status  ${report.status}`,
    `on      ${report.adapter}`,
    ...refinementText(refinement, iterations),
    "",
    `${columns}:`,
    "",
    matrixText("gradient G", report.gradient),
    "",
    ...(report.step ? [matrixText("step", report.step), ""] : []),
    ...(report.W ? [matrixText("kernel after the step", report.W), ""] : []),
  ].join("\n");
}
