import tgpu, { d } from "typegpu";
import code from "../../shaders/average_weights.wgsl?raw";
import type { StoredNumber } from "../curvature/index.js";
import type { Model } from "../model/index.js";
import { defineKernel, type Kernel, type Recorder } from "../pipeline/index.js";
import type { OptimizerMemory } from "./memory.js";
import { flatGroups, type Settings } from "./settings.js";

export const AverageSettings = d.struct({
  /** β_t. */
  keep: d.f32,
  length: d.u32,
  /** Where the verdict is. */
  verdict: d.u32,
});

export const averageWeightsLayout = tgpu
  .bindGroupLayout({
    settings: { uniform: AverageSettings, visibility: ["compute"] },
    verdicts: { storage: d.arrayOf(d.u32), access: "readonly", visibility: ["compute"] },
    weights: { storage: d.arrayOf(d.f32), access: "mutable", visibility: ["compute"] },
    mean: { storage: d.arrayOf(d.f32), access: "mutable", visibility: ["compute"] },
  })
  .$idx(0);

const kernelOf = (entryPoint: string) =>
  defineKernel({ name: "average_weights", code, layout: averageWeightsLayout, entryPoint });
const averageKernel = kernelOf("average");
const swapKernel = kernelOf("swap");

/** What swaps weights and mean. */
export const SWAP_KERNELS: readonly Kernel[] = [swapKernel];

/**
 * β_t = min(β, t / (t + 9)) in step t = 1, 2, …, and 0 in the first: while few weights are in the mean, the early ones leave it
 * soon.
 */
export function averageKeep(decay: number, step: number): number {
  return step === 1 ? 0 : Math.min(decay, step / (step + 9));
}

/**
 * The running mean W̄ of the weights that steps began from (Polyak & Juditsky 1992; as an exponential mean, Tarvainen & Valpola
 * 2017). Weights count once the batch after them has found them good, so that a step which is taken back leaves no trace.
 */
export class WeightAverage {
  /** W̄, laid out like W; zero before the first step. */
  readonly mean: GPUBuffer;
  readonly #model: Model;
  readonly #settings: Settings<typeof AverageSettings>;
  readonly #verdict: StoredNumber;

  /** @throws LimitError when the device cannot hold the weights once more */
  constructor(model: Model, memory: OptimizerMemory, verdict?: StoredNumber) {
    this.#model = model;
    this.mean = memory.storage("mean weights", model.length);
    this.#settings = memory.settings("average settings", AverageSettings);
    // Nobody judges batches: all are taken.
    this.#verdict = verdict ?? { buffer: memory.storage("no verdict", 1), index: 0 };
  }

  /** Writes the numbers of a step, which the commands of `record` read. */
  write(decay: number, step: number): void {
    const { length } = this.#model;
    this.#settings.write({ keep: averageKeep(decay, step), length, verdict: this.#verdict.index });
  }

  /** Records that the weights enter the mean: after the verdict on them, before they change. */
  record(recorder: Recorder): void {
    this.#dispatch(recorder, averageKernel);
  }

  /** Records W ↔ W̄, in a run of at least one step. */
  swap(recorder: Recorder): void {
    this.#dispatch(recorder, swapKernel);
  }

  #dispatch(recorder: Recorder, kernel: Kernel): void {
    const { parameters: weights, length } = this.#model;
    const bindings = {
      settings: this.#settings.buffer,
      verdicts: this.#verdict.buffer,
      weights,
      mean: this.mean,
    };
    recorder.dispatch(kernel, bindings, flatGroups(length));
  }
}
