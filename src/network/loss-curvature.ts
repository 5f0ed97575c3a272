import tgpu, { d } from "typegpu";
import code from "../../shaders/loss_curvature.wgsl?raw";
import { type Matrix, reduce } from "../linalg/index.js";
import type { NumberPlace } from "../model/index.js";
import { defineKernel, type Recorder } from "../pipeline/index.js";

export const LossCurvatureProblem = d.struct({
  kind: d.u32,
  examples: d.u32,
  outputs: d.u32,
  directions: d.u32,
  valueOffset: d.u32,
  valueStride: d.u32,
  tangentOffset: d.u32,
  tangentStride: d.u32,
  parts: d.u32,
  resultOffset: d.u32,
  scale: d.f32,
});

export const lossCurvatureLayout = tgpu
  .bindGroupLayout({
    problems: { storage: d.arrayOf(LossCurvatureProblem), access: "readonly", visibility: ["compute"] },
    values: { storage: d.arrayOf(d.f32), access: "readonly", visibility: ["compute"] },
    tangents: { storage: d.arrayOf(d.f32), access: "readonly", visibility: ["compute"] },
    results: { storage: d.arrayOf(d.f32), access: "mutable", visibility: ["compute"] },
  })
  .$idx(0);

const lossCurvatureKernel = defineKernel({
  name: "loss_curvature",
  code,
  layout: lossCurvatureLayout,
  rowwise: true,
});

/** Most directions of one dispatch: the shader keeps a vector of as many numbers. */
export const MOST_DIRECTIONS = 4;

export interface LossCurvatureOperands {
  /** The loss's number (`lossCode`). */
  kind: number;
  /** Z, count × outputs. */
  outputs: Matrix;
  /** K directions in Z, (K · count) × outputs. */
  tangents: Matrix;
  /** Receives K × K f32, or K × K × parts. */
  into: NumberPlace;
  /**
   * In how many numbers each q_jk is left, to be added up by who reads them: number p of q_jk, j ≤ k, is element (j · K + k) · parts + p
   * of the place. By default they are added up here.
   */
  parts?: number | undefined;
}

/**
 * Records q_jk ← mean over examples of d_ij' Λ_i d_ik, with Λ the Hessian of an example's own loss in its outputs and d_ij its
 * row of direction j. Summed in a fixed order; q is symmetric to the bit.
 */
export function lossCurvature(recorder: Recorder, operands: LossCurvatureOperands): void {
  const { kind, outputs, tangents, into, parts } = operands;
  const count = outputs.rows;
  const directions = tangents.rows / count;
  const [results, resultOffset] = parts
    ? [into.buffer, into.index]
    : [recorder.scratch(directions * directions * count), 0];
  const problem = {
    kind,
    examples: count,
    outputs: outputs.cols,
    directions,
    valueOffset: outputs.offset,
    valueStride: outputs.stride,
    tangentOffset: tangents.offset,
    tangentStride: tangents.stride,
    parts: parts ?? count,
    resultOffset,
    // Here rather than of the sum, which might be too large for a number where the mean is not.
    scale: 1 / count,
  };
  const problems = recorder.manager.table(LossCurvatureProblem, [problem]);
  recorder.dispatch(
    lossCurvatureKernel,
    { problems, values: outputs.buffer, tangents: tangents.buffer, results },
    problem.parts,
  );
  if (parts) return;
  const pairs = Array.from({ length: directions ** 2 }, (_, at) => at);
  reduce(
    recorder,
    into.buffer,
    pairs.map((at) => {
      const [j, k] = [Math.floor(at / directions), at % directions];
      const upper = Math.min(j, k) * directions + Math.max(j, k);
      return {
        x: { buffer: results, offset: upper * count, rows: 1, cols: count },
        index: into.index + at,
      };
    }),
  );
}
