import tgpu, { d } from "typegpu";
import code from "../../shaders/guard.wgsl?raw";
import { defineKernel, type Recorder } from "../pipeline/index.js";
import { group, partition } from "./layout/group.js";
import { problemsOf } from "./layout/operands.js";
import { checkView, type MatrixView, requireDistinct, requireShape } from "./layout/view.js";

export const GuardProblem = d.struct({
  first: d.u32,
  rows: d.u32,
  cols: d.u32,
  sourceOffset: d.u32,
  sourceStride: d.u32,
  targetOffset: d.u32,
  targetStride: d.u32,
  flag: d.u32,
});

export const guardLayout = tgpu
  .bindGroupLayout({
    problems: { storage: d.arrayOf(GuardProblem), access: "readonly", visibility: ["compute"] },
    flags: { storage: d.arrayOf(d.u32), access: "readonly", visibility: ["compute"] },
    source: { storage: d.arrayOf(d.f32), access: "readonly", visibility: ["compute"] },
    guarded: { storage: d.arrayOf(d.f32), access: "mutable", visibility: ["compute"] },
  })
  .$idx(0);

export const guardKernel = defineKernel({ name: "guard", code, layout: guardLayout, rowwise: true });

export interface GuardedCopy {
  source: MatrixView;
  target: MatrixView;
  /** Word of the flags that must be 0. */
  flag: number;
}

/**
 * Records copies that write zeros instead where a flag, set by `checkFinite`, is not 0.
 *
 * @throws ShapeError when the shapes differ or a flag lies beyond the end of `flags`, ArgumentError when the target lies
 *   in the buffer of the source or of the flags.
 */
export function guard(recorder: Recorder, flags: GPUBuffer, copies: readonly GuardedCopy[]): void {
  const list = problemsOf("guard", recorder, "copies", copies).map(({ source, target, flag }) => {
    const from = checkView("guard", "source", source);
    const to = checkView("guard", "target", target);
    requireShape("guard", "target", to, from.rows, from.cols);
    const word = checkView("guard", "flags", { buffer: flags, offset: flag, rows: 1, cols: 1 });
    requireDistinct(
      "guard",
      ["target", to],
      [
        ["source", from],
        ["flags", word],
      ],
    );
    return { from, to, flag };
  });
  for (const part of partition(list, ({ from, to }) => [from.buffer, to.buffer])) {
    const { rows, groups } = group(
      part.map(({ from, to, flag }) => ({
        rows: from.rows,
        cols: from.cols,
        sourceOffset: from.offset,
        sourceStride: from.stride,
        targetOffset: to.offset,
        targetStride: to.stride,
        flag,
      })),
      (problem) => problem.rows,
    );
    const { from, to } = part[0]!;
    const problems = recorder.manager.table(GuardProblem, rows);
    recorder.dispatch(guardKernel, { problems, flags, source: from.buffer, guarded: to.buffer }, groups);
  }
}
