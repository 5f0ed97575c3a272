import tgpu, { d } from "typegpu";
import code from "../../shaders/reduce.wgsl?raw";
import { must, OBJECT, requireNumbers } from "../arguments.js";
import { ShapeError } from "../errors.js";
import { defineKernel, type Recorder, withConstants } from "../pipeline/index.js";
import { group, partition } from "./layout/group.js";
import { problemsOf } from "./layout/operands.js";
import { checkView, type MatrixView, requireDistinct } from "./layout/view.js";

export const ReduceProblem = d.struct({
  first: d.u32,
  chunks: d.u32,
  rows: d.u32,
  cols: d.u32,
  xOffset: d.u32,
  xStride: d.u32,
  yOffset: d.u32,
  yStride: d.u32,
  product: d.u32,
  result: d.u32,
  scale: d.f32,
});

export const reduceLayout = tgpu
  .bindGroupLayout({
    problems: { storage: d.arrayOf(ReduceProblem), access: "readonly", visibility: ["compute"] },
    x: { storage: d.arrayOf(d.f32), access: "readonly", visibility: ["compute"] },
    y: { storage: d.arrayOf(d.f32), access: "readonly", visibility: ["compute"] },
    results: { storage: d.arrayOf(d.f32), access: "mutable", visibility: ["compute"] },
  })
  .$idx(0);

const partials = defineKernel({
  name: "reduce",
  code,
  layout: reduceLayout,
  entryPoint: "partials",
  rowwise: true,
});
const direct = withConstants(partials, { DIRECT: 1 });
const totals = defineKernel({ name: "reduce", code, layout: reduceLayout, entryPoint: "totals" });

/** Numbers that one workgroup sums; the shader's CHUNK. */
const CHUNK = 4096;
/** f32 between the places where a part of a buffer may be bound. */
const BINDING_STEP = 64;

/** `into[index] ← scale · Σ x`, or `scale · Σ x∘y` with y. The diagonal of S is `diagonalOf(S)`. */
export interface Reduction {
  x: MatrixView;
  /** Same shape as x; x itself for a squared norm. */
  y?: MatrixView;
  /** Element of `into` that receives the result. */
  index: number;
  /** Defaults to 1. */
  scale?: number;
}

/**
 * Records sums and dot products in a fixed order, so that the same inputs give the same bits.
 *
 * @throws ShapeError when y's shape is not x's, ArgumentError when `into` is also an input.
 */
export function reduce(recorder: Recorder, into: GPUBuffer, reductions: readonly Reduction[]): void {
  const list = problemsOf("reduce", recorder, "reductions", reductions).map((one) => check(one, into));
  if (list.length === 0) return;
  const { manager } = recorder;
  const parts = partition(list, ({ x, y }) => [x.buffer, y.buffer]).map((part) => ({
    ...part[0]!,
    ...group(
      part.map(({ x, y, product, index, scale }) => ({
        chunks: Math.ceil((x.rows * x.cols) / CHUNK),
        rows: x.rows,
        cols: x.cols,
        xOffset: x.offset,
        xStride: x.stride,
        yOffset: y.offset,
        yStride: y.stride,
        product,
        result: index,
        scale,
      })),
      (problem) => problem.chunks,
    ),
  }));
  // Of few numbers the partial sums are the results.
  if (parts.every(({ rows }) => rows.every(({ chunks }) => chunks <= 1))) {
    for (const { x, y, rows, groups } of parts) {
      const problems = manager.table(ReduceProblem, rows);
      recorder.dispatch(direct, { problems, x: x.buffer, y: y.buffer, results: into }, groups);
    }
    return;
  }
  // Partial sums of all parts lie in one buffer, each part's from a place where a binding may begin.
  let length = 0;
  const starts = parts.map(({ groups }) => {
    const start = length;
    length = Math.ceil((start + groups) / BINDING_STEP) * BINDING_STEP;
    return start;
  });
  const sums = recorder.scratch(length);
  for (const [p, { x, y, rows, groups }] of parts.entries()) {
    const problems = manager.table(ReduceProblem, rows);
    const results = { buffer: sums, offset: 4 * starts[p]!, size: 4 * groups };
    recorder.dispatch(partials, { problems, x: x.buffer, y: y.buffer, results }, groups);
  }
  const all = parts.flatMap(({ rows }, p) => rows.map((row) => ({ ...row, first: row.first + starts[p]! })));
  const problems = manager.table(ReduceProblem, all);
  recorder.dispatch(totals, { problems, x: sums, y: sums, results: into }, all.length);
}

/** The diagonal of a square matrix as an n × 1 view, for its trace. */
export function diagonalOf(S: MatrixView): MatrixView {
  must("diagonalOf", "S", S, OBJECT);
  return { buffer: S.buffer, offset: S.offset ?? 0, rows: S.rows, cols: 1, stride: (S.stride ?? S.cols) + 1 };
}

function check(reduction: Reduction, into: GPUBuffer) {
  const x = checkView("reduce", "x", reduction.x);
  requireNumbers("reduce", { scale: reduction.scale });
  const y = reduction.y !== undefined ? checkView("reduce", "y", reduction.y) : x;
  if (y.rows !== x.rows || y.cols !== x.cols) {
    throw new ShapeError("reduce", "y", [y.rows, y.cols], [x.rows, x.cols]);
  }
  const target = { buffer: into, offset: reduction.index, rows: 1, cols: 1 };
  checkView("reduce", "into", target);
  requireDistinct(
    "reduce",
    ["into", target],
    [
      ["x", x],
      ["y", y],
    ],
  );
  return { x, y, product: reduction.y ? 1 : 0, index: reduction.index, scale: reduction.scale ?? 1 };
}
