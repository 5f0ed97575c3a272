/** The result of `kfac newton` for a convolution, as JSON and for people. */
import { toRows } from "../../reference/index.js";
import type { ConvolutionReport } from "../../solve/convolution.js";
import { type ConvolutionInput, kernelOf } from "./convolution-input.js";
import { matrixText, number, refinementText } from "./text.js";

/** One JSON object; what there is no value of is null. */
export function convolutionJson(report: ConvolutionReport, { geometry }: ConvolutionInput): string {
  const after = report.W === undefined ? { kernel: null, bias: null } : kernelOf(report.W, geometry);
  return JSON.stringify({
    lossBefore: report.lossBefore,
    gradient: toRows(report.gradient),
    step: report.step === undefined ? null : toRows(report.step),
    ...after,
    lossAfter: report.lossAfter ?? null,
    rank: report.rank ?? null,
    iterations: report.iterations ?? null,
    residual: report.residual ?? null,
    method: report.method,
    adapter: report.adapter,
    status: report.status,
  });
}

export function convolutionText(report: ConvolutionReport, { geometry }: ConvolutionInput): string {
  const { rank, rounds, residual, iterations } = report;
  const { channels, kernel, bias } = geometry;
  const columns = `columns (channel, y, x) of ${channels} × ${kernel[0]} × ${kernel[1]}${bias ? ", then the bias" : ""}`;
  const rankText = rank === undefined ? "" : `, rank ${rank} of ${report.gradient.data.length}`;
  return [
    `loss    ${number(report.lossBefore)} → ${number(report.lossAfter)}`,
    `method  ${report.method}${rankText}`,
    `status  ${report.status}`,
    `on      ${report.adapter}`,
    ...refinementText(rounds === undefined ? undefined : { rounds, residual: residual ?? 0 }, iterations),
    "",
    `${columns}:`,
    "",
    matrixText("gradient G", report.gradient),
    "",
    ...(report.step ? [matrixText("step", report.step), ""] : []),
    ...(report.W ? [matrixText("kernel after the step", report.W), ""] : []),
  ].join("\n");
}
