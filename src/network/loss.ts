import tgpu, { d } from "typegpu";
import code from "../../shaders/loss.wgsl?raw";
import { type Matrix, reduce } from "../linalg/index.js";
import type { NumberPlace } from "../model/index.js";
import { defineKernel, type Recorder } from "../pipeline/index.js";

export const LossProblem = d.struct({
  kind: d.u32,
  indexed: d.u32,
  examples: d.u32,
  rows: d.u32,
  sampled: d.u32,
  outputs: d.u32,
  valueOffset: d.u32,
  valueStride: d.u32,
  deltaOffset: d.u32,
  deltaStride: d.u32,
  gradient: d.u32,
  flags: d.u32,
  transpose: d.u32,
  transposedOffset: d.u32,
  transposedStride: d.u32,
});

export const lossLayout = tgpu
  .bindGroupLayout({
    problems: { storage: d.arrayOf(LossProblem), access: "readonly", visibility: ["compute"] },
    values: { storage: d.arrayOf(d.f32), access: "readonly", visibility: ["compute"] },
    key: { storage: d.vec3u, access: "readonly", visibility: ["compute"] },
    targets: { storage: d.arrayOf(d.u32), access: "readonly", visibility: ["compute"] },
    deltas: { storage: d.arrayOf(d.f32), access: "mutable", visibility: ["compute"] },
    results: { storage: d.arrayOf(d.f32), access: "mutable", visibility: ["compute"] },
    transposed: { storage: d.arrayOf(d.f32), access: "mutable", visibility: ["compute"] },
  })
  .$idx(0);

export const lossKernel = defineKernel({ name: "loss", code, layout: lossLayout });

/** Rows of a workgroup; the shader's THREADS. */
const THREADS = 64;

/** Where a transpose goes, or a buffer that stands in where nobody asks for one. */
export type Transposed = Pick<Matrix, "buffer" | "offset" | "stride"> & { readonly asked: boolean };

export interface LossOperands {
  /** The loss's number (`lossCode`). */
  kind: number;
  /** Z, count × outputs. */
  outputs: Matrix;
  /** One u32 class an example where `indexed`, else count × outputs f32 without padding. */
  targets: GPUBuffer;
  indexed: boolean;
  /** Columns of Bᵢ, below the gradient: how many of each example, and whether they are Monte-Carlo samples, else exact. */
  columns: { readonly count: number; readonly sampled: boolean };
  /** Three u32 that draws follow from: seed, step, and the number of the first example. */
  key: GPUBuffer;
  /**
   * Receives ∂Jᵢ/∂z where `gradient`, and below it the columns, ((1 + columns) · count) × outputs: row (1 + k) · count + i is
   * column k of example i. Bound in any case.
   */
  delta: Matrix;
  /** Receives its transpose, outputs × ((1 + columns) · count), where a product reads that next; with `asked` false it is bound alone. */
  transposed: Transposed;
  gradient: boolean;
  /** Losses of the examples, then flags "classified right": 2 × capacity f32. */
  results: GPUBuffer;
  capacity: number;
  /** Receives two f32: the mean loss and the share of examples classified right. */
  statistics: NumberPlace;
}

/** Records the loss, its derivative and the columns of Bᵢ at the outputs, and means of losses, summed in a fixed order. */
export function loss(recorder: Recorder, operands: LossOperands): void {
  const { outputs, targets, key, columns, delta, results, capacity, statistics } = operands;
  const { asked, offset, stride } = operands.transposed;
  const count = outputs.rows;
  const problem = {
    kind: operands.kind,
    indexed: operands.indexed ? 1 : 0,
    examples: count,
    rows: (1 + columns.count) * count,
    sampled: columns.sampled ? 1 : 0,
    outputs: outputs.cols,
    valueOffset: outputs.offset,
    valueStride: outputs.stride,
    deltaOffset: delta.offset,
    deltaStride: delta.stride,
    gradient: operands.gradient ? 1 : 0,
    flags: capacity,
    transpose: asked ? 1 : 0,
    transposedOffset: offset,
    transposedStride: stride,
  };
  const problems = recorder.manager.table(LossProblem, [problem]);
  recorder.dispatch(
    lossKernel,
    {
      problems,
      values: outputs.buffer,
      key,
      targets,
      deltas: delta.buffer,
      results,
      transposed: operands.transposed.buffer,
    },
    Math.ceil(problem.rows / THREADS),
  );
  const mean = (offset: number, index: number) => ({
    x: { buffer: results, offset, rows: 1, cols: count },
    index: statistics.index + index,
    scale: 1 / count,
  });
  reduce(recorder, statistics.buffer, [mean(0, 0), mean(capacity, 1)]);
}
