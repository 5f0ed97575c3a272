import tgpu, { d } from "typegpu";
import code from "../../../shaders/adam.wgsl?raw";
import type { Model } from "../../curvature/index.js";
import { finiteKernel, reduceKernels } from "../../linalg/index.js";
import { defineKernel, type PipelineManager, type Recorder } from "../../pipeline/index.js";
import {
  FirstOrder,
  type RecordRange,
  requireFraction,
  requireNonNegative,
  requirePositive,
  type Step,
} from "../descent.js";
import { flatGroups, Settings } from "../settings.js";

export const AdamSettings = d.struct({
  length: d.u32,
  learningRate: d.f32,
  beta1: d.f32,
  beta2: d.f32,
  correction1: d.f32,
  correction2: d.f32,
  epsilon: d.f32,
  weightDecay: d.f32,
});

export const adamLayout = tgpu
  .bindGroupLayout({
    settings: { uniform: AdamSettings, visibility: ["compute"] },
    flags: { storage: d.arrayOf(d.u32), access: "readonly", visibility: ["compute"] },
    gradient: { storage: d.arrayOf(d.f32), access: "readonly", visibility: ["compute"] },
    first: { storage: d.arrayOf(d.f32), access: "mutable", visibility: ["compute"] },
    second: { storage: d.arrayOf(d.f32), access: "mutable", visibility: ["compute"] },
    update: { storage: d.arrayOf(d.f32), access: "mutable", visibility: ["compute"] },
    weights: { storage: d.arrayOf(d.f32), access: "mutable", visibility: ["compute"] },
  })
  .$idx(0);

export const adamKernel = defineKernel({ name: "adam", code, layout: adamLayout });

export interface AdamOptions {
  /** η > 0; 1e-3 unless given. */
  learningRate?: number;
  /** 0.9 unless given. */
  beta1?: number;
  /** 0.999 unless given. */
  beta2?: number;
  /** 1e-8 unless given. */
  epsilon?: number;
  /** ω ≥ 0 of the penalty ½ω‖W‖²; 0 unless given. */
  weightDecay?: number;
}

/** Adam (Kingma & Ba 2015): the yardstick, on the same engine. */
export class Adam extends FirstOrder {
  readonly name = "adam";
  readonly #first: GPUBuffer;
  readonly #second: GPUBuffer;
  readonly #update: GPUBuffer;
  readonly #settings: Settings<typeof AdamSettings>;
  readonly #beta1: number;
  readonly #beta2: number;
  readonly #epsilon: number;
  readonly #weightDecay: number;

  constructor(manager: PipelineManager, source: Model, options: AdamOptions = {}) {
    const beta1 = requireFraction("beta1", options.beta1 ?? 0.9);
    const beta2 = requireFraction("beta2", options.beta2 ?? 0.999);
    const epsilon = requirePositive("epsilon", options.epsilon ?? 1e-8);
    const weightDecay = requireNonNegative("weightDecay", options.weightDecay ?? 0);
    super(manager, source, options.learningRate ?? 1e-3, [adamKernel, finiteKernel, ...reduceKernels]);
    this.#beta1 = beta1;
    this.#beta2 = beta2;
    this.#epsilon = epsilon;
    this.#weightDecay = weightDecay;
    this.#first = manager.createStorage("first moment", source.length);
    this.#second = manager.createStorage("second moment", source.length);
    this.#update = manager.createStorage("update", source.length);
    this.#settings = new Settings(manager, "adam settings", AdamSettings);
  }

  protected record(recorder: Recorder, { number, learningRate }: Step): RecordRange[] {
    const { length, gradients: gradient, parameters: weights } = this.source;
    const settings = this.#settings.write({
      length,
      learningRate,
      beta1: this.#beta1,
      beta2: this.#beta2,
      correction1: 1 - this.#beta1 ** number,
      correction2: 1 - this.#beta2 ** number,
      epsilon: this.#epsilon,
      weightDecay: this.#weightDecay,
    });
    this.checkGradient(recorder);
    const [first, second, update] = [this.#first, this.#second, this.#update];
    recorder.dispatch(
      adamKernel,
      { settings, flags: this.flags, gradient, first, second, update, weights },
      flatGroups(length),
    );
    return this.measure(recorder, update);
  }

  protected tensors(): Record<string, GPUBuffer> {
    return { first: this.#first, second: this.#second };
  }

  override dispose(): void {
    super.dispose();
    this.#settings.dispose();
    for (const buffer of [this.#first, this.#second, this.#update]) this.manager.destroyBuffer(buffer);
  }
}
