import tgpu, { d } from "typegpu";
import code from "../../../shaders/spectrum.wgsl?raw";
import type { Matrix } from "../../linalg/layout/view.js";
import { defineKernel, type Kernel, type Recorder } from "../../pipeline/index.js";

export const SpectrumProblem = d.struct({
  rows: d.u32,
  cols: d.u32,
  stride: d.u32,
  leftStride: d.u32,
  rightStride: d.u32,
  pairs: d.u32,
  source: d.u32,
  lambda: d.f32,
  floor: d.f32,
});

export const spectrumLayout = tgpu
  .bindGroupLayout({
    problems: { storage: d.arrayOf(SpectrumProblem), access: "readonly", visibility: ["compute"] },
    x: { storage: d.arrayOf(d.f32), access: "readonly", visibility: ["compute"] },
    d: { storage: d.arrayOf(d.f32), access: "readonly", visibility: ["compute"] },
    state: { storage: d.arrayOf(d.f32), access: "readonly", visibility: ["compute"] },
    out: { storage: d.arrayOf(d.f32), access: "mutable", visibility: ["compute"] },
    second: { storage: d.arrayOf(d.f32), access: "readonly", visibility: ["compute"] },
  })
  .$idx(0);

const ENTRIES = ["outer", "peak", "divide", "multiply", "scale"] as const;
const kernels = Object.fromEntries(
  ENTRIES.map((entryPoint) => [
    entryPoint,
    defineKernel({ name: "spectrum", code, layout: spectrumLayout, entryPoint }),
  ]),
) as Record<(typeof ENTRIES)[number], Kernel>;

export const spectrumKernels: readonly Kernel[] = Object.values(kernels);

/** Share of the largest element of a spectrum below which rounding is all there is, where nothing damps it. */
const FLOOR = 2e-6;

/** A vector whose elements are `stride` numbers apart, from the start of its buffer. */
export interface StridedVector {
  buffer: GPUBuffer;
  stride: number;
}

/** Records D ← Σ_k l_k r_k' over one or two pairs, negative numbers counted as zero. D has no offset. */
export function outerSpectrum(
  recorder: Recorder,
  pairs: readonly { left: StridedVector; right: StridedVector }[],
  D: Matrix,
): void {
  const first = pairs[0]!;
  const second = pairs[1] ?? first;
  run(recorder, "outer", D, D.rows, {
    numbers: { leftStride: first.left.stride, rightStride: first.right.stride, pairs: pairs.length },
    x: first.left.buffer,
    d: first.right.buffer,
    state: second.left.buffer,
    second: second.right.buffer,
    out: D.buffer,
  });
}

/** Records peak[0] ← the largest element of D, for `divideSpectrum` without damping. */
export function spectrumPeak(recorder: Recorder, D: Matrix, peak: GPUBuffer): void {
  run(recorder, "peak", D, 1, { d: D.buffer, out: peak });
}

/**
 * Records into ← X / (D + λ), all of D's stride and without offset. Without λ, elements below a rounding error of `peak`
 * give zero.
 */
export function divideSpectrum(
  recorder: Recorder,
  operands: { X: Matrix; D: Matrix; lambda: number; peak: GPUBuffer; into: Matrix },
): void {
  const { X, D, lambda, peak, into } = operands;
  const numbers = { lambda, floor: lambda > 0 ? 0 : FLOOR };
  run(recorder, "divide", D, D.rows, {
    numbers,
    x: X.buffer,
    d: D.buffer,
    state: peak,
    out: into.buffer,
  });
}

/** Records into ← X ∘ D, all of D's stride and without offset. */
export function multiplySpectrum(recorder: Recorder, operands: { X: Matrix; D: Matrix; into: Matrix }): void {
  const { X, D, into } = operands;
  run(recorder, "multiply", D, D.rows, { x: X.buffer, d: D.buffer, out: into.buffer });
}

/** Records into ← X / √sums[index], or zero where that is not a positive number. No offsets. */
export function scaleByRoot(
  recorder: Recorder,
  operands: { X: Matrix; sums: GPUBuffer; index: number; into: Matrix },
): void {
  const { X, sums, index, into } = operands;
  run(recorder, "scale", X, X.rows, {
    numbers: { source: index },
    x: X.buffer,
    state: sums,
    out: into.buffer,
  });
}

interface Step {
  numbers?: Partial<d.Infer<typeof SpectrumProblem>>;
  x?: GPUBuffer;
  d?: GPUBuffer;
  state?: GPUBuffer;
  second?: GPUBuffer;
  out: GPUBuffer;
}

function run(
  recorder: Recorder,
  entry: keyof typeof kernels,
  { rows, cols, stride }: Matrix,
  groups: number,
  step: Step,
): void {
  const problems = recorder.manager.table(SpectrumProblem, [
    {
      rows,
      cols,
      stride,
      leftStride: 0,
      rightStride: 0,
      pairs: 0,
      source: 0,
      lambda: 0,
      floor: 0,
      ...step.numbers,
    },
  ]);
  // What an entry point does not read is stood in for by the table.
  const { x = problems, d: spectrum = problems, state = problems, second = problems, out } = step;
  recorder.dispatch(kernels[entry], { problems, x, d: spectrum, state, second, out }, groups);
}
