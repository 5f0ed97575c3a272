import tgpu, { d } from "typegpu";
import code from "../../shaders/pool_max.wgsl?raw";
import { type Matrix, padded } from "../linalg/index.js";
import { defineKernel, type Recorder } from "../pipeline/index.js";
import { maxPoolOp } from "../reference/ops.js";
import { positionsOf } from "./conv/geometry.js";
import type { LayerKind, Site } from "./kind.js";
import type { Layer } from "./layer.js";
import type { Activation } from "./layer-product.js";
import { ACTIVATION_CODES } from "./names.js";
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

/**
 * The largest number of each window; of equals, the first counts. Windows that do not fit are left out.
 *
 * @throws ArgumentError when a size is not a positive integer.
 */
export function maxPool2d(kernel: number | Pair, options: PoolOptions = {}): PoolModule {
  return poolModule("maxPool2d", kernel, options);
}

export const maxPoolKind: LayerKind<PoolModule> = {
  kind: "maxPool2d",
  treatment: "nothing to train",
  repeats: true,
  traits: { sharesBuffer: true, sparesOutput: true, appliesDerivative: true },
  shape: (module, [input], name) => pooledForm(module, input!, name),
  build: (module, site) => new MaxPoolLayer(module, site),
  twin: ({ kernel, stride }) => maxPoolOp({ kernel, stride }),
};

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
  kind: d.u32,
  slope: d.f32,
  valueOffset: d.u32,
  valueStride: d.u32,
});

export const maxPoolLayout = tgpu
  .bindGroupLayout({
    problems: { storage: d.arrayOf(MaxPoolProblem), access: "readonly", visibility: ["compute"] },
    source: { storage: d.arrayOf(d.vec4f), access: "readonly", visibility: ["compute"] },
    values: { storage: d.arrayOf(d.vec4f), access: "readonly", visibility: ["compute"] },
    pooled: { storage: d.arrayOf(d.vec4f), access: "mutable", visibility: ["compute"] },
    chosen: { storage: d.arrayOf(d.vec4u), access: "mutable", visibility: ["compute"] },
  })
  .$idx(0);

const maxKernel = (entryPoint: string) =>
  defineKernel({ name: "pool_max", code, layout: maxPoolLayout, entryPoint });
const kernels = { forward: maxKernel("forward"), back: maxKernel("back"), along: maxKernel("along") };

/** The largest number of each window of each channel. */
class MaxPoolLayer implements Layer {
  readonly kind = "maxPool2d";
  readonly name: string;
  readonly parameters = 0;
  readonly inputs: readonly Values[];
  readonly input: Values;
  readonly output: Values;
  readonly #windows: Windows;
  /** The function whose results the input is, where its derivative is left to this. */
  readonly #activation: Activation | undefined;
  /** The cell y · W + x that each output was taken from, laid out like the outputs. */
  readonly #chosen: () => GPUBuffer;

  constructor(module: PoolModule, site: Site) {
    const { workspace } = site;
    this.name = site.name;
    this.inputs = site.inputs;
    this.input = site.inputs[0]!;
    this.#windows = windowsOf(site.name, module, this.input.shape!);
    this.#activation = site.neighbours.activationBefore;
    this.output = site.output();
    const { channels } = this.#windows.output;
    const positions = positionsOf(this.#windows.output);
    this.#chosen = workspace.lease("chosen", workspace.batchSize * positions * padded(channels));
  }

  forward(recorder: Recorder, count: number): void {
    const counts = { images: count, examples: count };
    this.#dispatch(recorder, "forward", counts, this.input.rows(count), this.output.rows(count));
  }

  backward(recorder: Recorder, count: number, images: number): void {
    if (!this.input.delta) return;
    const counts = { images, examples: count };
    this.#dispatch(recorder, "back", counts, this.output.deltas(images), this.input.deltas(images));
  }

  tangent(recorder: Recorder, count: number, images: number): void {
    const counts = { images, examples: count };
    this.#dispatch(recorder, "along", counts, this.input.tangents(images), this.output.tangents(images));
  }

  #dispatch(
    recorder: Recorder,
    direction: keyof typeof kernels,
    counts: { images: number; examples: number },
    source: Matrix,
    pooled: Matrix,
  ): void {
    const { input, output } = this.#windows;
    const quads = padded(output.channels) / 4;
    const values = this.input.rows(counts.examples);
    const problem = {
      ...counts,
      quads,
      ...windowFields(this.#windows),
      ...quadOffsets(source, pooled),
      kind: this.#activation ? ACTIVATION_CODES[this.#activation.kind] : 0,
      slope: this.#activation?.slope ?? 0,
      valueOffset: values.offset / 4,
      valueStride: values.stride / 4,
    };
    recorder.dispatch(
      kernels[direction],
      {
        problems: recorder.manager.table(MaxPoolProblem, [problem]),
        source: source.buffer,
        values: values.buffer,
        pooled: pooled.buffer,
        chosen: this.#chosen(),
      },
      counts.images * (direction === "back" ? input : output).height,
    );
  }
}
