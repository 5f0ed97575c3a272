import tgpu, { d } from "typegpu";
import code from "../../shaders/fisher.wgsl?raw";
import { ArgumentError } from "../errors.js";
import { requireSize } from "../layers/sizes.js";
import type { Matrix } from "../linalg/index.js";
import type { FisherOptions } from "../model/index.js";
import { defineKernel, type Recorder } from "../pipeline/index.js";
import { type Transposed, transposeOf } from "./loss.js";

export const FisherProblem = d.struct({
  kind: d.u32,
  sampled: d.u32,
  rows: d.u32,
  examples: d.u32,
  outputs: d.u32,
  valueOffset: d.u32,
  valueStride: d.u32,
  deltaOffset: d.u32,
  deltaStride: d.u32,
  transpose: d.u32,
  transposedOffset: d.u32,
  transposedStride: d.u32,
});

export const fisherLayout = tgpu
  .bindGroupLayout({
    problems: { storage: d.arrayOf(FisherProblem), access: "readonly", visibility: ["compute"] },
    key: { storage: d.vec3u, access: "readonly", visibility: ["compute"] },
    values: { storage: d.arrayOf(d.f32), access: "readonly", visibility: ["compute"] },
    deltas: { storage: d.arrayOf(d.f32), access: "mutable", visibility: ["compute"] },
    transposed: { storage: d.arrayOf(d.f32), access: "mutable", visibility: ["compute"] },
  })
  .$idx(0);

export const fisherKernel = defineKernel({ name: "fisher", code, layout: fisherLayout });

/** Rows of a workgroup; the shader's THREADS. */
const THREADS = 64;

export interface FisherOperands {
  /** The loss's number (`lossCode`). */
  kind: number;
  /** Whether the rows are Monte-Carlo samples, else exact columns. */
  sampled: boolean;
  /** Three u32: seed, step, and the number of the first example. */
  key: GPUBuffer;
  /** Z, count × outputs. */
  outputs: Matrix;
  /** Receives Bᵢ's columns at the outputs, (columns · count) × outputs: row k·count + i is column k of example i. */
  delta: Matrix;
  /** Receives their transpose, outputs × (columns · count), where a product reads that next. */
  transposed: Transposed;
}

/** Records the rows of Bᵢ at the network's outputs. */
export function fisher(recorder: Recorder, operands: FisherOperands): void {
  const { outputs, delta, key } = operands;
  const problem = {
    kind: operands.kind,
    sampled: operands.sampled ? 1 : 0,
    rows: delta.rows,
    examples: outputs.rows,
    outputs: outputs.cols,
    valueOffset: outputs.offset,
    valueStride: outputs.stride,
    deltaOffset: delta.offset,
    deltaStride: delta.stride,
    ...transposeOf(operands.transposed),
  };
  const problems = recorder.manager.table(FisherProblem, [problem]);
  recorder.dispatch(
    fisherKernel,
    { problems, key, values: outputs.buffer, deltas: delta.buffer, transposed: operands.transposed.buffer },
    Math.ceil(delta.rows / THREADS),
  );
}

/**
 * Columns of Bᵢ that are propagated beside the gradient: one per output, one per sample, or none.
 *
 * @throws ArgumentError for an unknown kind, or samples, seed, step or first out of range.
 */
export function fisherColumns(
  operation: string,
  options: FisherOptions | undefined,
  outputs: number,
): number {
  if (!options) return 0;
  const { kind, samples = 1, seed = 0, step = 0, first = 0 } = options;
  switch (kind) {
    case "exact":
      return outputs;
    case "empirical":
      return 0;
    case "monteCarlo":
      requireSize(operation, "samples", samples);
      for (const [name, value] of Object.entries({ seed, step, first })) {
        if (!(Number.isInteger(value) && value >= 0 && value <= 0xffffffff)) {
          throw new ArgumentError(operation, name, `must be an integer from 0 to 2³² − 1, got ${value}`);
        }
      }
      return samples;
    default:
      throw new ArgumentError(
        operation,
        "fisher.kind",
        `must be "exact", "monteCarlo" or "empirical", got ${JSON.stringify(kind)}`,
      );
  }
}
