import tgpu, { d } from "typegpu";
import code from "../../shaders/axpy.wgsl?raw";
import { must, NUMBER } from "../arguments.js";
import { defineKernel, type Recorder } from "../pipeline/index.js";
import { group, partition } from "./layout/group.js";
import { problemsOf } from "./layout/operands.js";
import { checkView, type MatrixView, requireDistinct, requireShape } from "./layout/view.js";

export const AxpyProblem = d.struct({
  first: d.u32,
  rows: d.u32,
  cols: d.u32,
  xOffset: d.u32,
  xStride: d.u32,
  yOffset: d.u32,
  yStride: d.u32,
  alpha: d.f32,
});

export const axpyLayout = tgpu
  .bindGroupLayout({
    problems: { storage: d.arrayOf(AxpyProblem), access: "readonly", visibility: ["compute"] },
    x: { storage: d.arrayOf(d.f32), access: "readonly", visibility: ["compute"] },
    y: { storage: d.arrayOf(d.f32), access: "mutable", visibility: ["compute"] },
  })
  .$idx(0);

export const axpyKernel = defineKernel({ name: "axpy", code, layout: axpyLayout, rowwise: true });

/** Y ← Y + α X. */
export interface AxpyOperands {
  alpha: number;
  X: MatrixView;
  Y: MatrixView;
}

/**
 * Records scaled additions, one dispatch for all that share their buffers.
 *
 * @throws ShapeError when the shapes differ, ArgumentError when X and Y lie in one buffer.
 */
export function axpy(recorder: Recorder, problems: readonly AxpyOperands[]): void {
  const list = problemsOf("axpy", recorder, "problems", problems).map(({ alpha, X, Y }) => {
    must("axpy", "alpha", alpha, NUMBER);
    const x = checkView("axpy", "X", X);
    const y = checkView("axpy", "Y", Y);
    requireShape("axpy", "Y", y, x.rows, x.cols);
    requireDistinct("axpy", ["Y", y], [["X", x]]);
    return { alpha, x, y };
  });
  for (const part of partition(list, ({ x, y }) => [x.buffer, y.buffer])) {
    const { rows, groups } = group(
      part.map(({ alpha, x, y }) => ({
        rows: x.rows,
        cols: x.cols,
        xOffset: x.offset,
        xStride: x.stride,
        yOffset: y.offset,
        yStride: y.stride,
        alpha,
      })),
      (problem) => problem.rows,
    );
    const { x, y } = part[0]!;
    const table = recorder.manager.table(AxpyProblem, rows);
    recorder.dispatch(axpyKernel, { problems: table, x: x.buffer, y: y.buffer }, groups);
  }
}
