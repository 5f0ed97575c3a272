import tgpu, { d } from "typegpu";
import code from "../../shaders/pool_average.wgsl?raw";
import type { Matrix } from "../linalg/index.js";
import { defineKernel, type Recorder } from "../pipeline/index.js";
import { averagePoolOp, globalAveragePoolOp } from "../reference/ops.js";
import type { ImageShape } from "./conv/geometry.js";
import { imageOf, refuseForm } from "./form.js";
import type { LayerKind, LayerModule, Site } from "./kind.js";
import type { Layer } from "./layer.js";
import {
  type PoolModule,
  type PoolOptions,
  pooledForm,
  poolModule,
  quadOffsets,
  type Windows,
  windowFields,
  windowsOf,
} from "./pool-windows.js";
import type { Pair } from "./sizes.js";
import type { Values } from "./values.js";

/** One number for each channel, or for each feature of a sequence. */
export interface GlobalPoolModule extends LayerModule {
  readonly kind: "globalAveragePool";
}

/**
 * The mean of each window. Windows that do not fit are left out.
 *
 * @throws ArgumentError when a size is not a positive integer.
 */
export function averagePool2d(kernel: number | Pair, options: PoolOptions = {}): PoolModule {
  return poolModule("averagePool2d", kernel, options);
}

/** The mean over all positions of an image or a sequence: one number a channel or feature, ready for a dense layer. */
export function globalAveragePool(): GlobalPoolModule {
  return { kind: "globalAveragePool" };
}

export const averagePoolKind: LayerKind<PoolModule> = {
  kind: "averagePool2d",
  treatment: "nothing to train",
  repeats: true,
  traits: { sharesBuffer: true, sparesOutput: true },
  shape: (module, [input], name) => pooledForm(module, input!, name),
  build: (module, site) =>
    new AveragePoolLayer("averagePool2d", site, windowsOf(site.name, module, site.inputs[0]!.shape!)),
  twin: ({ kernel, stride }) => averagePoolOp({ kernel, stride }),
};

export const globalAveragePoolKind: LayerKind<GlobalPoolModule> = {
  kind: "globalAveragePool",
  treatment: "nothing to train",
  repeats: true,
  traits: { sharesBuffer: true, sparesOutput: true },
  shape(_module, [input], name) {
    const image = imageOf(input!);
    if (!image) return refuseForm(name, input!, "positions", "it takes images and sequences");
    return { kind: "vector", features: image.channels };
  },
  build(module, site) {
    const shape = site.inputs[0]!.shape!;
    const whole: Pair = [shape.height, shape.width];
    const windows = windowsOf(site.name, { kernel: whole, stride: whole }, shape);
    return new AveragePoolLayer(module.kind, site, windows);
  },
  twin: () => globalAveragePoolOp(),
};

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

const averageKernel = (entryPoint: string) =>
  defineKernel({ name: "pool_average", code, layout: averagePoolLayout, entryPoint });
const [averageForward, averageBack] = [averageKernel("forward"), averageKernel("back")];

/** The mean of each window of each channel. */
class AveragePoolLayer implements Layer {
  readonly kind: "averagePool2d" | "globalAveragePool";
  readonly name: string;
  readonly parameters = 0;
  readonly inputs: readonly Values[];
  readonly input: Values;
  readonly output: Values;
  readonly #windows: Windows;

  constructor(kind: AveragePoolLayer["kind"], site: Site, windows: Windows) {
    this.kind = kind;
    this.name = site.name;
    this.inputs = site.inputs;
    this.input = site.inputs[0]!;
    this.output = site.output();
    this.#windows = windows;
  }

  forward(recorder: Recorder, count: number): void {
    const windows = { ...this.#windows, scale: this.#scale };
    recordAverage(recorder, windows, count, this.input.rows(count), this.output.rows(count));
  }

  backward(recorder: Recorder, _count: number, images: number): void {
    if (!this.input.delta) return;
    const windows = { ...this.#windows, scale: this.#scale, back: true };
    recordAverage(recorder, windows, images, this.output.deltas(images), this.input.deltas(images));
  }

  tangent(recorder: Recorder, _count: number, images: number): void {
    const windows = { ...this.#windows, scale: this.#scale };
    recordAverage(recorder, windows, images, this.input.tangents(images), this.output.tangents(images));
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
  const problem = {
    images,
    channels: output.channels,
    ...windowFields(all),
    ...quadOffsets(source, pooled),
    scale,
  };
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
