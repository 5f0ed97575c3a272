import tgpu, { d } from "typegpu";
import code from "../../../shaders/spectrum.wgsl?raw";
import { group, partition } from "../../linalg/layout/group.js";
import type { Matrix } from "../../linalg/layout/view.js";
import { defineKernel, type Kernel, type Recorder } from "../../pipeline/index.js";

export const SpectrumProblem = d.struct({
  first: d.u32,
  rows: d.u32,
  cols: d.u32,
  xOffset: d.u32,
  xStride: d.u32,
  dOffset: d.u32,
  dStride: d.u32,
  outOffset: d.u32,
  outStride: d.u32,
  leftOffset: d.u32,
  leftStride: d.u32,
  rightOffset: d.u32,
  rightStride: d.u32,
  pairs: d.u32,
  index: d.u32,
  stored: d.u32,
  lambdaIndex: d.u32,
  readyIndex: d.u32,
  lambda: d.f32,
});

export const spectrumLayout = tgpu
  .bindGroupLayout({
    problems: { storage: d.arrayOf(SpectrumProblem), access: "readonly", visibility: ["compute"] },
    x: { storage: d.arrayOf(d.f32), access: "readonly", visibility: ["compute"] },
    d: { storage: d.arrayOf(d.f32), access: "readonly", visibility: ["compute"] },
    state: { storage: d.arrayOf(d.f32), access: "readonly", visibility: ["compute"] },
    out: { storage: d.arrayOf(d.f32), access: "mutable", visibility: ["compute"] },
    second: { storage: d.arrayOf(d.u32), access: "readonly", visibility: ["compute"] },
  })
  .$idx(0);

const ENTRIES = ["outer", "peak", "divide", "multiply", "scale"] as const;
const kernels = Object.fromEntries(
  ENTRIES.map((entryPoint) => [
    entryPoint,
    defineKernel({ name: "spectrum", code, layout: spectrumLayout, entryPoint }),
  ]),
) as Record<(typeof ENTRIES)[number], Kernel>;

/** A vector whose elements are `stride` numbers apart, from number `offset` (defaults to 0) of its buffer on. */
export interface StridedVector {
  buffer: GPUBuffer;
  offset?: number;
  stride: number;
}

/** D ← Σ_k l_k r_k' over one or two pairs, negative numbers counted as zero. */
export interface OuterSpectrum {
  pairs: readonly { left: StridedVector; right: StridedVector }[];
  D: Matrix;
}

/** Records spectra of Kronecker products. Of two pairs, both left vectors share an offset and stride, and both right ones. */
export function outerSpectra(recorder: Recorder, problems: readonly OuterSpectrum[]): void {
  run(
    recorder,
    "outer",
    problems.map(({ pairs, D }) => {
      const first = pairs[0]!;
      const second = pairs[1] ?? first;
      return {
        D,
        out: D,
        numbers: {
          leftOffset: first.left.offset ?? 0,
          leftStride: first.left.stride,
          rightOffset: first.right.offset ?? 0,
          rightStride: first.right.stride,
          pairs: pairs.length,
        },
        buffers: {
          x: first.left.buffer,
          d: first.right.buffer,
          state: second.left.buffer,
          second: second.right.buffer,
          out: D.buffer,
        },
      };
    }),
  );
}

/** Records peaks[index] ← the largest element of D, for `divideSpectra` without damping. */
export function spectrumPeaks(
  recorder: Recorder,
  problems: readonly { D: Matrix; index: number }[],
  peaks: GPUBuffer,
): void {
  run(
    recorder,
    "peak",
    problems.map(({ D, index }) => ({
      D,
      out: D,
      numbers: { index },
      buffers: { d: D.buffer, out: peaks },
    })),
    () => 1,
  );
}

/**
 * λ as a number, or as number `index` of a buffer that the GPU has written, times `multiplier` (defaults to 1); word `ready` of
 * that buffer is 0 as long as there is nothing to divide by.
 */
