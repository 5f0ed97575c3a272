import tgpu, { d } from "typegpu";
import code from "../../shaders/fisher.wgsl?raw";
import { must, oneOf, optionsOf, type Rules, SIZE, U32 } from "../arguments.js";
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

const KIND = oneOf("exact", "monteCarlo", "empirical");
const OPTIONS: Rules<FisherOptions> = { kind: KIND, samples: SIZE, seed: U32, step: U32, first: U32 };

/**
 * Columns of Bᵢ that are propagated beside the gradient: one per output, one per sample, or none.
 *
 * @throws ArgumentError for an unknown kind or option, or samples, seed, step or first out of range.
 */
export function fisherColumns(
  operation: string,
  options: FisherOptions | undefined,
  outputs: number,
): number {
  if (options === undefined) return 0;
  const { kind, samples = 1 } = optionsOf(operation, OPTIONS, options, "fisher");
  must(operation, "fisher.kind", kind, KIND);
  if (kind === "exact") return outputs;
  return kind === "monteCarlo" ? samples : 0;
}
