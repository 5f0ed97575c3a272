import tgpu, { d } from "typegpu";
import code from "../../../shaders/jacobian.wgsl?raw";
import { type Matrix, requireShape } from "../../linalg/layout/view.js";
import { defineKernel, type Kernel, type Recorder } from "../../pipeline/index.js";

export const JacobianProblem = d.struct({
  rows: d.u32,
  cols: d.u32,
  positions: d.u32,
  examples: d.u32,
  first: d.u32,
  count: d.u32,
  aOffset: d.u32,
  aStride: d.u32,
  bOffset: d.u32,
  bStride: d.u32,
  outOffset: d.u32,
  outRow: d.u32,
  outExample: d.u32,
  outColumn: d.u32,
  tile: d.u32,
  scale: d.f32,
});

export const jacobianLayout = tgpu
  .bindGroupLayout({
    problems: { storage: d.arrayOf(JacobianProblem), access: "readonly", visibility: ["compute"] },
    a: { storage: d.arrayOf(d.vec4f), access: "readonly", visibility: ["compute"] },
    b: { storage: d.arrayOf(d.vec4f), access: "readonly", visibility: ["compute"] },
    out: { storage: d.arrayOf(d.f32), access: "mutable", visibility: ["compute"] },
  })
  .$idx(0);

const jacobian = { name: "jacobian", code, layout: jacobianLayout };
const formKernel = defineKernel({ ...jacobian, entryPoint: "form" });
const momentsKernel = defineKernel({ ...jacobian, entryPoint: "moments" });

const THREADS = 64;

/** Rows of N examples with T positions and C columns: a is (N · T) × in, b (C · N · T) × out, both aligned. */
export interface ExampleRows {
  a: Matrix;
  b: Matrix;
  /** N. */
  count: number;
  /** T. */
  positions: number;
  /** C. */
  columns: number;
}

/** Where the numbers of J_k go: element (o, i) is number offset + o · row + (k − first) · example + i · column. */
export interface JacobianTarget {
  buffer: GPUBuffer;
  /** Defaults to 0. */
  offset?: number;
  row: number;
  example: number;
  column: number;
}

/** Records J_k = Σ_t b_t a_t', out × in, for `count` pairs k = c · N + i from `first` on. */
export function formJacobians(
  recorder: Recorder,
  rows: ExampleRows,
  range: { first: number; count: number },
  target: JacobianTarget,
): void {
  const { buffer, offset = 0, row, example, column } = target;
  const place = { outOffset: offset, outRow: row, outExample: example, outColumn: column };
  const tiles = Math.ceil(rows.b.cols / 4) * Math.ceil(rows.a.cols / 4);
  run(recorder, formKernel, rows, { ...range, ...place, scale: 1 }, buffer, range.count * tiles);
}

/**
 * Records into ← scale · Σ_k J_k ∘ J_k, out × in: the diagonal of H with scale 1/N, and of H in another basis when a and b
 * are the rows in that basis.
 *
 * @throws ShapeError when `into` is of another shape.
 */
export function jacobianMoments(
  recorder: Recorder,
  rows: ExampleRows,
  operands: { scale: number; into: Matrix },
): void {
  const { scale, into } = operands;
  requireShape("jacobianMoments", "into", into, rows.b.cols, rows.a.cols);
  const place = { outOffset: into.offset, outRow: into.stride, outExample: 0, outColumn: 1 };
  const range = { first: 0, count: rows.columns * rows.count };
  const tiles = Math.ceil(rows.b.cols / 4) * Math.ceil(rows.a.cols / 4);
  run(recorder, momentsKernel, rows, { ...range, ...place, scale }, into.buffer, tiles);
}

type Rest = Pick<
  d.Infer<typeof JacobianProblem>,
  "first" | "count" | "outOffset" | "outRow" | "outExample" | "outColumn" | "scale"
>;

function run(
  recorder: Recorder,
  kernel: Kernel,
  { a, b, count: examples, positions }: ExampleRows,
  rest: Rest,
  out: GPUBuffer,
  tiles: number,
): void {
  const problems = recorder.manager.table(JacobianProblem, [
    {
      rows: b.cols,
      cols: a.cols,
      positions,
      examples,
      aOffset: a.offset / 4,
      aStride: a.stride / 4,
      bOffset: b.offset / 4,
      bStride: b.stride / 4,
      tile: 16,
      ...rest,
    },
  ]);
  recorder.dispatch(kernel, { problems, a: a.buffer, b: b.buffer, out }, Math.ceil(tiles / THREADS));
}