export type StoredDamping = number | { buffer: GPUBuffer; index: number; ready: number; multiplier?: number };

/** into ← X / (D + λ). Without λ, elements below a rounding error of number `index` of `peaks` give zero. */
export interface SpectrumDivision {
  X: Matrix;
  D: Matrix;
  into: Matrix;
  lambda: StoredDamping;
  peaks: GPUBuffer;
  index: number;
}

/** Records divisions, one dispatch for all that share their buffers. Checks nothing. */
export function divideSpectra(recorder: Recorder, divisions: readonly SpectrumDivision[]): void {
  run(
    recorder,
    "divide",
    divisions.map(({ X, D, into, lambda, peaks, index }) => {
      const numbers =
        typeof lambda === "number"
          ? { index, lambda, stored: 0 }
          : {
              index,
              lambdaIndex: lambda.index,
              readyIndex: lambda.ready,
              lambda: lambda.multiplier ?? 1,
              stored: 1,
            };
      const buffers = { x: X.buffer, d: D.buffer, state: peaks, out: into.buffer };
      const stored = typeof lambda === "number" ? {} : { second: lambda.buffer };
      return { X, D, out: into, numbers, buffers: { ...buffers, ...stored } };
    }),
  );
}

/** Records into ← X ∘ D, one dispatch for all that share their buffers. Checks nothing. */
export function multiplySpectra(
  recorder: Recorder,
  products: readonly { X: Matrix; D: Matrix; into: Matrix }[],
): void {
  run(
    recorder,
    "multiply",
    products.map(({ X, D, into }) => ({
      X,
      D,
      out: into,
      numbers: {},
      buffers: { x: X.buffer, d: D.buffer, out: into.buffer },
    })),
  );
}

/** Records into ← X / √sums[index], or zero where that is not a positive number. */
export function scaleByRoot(
  recorder: Recorder,
  operands: { X: Matrix; sums: GPUBuffer; index: number; into: Matrix },
): void {
  const { X, sums, index, into } = operands;
  const buffers = { x: X.buffer, state: sums, out: into.buffer };
  run(recorder, "scale", [{ X, D: X, out: into, numbers: { index }, buffers }]);
}

interface Step {
  X?: Matrix;
  D: Matrix;
  out: Matrix;
  numbers: Partial<Omit<d.Infer<typeof SpectrumProblem>, "first">>;
  buffers: Partial<Record<"x" | "d" | "state" | "second", GPUBuffer>> & { out: GPUBuffer };
}

function run(
  recorder: Recorder,
  entry: keyof typeof kernels,
  steps: readonly Step[],
  groupsOf = ({ rows }: { rows: number }) => rows,
): void {
  const none = {};
  const keys = ({ buffers: { x, d, state, second, out } }: Step) =>
    [x, d, state, second, out].map((buffer) => buffer ?? none);
  for (const part of partition(steps, keys)) {
    const { rows, groups } = group(part.map(problemOf), groupsOf);
    const problems = recorder.manager.table(SpectrumProblem, rows);
    // What an entry point does not read is stood in for by the table.
    const { x = problems, d = problems, state = problems, second = problems, out } = part[0]!.buffers;
    recorder.dispatch(kernels[entry], { problems, x, d, state, second, out }, groups);
  }
}

function problemOf({ X, D, out, numbers }: Step): Omit<d.Infer<typeof SpectrumProblem>, "first"> {
  return {
    rows: D.rows,
    cols: D.cols,
    xOffset: X?.offset ?? 0,
    xStride: X?.stride ?? 0,
    dOffset: D.offset,
    dStride: D.stride,
    outOffset: out.offset,
    outStride: out.stride,
    leftOffset: 0,
    leftStride: 0,
    rightOffset: 0,
    rightStride: 0,
    pairs: 0,
    index: 0,
    stored: 0,
    lambdaIndex: 0,
    readyIndex: 0,
    lambda: 0,
    ...numbers,
  };
}
