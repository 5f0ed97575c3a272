import tgpu, { d } from "typegpu";
import averageCode from "../../shaders/pool_average.wgsl?raw";
import maxCode from "../../shaders/pool_max.wgsl?raw";
import { type Matrix, padded } from "../linalg/index.js";
import type { Workspace } from "../memory/workspace.js";
import { defineKernel, type Recorder } from "../pipeline/index.js";
import { type ImageShape, outputSize, positionsOf, sizeOf } from "./conv/geometry.js";
import type { Layer, Values } from "./layer.js";
import type { Pair, PoolModule } from "./modules.js";

export const MaxPoolProblem = d.struct({
  images: d.u32,
  examples: d.u32,
  quads: d.u32,
  height: d.u32,
  width: d.u32,
  outHeight: d.u32,
  outWidth: d.u32,
  kernel: d.vec2u,
  stride: d.vec2u,
  sourceOffset: d.u32,
  sourceStride: d.u32,
  pooledOffset: d.u32,
  pooledStride: d.u32,
});

export const maxPoolLayout = tgpu
  .bindGroupLayout({
    problems: { storage: d.arrayOf(MaxPoolProblem), access: "readonly", visibility: ["compute"] },
    source: { storage: d.arrayOf(d.vec4f), access: "readonly", visibility: ["compute"] },
    pooled: { storage: d.arrayOf(d.vec4f), access: "mutable", visibility: ["compute"] },
    chosen: { storage: d.arrayOf(d.vec4u), access: "mutable", visibility: ["compute"] },
  })
  .$idx(0);

export const AveragePoolProblem = d.struct({
  images: d.u32,
  channels: d.u32,
  height: d.u32,
  width: d.u32,
  outHeight: d.u32,
  outWidth: d.u32,
  kernel: d.vec2u,
  stride: d.vec2u,
  sourceOffset: d.u32,
  sourceStride: d.u32,
  pooledOffset: d.u32,
  pooledStride: d.u32,
  scale: d.f32,
});

export const averagePoolLayout = tgpu
  .bindGroupLayout({
    problems: { storage: d.arrayOf(AveragePoolProblem), access: "readonly", visibility: ["compute"] },
    source: { storage: d.arrayOf(d.vec4f), access: "readonly", visibility: ["compute"] },
    pooled: { storage: d.arrayOf(d.vec4f), access: "mutable", visibility: ["compute"] },
  })
  .$idx(0);

const maxKernel = (entryPoint: string) =>
  defineKernel({ name: "pool_max", code: maxCode, layout: maxPoolLayout, entryPoint });
const averageKernel = (entryPoint: string) =>
  defineKernel({ name: "pool_average", code: averageCode, layout: averagePoolLayout, entryPoint });
const [maxForward, maxBack] = [maxKernel("forward"), maxKernel("back")];
const [averageForward, averageBack] = [averageKernel("forward"), averageKernel("back")];

export const averageKernels = [averageForward, averageBack] as const;

interface Windows {
  readonly input: ImageShape;
  readonly output: ImageShape;
  readonly kernel: Pair;
  readonly stride: Pair;
}

/** The largest number of each window of each channel. */
export class MaxPoolLayer implements Layer {
  readonly kind = "maxPool2d";
  readonly kernels = [maxForward, maxBack];
  readonly name: string;
  readonly parameters = 0;
  readonly input: Values;
  readonly output: Values;
  readonly #windows: Windows;
  /** The cell y · W + x that each output was taken from, laid out like the outputs. */
  readonly #chosen: () => GPUBuffer;

