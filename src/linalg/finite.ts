import tgpu, { d } from "typegpu";
import code from "../../shaders/finite.wgsl?raw";
import { defineKernel, type Recorder } from "../pipeline/index.js";
import { group, partition } from "./layout/group.js";
import { checkView, type MatrixView, requireDistinct } from "./layout/view.js";

export const FiniteProblem = d.struct({
  first: d.u32,
  rows: d.u32,
  cols: d.u32,
  offset: d.u32,
  stride: d.u32,
  flag: d.u32,
  bit: d.u32,
});

export const finiteLayout = tgpu
  .bindGroupLayout({
    problems: { storage: d.arrayOf(FiniteProblem), access: "readonly", visibility: ["compute"] },
    x: { storage: d.arrayOf(d.f32), access: "readonly", visibility: ["compute"] },
    flags: { storage: d.arrayOf(d.atomic(d.u32)), access: "mutable", visibility: ["compute"] },
  })
  .$idx(0);

export const finiteKernel = defineKernel({ name: "finite", code, layout: finiteLayout, rowwise: true });

/** Rows a workgroup looks at; the shader's ROWS. */
const ROWS = 16;

export interface FiniteCheck {
  x: MatrixView;
  /** Word of the flags, and the bit of it that is set when x holds a number that is not finite. */
  flag: number;
  bit: number;
}

/**
 * Records checks for numbers that are not finite. Bits are only ever added to `flags` (u32).
 *
 * @throws ShapeError when x does not fit its buffer or a flag lies beyond the end of `flags`, ArgumentError when x lies
 *   in the buffer of the flags.
 */
export function checkFinite(recorder: Recorder, flags: GPUBuffer, checks: readonly FiniteCheck[]): void {
  const list = checks.map((check) => {
    const x = checkView("checkFinite", "x", check.x);
    const word = checkView("checkFinite", "flags", { buffer: flags, offset: check.flag, rows: 1, cols: 1 });
    requireDistinct("checkFinite", ["flags", word], [["x", x]]);
    return { ...check, x };
  });
  for (const part of partition(list, ({ x }) => [x.buffer])) {
    const { rows, groups } = group(
      part.map(({ x, flag, bit }) => {
        return { rows: x.rows, cols: x.cols, offset: x.offset, stride: x.stride, flag, bit };
      }),
      (problem) => Math.ceil(problem.rows / ROWS),
    );
    const problems = recorder.manager.table(FiniteProblem, rows);
    recorder.dispatch(finiteKernel, { problems, x: part[0]!.x.buffer, flags }, groups);
  }
}
