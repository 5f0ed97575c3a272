import tgpu, { d } from "typegpu";
import foldCode from "../../../shaders/fold.wgsl?raw";
import code from "../../../shaders/patches.wgsl?raw";
import type { Matrix } from "../../linalg/index.js";
import { defineKernel, type Recorder } from "../../pipeline/index.js";
import type { Pair } from "../sizes.js";
import type { Chunk, ConvGeometry } from "./geometry.js";

export const PatchProblem = d.struct({
  rows: d.u32,
  firstRow: d.u32,
  channels: d.u32,
  height: d.u32,
  width: d.u32,
  outHeight: d.u32,
  outWidth: d.u32,
  kernel: d.vec2u,
  stride: d.vec2u,
  padding: d.vec2u,
  dilation: d.vec2u,
  bias: d.u32,
  sourceOffset: d.u32,
  sourceStride: d.u32,
  patchOffset: d.u32,
  patchStride: d.u32,
  span: d.u32,
  parts: d.u32,
});

export const patchesLayout = tgpu
  .bindGroupLayout({
    problems: { storage: d.arrayOf(PatchProblem), access: "readonly", visibility: ["compute"] },
    source: { storage: d.arrayOf(d.f32), access: "readonly", visibility: ["compute"] },
    patches: { storage: d.arrayOf(d.f32), access: "mutable", visibility: ["compute"] },
  })
  .$idx(0);

const patchKernel = (entryPoint: string) =>
  defineKernel({ name: "patches", code, layout: patchesLayout, entryPoint });
const rowsKernel = patchKernel("rows");
const transposedKernel = patchKernel("transposed");
const meansKernel = patchKernel("means");

export const FoldProblem = d.struct({
  examples: d.u32,
  channels: d.u32,
  height: d.u32,
  width: d.u32,
  outWidth: d.u32,
  firstLine: d.u32,
  lines: d.u32,
  kernel: d.vec2u,
  stride: d.vec2u,
  padding: d.vec2u,
  dilation: d.vec2u,
  step: d.vec2u,
  advance: d.vec2u,
  patchOffset: d.u32,
  patchStride: d.u32,
  foldedOffset: d.u32,
  foldedStride: d.u32,
  accumulate: d.u32,
  span: d.u32,
  parts: d.u32,
});

export const foldLayout = tgpu
  .bindGroupLayout({
    problems: { storage: d.arrayOf(FoldProblem), access: "readonly", visibility: ["compute"] },
    patches: { storage: d.arrayOf(d.f32), access: "readonly", visibility: ["compute"] },
    folded: { storage: d.arrayOf(d.f32), access: "mutable", visibility: ["compute"] },
  })
  .$idx(0);

export const foldKernel = defineKernel({ name: "fold", code: foldCode, layout: foldLayout });

/** The shaders' THREADS. */
const THREADS = 64;
/** Positions that a workgroup writes where its threads walk along the columns. */
const SPAN = 32;
/** Channels of a workgroup whose threads are positions or pixels. */
const CHANNELS = 8;

export type PatchForm = "rows" | "transposed" | "means";

/**
 * Records the patches of a chunk into `into`: (features + bias) columns and one position a row, or (features + bias) rows
 * and one position a column, or their means with one example a row.
 */
export function recordPatches(
  recorder: Recorder,
  form: PatchForm,
  geometry: ConvGeometry,
  chunk: Pick<Chunk, "first" | "rows">,
  source: Matrix,
  into: Matrix,
): void {
  const { input, output, kernel, stride, padding, dilation, features, bias } = geometry;
  const columns = Math.ceil((features + (bias ? 1 : 0)) / THREADS);
  const [span, parts] =
    form === "transposed"
      ? [CHANNELS, Math.ceil(input.channels / CHANNELS)]
      : [form === "rows" ? SPAN : 1, columns];
  const problem = {
    rows: chunk.rows,
    firstRow: chunk.first,
    channels: input.channels,
    height: input.height,
    width: input.width,
    outHeight: output.height,
    outWidth: output.width,
    kernel: vector(kernel),
    stride: vector(stride),
    padding: vector(padding),
    dilation: vector(dilation),
    bias: bias ? 1 : 0,
    sourceOffset: source.offset,
    sourceStride: source.stride,
    patchOffset: into.offset,
    patchStride: into.stride,
    span,
    parts,
  };
  const problems = recorder.manager.table(PatchProblem, [problem]);
  const kernels = { rows: rowsKernel, transposed: transposedKernel, means: meansKernel };
  recorder.dispatch(
    kernels[form],
    { problems, source: source.buffer, patches: into.buffer },
    Math.ceil(chunk.rows / (form === "transposed" ? THREADS : span)) * parts,
  );
}

/**
 * Records the adjoint of the patches: derivatives of a chunk's patches, features × positions, into those of the images, a
 * pixel a row. The first lines of an example overwrite, later ones are added.
 */
export function recordFold(
  recorder: Recorder,
  geometry: ConvGeometry,
  chunk: Chunk,
  patches: Matrix,
  into: Matrix,
): void {
  const { input, output, kernel, stride, padding, dilation } = geometry;
  const pixels = input.height * input.width;
  const divisors = [0, 1].map((axis) => gcd(stride[axis]!, dilation[axis]!));
  const parts = Math.ceil(input.channels / CHANNELS);
  const problem = {
    examples: chunk.examples,
    channels: input.channels,
    height: input.height,
    width: input.width,
    outWidth: output.width,
    firstLine: chunk.firstLine,
    lines: chunk.lines,
    kernel: vector(kernel),
    stride: vector(stride),
    padding: vector(padding),
    dilation: vector(dilation),
    step: d.vec2u(stride[0] / divisors[0]!, stride[1] / divisors[1]!),
    advance: d.vec2u(dilation[0] / divisors[0]!, dilation[1] / divisors[1]!),
    patchOffset: patches.offset,
    patchStride: patches.stride,
    foldedOffset: into.offset + chunk.example * pixels * into.stride,
    foldedStride: into.stride,
    accumulate: chunk.firstLine > 0 ? 1 : 0,
    span: CHANNELS,
    parts,
  };
  const problems = recorder.manager.table(FoldProblem, [problem]);
  recorder.dispatch(
    foldKernel,
    { problems, patches: patches.buffer, folded: into.buffer },
    Math.ceil((chunk.examples * pixels) / THREADS) * parts,
  );
}

function vector([y, x]: Pair) {
  return d.vec2u(y, x);
}

function gcd(a: number, b: number): number {
  return b === 0 ? a : gcd(b, a % b);
}
