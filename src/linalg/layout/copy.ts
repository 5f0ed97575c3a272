import tgpu, { d } from "typegpu";
import code from "../../../shaders/copy.wgsl?raw";
import pairsCode from "../../../shaders/copy_pairs.wgsl?raw";
import { ArgumentError, ShapeError } from "../../errors.js";
import { defineKernel, type Recorder } from "../../pipeline/index.js";
import { group, partition } from "./group.js";
import { problemsOf } from "./operands.js";
import { checkView, type MatrixView, requireDistinct } from "./view.js";

export const CopyProblem = d.struct({
  first: d.u32,
  batch: d.u32,
  rows: d.u32,
  cols: d.u32,
  fill: d.u32,
  sourceOffset: d.u32,
  sourceBatch: d.u32,
  sourceRow: d.u32,
  sourceCol: d.u32,
  targetOffset: d.u32,
  targetBatch: d.u32,
  targetRow: d.u32,
  targetCol: d.u32,
  pair: d.u32,
});

export const copyLayout = tgpu
  .bindGroupLayout({
    problems: { storage: d.arrayOf(CopyProblem), access: "readonly", visibility: ["compute"] },
    source: { storage: d.arrayOf(d.f32), access: "readonly", visibility: ["compute"] },
    copied: { storage: d.arrayOf(d.f32), access: "mutable", visibility: ["compute"] },
  })
  .$idx(0);

export const copyKernel = defineKernel({ name: "copy", code, layout: copyLayout, rowwise: true });

export const copyPairsLayout = tgpu
  .bindGroupLayout({
    problems: { storage: d.arrayOf(CopyProblem), access: "readonly", visibility: ["compute"] },
    source: { storage: d.arrayOf(d.f32), access: "readonly", visibility: ["compute"] },
    source2: { storage: d.arrayOf(d.f32), access: "readonly", visibility: ["compute"] },
    copied: { storage: d.arrayOf(d.f32), access: "mutable", visibility: ["compute"] },
    copied2: { storage: d.arrayOf(d.f32), access: "mutable", visibility: ["compute"] },
  })
  .$idx(0);

const copyPairsKernel = defineKernel({
  name: "copy_pairs",
  code: pairsCode,
  layout: copyPairsLayout,
  rowwise: true,
});

/** One side of a strided copy: element (b, i, j) is number `offset + b · batch + i · row + j · col` of the buffer. */
export interface Strides {
  buffer: GPUBuffer;
  offset: number;
  batch?: number;
  row: number;
  col: number;
}

/** A copy of batch × rows × cols numbers; without `source` the target is filled with ones. */
export interface StridedCopy {
  source?: Strides;
  target: Strides;
  batch?: number;
  rows: number;
  cols: number;
}

/** Copies between one pair of buffers; without a source they fill. */
interface Pair {
  readonly source: GPUBuffer | undefined;
  readonly target: GPUBuffer;
  readonly copies: readonly StridedCopy[];
}

/**
 * Records strided copies, one dispatch for every two pairs of buffers where neither reads what the other writes. Bounds are the
 * caller's affair: see `copy`.
 */
export function copyStrided(recorder: Recorder, copies: readonly StridedCopy[]): void {
  const pairs = partition(copies, ({ source, target }) => [target.buffer, (source ?? target).buffer]).map(
    (part): Pair => ({ source: part[0]!.source?.buffer, target: part[0]!.target.buffer, copies: part }),
  );
  while (pairs.length > 0) {
    const first = pairs.shift()!;
    const second = pairs[0];
    if (second && first.source !== second.target && second.source !== first.target) {
      pairs.shift();
      copyPairs(recorder, first, second);
      continue;
    }
    const { rows, groups } = group(first.copies.map(problemOf), linesOf);
    const problems = recorder.manager.table(CopyProblem, rows);
    // A fill reads nothing; the table stands in for the source, since a buffer may not be read and written at once.
    const source = first.source ?? problems;
    recorder.dispatch(copyKernel, { problems, source, copied: first.target }, groups);
  }
}

function copyPairs(recorder: Recorder, first: Pair, second: Pair): void {
  const shared = first.target === second.target;
  const { rows, groups } = group(
    [
      ...first.copies.map((copy) => problemOf(copy)),
      ...second.copies.map((copy) => ({ ...problemOf(copy), pair: shared ? 2 : 1 })),
    ],
    linesOf,
  );
  const problems = recorder.manager.table(CopyProblem, rows);
  // Nor may a buffer be bound twice to be written.
  const copied2 = shared ? recorder.scratch(1) : second.target;
  const [source, source2] = [first.source ?? problems, second.source ?? problems];
  recorder.dispatch(copyPairsKernel, { problems, source, source2, copied: first.target, copied2 }, groups);
  if (shared) recorder.release(copied2);
}

function linesOf({ batch, rows }: { batch: number; rows: number }): number {
  return batch * rows;
}

/**
 * Records `target ← source` or, with `transpose`, `target ← source'`.
 *
 * @throws ShapeError when the shapes do not fit, ArgumentError when both lie in one buffer.
 */
export function copy(
  recorder: Recorder,
  operands: { source: MatrixView; target: MatrixView; transpose?: boolean },
): void {
  problemsOf("copy", recorder, "operands", operands, true);
  const source = checkView("copy", "source", operands.source);
  const target = checkView("copy", "target", operands.target);
  requireDistinct("copy", ["target", target], [["source", source]]);
  const [row, col] = operands.transpose ? [1, source.stride] : [source.stride, 1];
  const [rows, cols] = operands.transpose ? [source.cols, source.rows] : [source.rows, source.cols];
  if (target.rows !== rows || target.cols !== cols) {
    throw new ShapeError("copy", "target", [target.rows, target.cols], [rows, cols]);
  }
  copyStrided(recorder, [
    {
      source: { buffer: source.buffer, offset: source.offset, row, col },
      target: { buffer: target.buffer, offset: target.offset, row: target.stride, col: 1 },
      rows,
      cols,
    },
  ]);
}

/** The long index goes to the threads of a workgroup, whichever it is. */
function problemOf(copy: StridedCopy): Omit<d.Infer<typeof CopyProblem>, "first"> {
  const { source, target, batch = 1, rows, cols } = copy;
  if (batch > 1 && target.batch === undefined) throw new ArgumentError("copy", "target.batch", "is missing");
  const swap = rows > 4 * cols;
  const order = (side: Strides | undefined) => {
    const { offset = 0, batch: step = 0, row = 0, col = 0 } = side ?? {};
    return swap ? { offset, step, row: col, col: row } : { offset, step, row, col };
  };
  const from = order(source);
  const to = order(target);
  return {
    batch,
    rows: swap ? cols : rows,
    cols: swap ? rows : cols,
    fill: source ? 0 : 1,
    sourceOffset: from.offset,
    sourceBatch: from.step,
    sourceRow: from.row,
    sourceCol: from.col,
    targetOffset: to.offset,
    targetBatch: to.step,
    targetRow: to.row,
    targetCol: to.col,
    pair: 0,
  };
}