  constructor(workspace: Workspace, module: PoolModule, input: Values, name: string) {
    this.name = name;
    this.input = input;
    this.#windows = windowsOf(name, module, input.shape!);
    this.output = imagesLike(workspace, input, this.#windows.output);
    const { channels } = this.#windows.output;
    const positions = positionsOf(this.#windows.output);
    this.#chosen = workspace.lease("chosen", workspace.batchSize * positions * padded(channels));
  }

  forward(recorder: Recorder, count: number): void {
    const { input, output } = this.#windows;
    const source = this.input.place.rows(count * positionsOf(input));
    const pooled = this.output.place.rows(count * positionsOf(output));
    this.#dispatch(recorder, "forward", { images: count, examples: count }, source, pooled);
  }

  backward(recorder: Recorder, count: number, images: number): void {
    if (!this.input.delta) return;
    const { input, output } = this.#windows;
    const source = this.output.delta!.rows(images * positionsOf(output));
    const pooled = this.input.delta.rows(images * positionsOf(input));
    this.#dispatch(recorder, "back", { images, examples: count }, source, pooled);
  }

  #dispatch(
    recorder: Recorder,
    direction: "forward" | "back",
    counts: { images: number; examples: number },
    source: Matrix,
    pooled: Matrix,
  ): void {
    const { input, output } = this.#windows;
    const quads = padded(output.channels) / 4;
    const problem = { ...counts, quads, ...sizes(this.#windows), ...offsets(source, pooled) };
    recorder.dispatch(
      direction === "forward" ? maxForward : maxBack,
      {
        problems: recorder.manager.table(MaxPoolProblem, [problem]),
        source: source.buffer,
        pooled: pooled.buffer,
        chosen: this.#chosen(),
      },
      counts.images * (direction === "forward" ? output : input).height,
    );
  }
}

/** The mean of each window of each channel; of the whole image, as vectors, where there is no module. */
export class AveragePoolLayer implements Layer {
  readonly kind: "averagePool2d" | "globalAveragePool";
  readonly kernels = averageKernels;
  readonly name: string;
  readonly parameters = 0;
  readonly input: Values;
  readonly output: Values;
  readonly #windows: Windows;

  constructor(workspace: Workspace, module: PoolModule | undefined, input: Values, name: string) {
    const shape = input.shape!;
    const { channels } = shape;
    const whole: Pair = [shape.height, shape.width];
    this.kind = module ? "averagePool2d" : "globalAveragePool";
    this.name = name;
    this.input = input;
    this.#windows = windowsOf(name, module ?? { kernel: whole, stride: whole }, shape);
    this.output = module
      ? imagesLike(workspace, input, this.#windows.output)
      : {
          features: channels,
          shape: undefined,
          place: workspace.values.place(channels + 1),
          delta: input.delta && workspace.deltas.place(channels),
        };
  }

  forward(recorder: Recorder, count: number): void {
    const { input, output } = this.#windows;
    const source = this.input.place.rows(count * positionsOf(input));
    const pooled = this.output.place.rows(count * positionsOf(output));
    recordAverage(recorder, { ...this.#windows, scale: this.#scale }, count, source, pooled);
  }

  backward(recorder: Recorder, _count: number, images: number): void {
    if (!this.input.delta) return;
    const { input, output } = this.#windows;
    const source = this.output.delta!.rows(images * positionsOf(output));
    const pooled = this.input.delta.rows(images * positionsOf(input));
    recordAverage(recorder, { ...this.#windows, scale: this.#scale, back: true }, images, source, pooled);
  }

  get #scale(): number {
    const [y, x] = this.#windows.kernel;
    return 1 / (y * x);
  }
}

/** Records scale · Σ over each window of so many images, or the adjoint of that. */
export function recordAverage(
  recorder: Recorder,
  windows: { input: ImageShape; kernel: Pair; stride: Pair; scale: number; back?: boolean },
  images: number,
  source: Matrix,
  pooled: Matrix,
): void {
  const { input, scale, back = false } = windows;
  const all = windowsOf("the pool", windows, input);
  const { output } = all;
  const problem = { images, channels: output.channels, ...sizes(all), ...offsets(source, pooled), scale };
  recorder.dispatch(
    back ? averageBack : averageForward,
    {
      problems: recorder.manager.table(AveragePoolProblem, [problem]),
      source: source.buffer,
      pooled: pooled.buffer,
    },
    images * (back ? input : output).height,
  );
}

function windowsOf(
  name: string,
  { kernel, stride }: { kernel: Pair; stride: Pair },
  input: ImageShape,
): Windows {
  const [height, width] = outputSize(name, input, { kernel, stride });
  return { input, output: { channels: input.channels, height, width }, kernel, stride };
}

function imagesLike(workspace: Workspace, { delta }: Values, shape: ImageShape): Values {
  const positions = positionsOf(shape);
  return {
    features: sizeOf(shape),
    shape,
    place: workspace.images(positions).place(shape.channels),
    delta: delta && workspace.imageDeltas(positions).place(shape.channels),
  };
}

function sizes({ input, output, kernel, stride }: Windows) {
  return {
    height: input.height,
    width: input.width,
    outHeight: output.height,
    outWidth: output.width,
    kernel: d.vec2u(kernel[0], kernel[1]),
    stride: d.vec2u(stride[0], stride[1]),
  };
}

/** In vec4. */
function offsets(source: Matrix, pooled: Matrix) {
  return {
    sourceOffset: source.offset / 4,
    sourceStride: source.stride / 4,
    pooledOffset: pooled.offset / 4,
    pooledStride: pooled.stride / 4,
  };
}
