import tgpu, { d } from "typegpu";
import code from "../../shaders/gather.wgsl?raw";
import { defineKernel, type Recorder } from "../pipeline/index.js";
import { PERMUTATION_ROUNDS } from "../random/index.js";

/** What the numbers of an array are in memory; the shader has the same list. */
export const FORMATS = { words: 0, bytes: 1, halves: 2, classes: 3 } as const;
export type Format = keyof typeof FORMATS;

/** How positions of a batch become examples; the shader has the same list. */
export const ORDERS = { given: 0, shuffled: 1, listed: 2 } as const;

export const GatherProblem = d.struct({
  format: d.u32,
  rows: d.u32,
  width: d.u32,
  pitch: d.u32,
  cols: d.u32,
  first: d.u32,
  examples: d.u32,
  offset: d.u32,
  stride: d.u32,
});

export const GatherOrder = d.struct({
  kind: d.u32,
  start: d.u32,
  examples: d.u32,
  upper: d.u32,
  lower: d.u32,
  keys: d.arrayOf(d.u32, PERMUTATION_ROUNDS),
});

const words = {
  storage: d.arrayOf(d.u32),
  access: "readonly" as const,
  visibility: ["compute" as const],
};

export const gatherLayout = tgpu
  .bindGroupLayout({
    problems: { storage: d.arrayOf(GatherProblem), access: "readonly", visibility: ["compute"] },
    order: { storage: GatherOrder, access: "readonly", visibility: ["compute"] },
    listed: words,
    source: words,
    levels: words,
    gathered: { storage: d.arrayOf(d.u32), access: "mutable", visibility: ["compute"] },
  })
  .$idx(0);

export const gatherKernel = defineKernel({ name: "gather", code, layout: gatherLayout, rowwise: true });

/** Some whole examples of an array, in one buffer. */
export interface Part {
  readonly buffer: GPUBuffer;
  readonly first: number;
  readonly examples: number;
}

/** What is gathered from. */
export interface Gathered {
  readonly format: Format;
  readonly parts: readonly Part[];
  /** Numbers of an example as they are gathered. */
  readonly width: number;
  /** Numbers in memory from one example to the next. */
  readonly pitch: number;
  /** What each byte stands for, 256 f32, where they are bytes. */
  readonly levels: GPUBuffer | undefined;
}

/** Where examples go: rows of `cols` numbers, `stride` apart, as many an example as it has numbers for. */
export interface Destination {
  readonly buffer: GPUBuffer;
  readonly offset: number;
  readonly stride: number;
  readonly cols: number;
}

/** Which examples: `GatherOrder`, and the numbers of those that are listed, u32. */
export interface Order {
  readonly order: GPUBuffer;
  readonly listed: GPUBuffer;
}

/** Records that `count` examples of the array come together, in the order that the buffers say when the commands run. */
export function gather(
  recorder: Recorder,
  { format, parts, width, pitch, levels }: Gathered,
  { order, listed }: Order,
  count: number,
  { buffer, offset, stride, cols }: Destination,
): void {
  for (const part of parts) {
    const { first, examples } = part;
    const problem = {
      format: FORMATS[format],
      rows: count,
      width,
      pitch,
      cols,
      first,
      examples,
      offset,
      stride,
    };
    const problems = recorder.manager.table(GatherProblem, [problem]);
    // What a format does not read is stood in for.
    const bindings = {
      problems,
      order,
      listed,
      source: part.buffer,
      levels: levels ?? problems,
      gathered: buffer,
    };
    recorder.dispatch(gatherKernel, bindings, count);
  }
}
