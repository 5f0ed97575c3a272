import tgpu, { d } from "typegpu";
import code from "../../../shaders/sgd.wgsl?raw";
import type { Model } from "../../curvature/index.js";
import { finiteKernel, reduceKernels } from "../../linalg/index.js";
import { defineKernel, type PipelineManager, type Recorder } from "../../pipeline/index.js";
import { FirstOrder, type RecordRange, requireFraction, requireNonNegative, type Step } from "../descent.js";
import { flatGroups, Settings } from "../settings.js";

export const SgdSettings = d.struct({
  length: d.u32,
  learningRate: d.f32,
  momentum: d.f32,
  weightDecay: d.f32,
});

export const sgdLayout = tgpu
  .bindGroupLayout({
    settings: { uniform: SgdSettings, visibility: ["compute"] },
    flags: { storage: d.arrayOf(d.u32), access: "readonly", visibility: ["compute"] },
    gradient: { storage: d.arrayOf(d.f32), access: "readonly", visibility: ["compute"] },
    velocity: { storage: d.arrayOf(d.f32), access: "mutable", visibility: ["compute"] },
    weights: { storage: d.arrayOf(d.f32), access: "mutable", visibility: ["compute"] },
  })
  .$idx(0);

export const sgdKernel = defineKernel({ name: "sgd", code, layout: sgdLayout });

export interface SgdOptions {
  /** η > 0. */
  learningRate: number;
  /** μ in [0, 1); 0.9 unless given. */
  momentum?: number;
  /** ω ≥ 0 of the penalty ½ω‖W‖²; 0 unless given. */
  weightDecay?: number;
}

/** Stochastic gradient descent with momentum: the yardstick, on the same engine. */
export class Sgd extends FirstOrder {
  readonly name = "sgd";
  readonly #velocity: GPUBuffer;
  readonly #settings: Settings<typeof SgdSettings>;
  readonly #momentum: number;
  readonly #weightDecay: number;

  constructor(manager: PipelineManager, source: Model, options: SgdOptions) {
    const momentum = requireFraction("momentum", options.momentum ?? 0.9);
    const weightDecay = requireNonNegative("weightDecay", options.weightDecay ?? 0);
    super(manager, source, options.learningRate, [sgdKernel, finiteKernel, ...reduceKernels]);
    this.#momentum = momentum;
    this.#weightDecay = weightDecay;
    this.#velocity = manager.createStorage("velocity", source.length);
    this.#settings = new Settings(manager, "sgd settings", SgdSettings);
  }

  protected record(recorder: Recorder, { learningRate }: Step): RecordRange[] {
    const { length, gradients: gradient, parameters: weights } = this.source;
    const settings = this.#settings.write({
      length,
      learningRate,
      momentum: this.#momentum,
      weightDecay: this.#weightDecay,
    });
    this.checkGradient(recorder);
    const velocity = this.#velocity;
    recorder.dispatch(
      sgdKernel,
      { settings, flags: this.flags, gradient, velocity, weights },
      flatGroups(length),
    );
    return this.measure(recorder, velocity);
  }

  protected tensors(): Record<string, GPUBuffer> {
    return { velocity: this.#velocity };
  }

  override dispose(): void {
    super.dispose();
    this.#settings.dispose();
    this.manager.destroyBuffer(this.#velocity);
  }
}
