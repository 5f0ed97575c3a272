import tgpu, { d } from "typegpu";
import code from "../../../shaders/positions.wgsl?raw";
import { type Matrix, requireShape } from "../../linalg/layout/view.js";
import { defineKernel, type Kernel, type Recorder } from "../../pipeline/index.js";

export const PositionsProblem = d.struct({
  groups: d.u32,
  positions: d.u32,
  cols: d.u32,
  xOffset: d.u32,
  xStride: d.u32,
  outOffset: d.u32,
  outStride: d.u32,
  factor: d.f32,
});

export const positionsLayout = tgpu
  .bindGroupLayout({
    problems: { storage: d.arrayOf(PositionsProblem), access: "readonly", visibility: ["compute"] },
    x: { storage: d.arrayOf(d.f32), access: "readonly", visibility: ["compute"] },
    out: { storage: d.arrayOf(d.f32), access: "mutable", visibility: ["compute"] },
  })
  .$idx(0);

const positions = { name: "positions", code, layout: positionsLayout };
const totalKernel = defineKernel({ ...positions, entryPoint: "total" });
const centreKernel = defineKernel({ ...positions, entryPoint: "centre" });

/** Records into[e] ← factor · Σ_t x[e · T + t] for rows in groups of T. @throws ShapeError when the shapes do not fit */
export function sumPositions(
  recorder: Recorder,
  operands: { x: Matrix; positions: number; factor: number; into: Matrix },
): void {
  const { x, positions: T, factor, into } = operands;
  requireShape("sumPositions", "into", into, x.rows / T, x.cols);
  run(recorder, totalKernel, x, T, factor, into);
}

/** Records into ← x with the mean of each group of T rows taken from its rows. @throws ShapeError */
export function centrePositions(
  recorder: Recorder,
  operands: { x: Matrix; positions: number; into: Matrix },
): void {
  const { x, positions: T, into } = operands;
  requireShape("centrePositions", "into", into, x.rows, x.cols);
  run(recorder, centreKernel, x, T, 1, into);
}

function run(recorder: Recorder, kernel: Kernel, x: Matrix, T: number, factor: number, into: Matrix): void {
  const groups = x.rows / T;
  const problems = recorder.manager.table(PositionsProblem, [
    {
      groups,
      positions: T,
      cols: x.cols,
      xOffset: x.offset,
      xStride: x.stride,
      outOffset: into.offset,
      outStride: into.stride,
      factor,
    },
  ]);
  recorder.dispatch(kernel, { problems, x: x.buffer, out: into.buffer }, groups);
}
