import tgpu, { d } from "typegpu";
import code from "../../shaders/blend.wgsl?raw";
import { defineKernel, type Recorder } from "../pipeline/index.js";
import { group, partition } from "./layout/group.js";
import type { Matrix } from "./layout/view.js";

export const BlendProblem = d.struct({
  first: d.u32,
  rows: d.u32,
  cols: d.u32,
  parts: d.u32,
  partLength: d.u32,
  tOffset: d.u32,
  tStride: d.u32,
  sOffset: d.u32,
  sStride: d.u32,
  scale: d.u32,
});

export const blendLayout = tgpu
  .bindGroupLayout({
    problems: { storage: d.arrayOf(BlendProblem), access: "readonly", visibility: ["compute"] },
    scales: { storage: d.arrayOf(d.vec2f), access: "readonly", visibility: ["compute"] },
    t: { storage: d.arrayOf(d.f32), access: "readonly", visibility: ["compute"] },
    s: { storage: d.arrayOf(d.f32), access: "mutable", visibility: ["compute"] },
  })
  .$idx(0);

export const blendKernel = defineKernel({ name: "blend", code, layout: blendLayout, rowwise: true });

/** S ← β S + α T, or α times the sum of several matrices T that lie one behind the other. */
export interface Blend {
  /** The only T, or the first. */
  T: Matrix;
  /** How many there are, defaulting to 1, and the elements from one to the next. */
  parts?: number;
  partLength?: number;
  S: Matrix;
  /** Number of the pair (α, β) in the scales. */
  scale: number;
}

/**
 * Records blends, one dispatch for all that share their buffers; `scales` holds pairs (α, β) of f32, which may be written
 * on the GPU. With α = 0, T is not read, and with β = 0 the old S is not. Checks nothing.
 */
export function blend(recorder: Recorder, blends: readonly Blend[], scales: GPUBuffer): void {
  for (const part of partition(blends, ({ T, S }) => [T.buffer, S.buffer])) {
    const { rows, groups } = group(
      part.map(({ T, S, parts = 1, partLength = 0, scale }) => ({
        rows: S.rows,
        cols: S.cols,
        parts,
        partLength,
        tOffset: T.offset,
        tStride: T.stride,
        sOffset: S.offset,
        sStride: S.stride,
        scale,
      })),
      (problem) => problem.rows,
    );
    const { T, S } = part[0]!;
    const problems = recorder.manager.table(BlendProblem, rows);
    recorder.dispatch(blendKernel, { problems, scales, t: T.buffer, s: S.buffer }, groups);
  }
}
