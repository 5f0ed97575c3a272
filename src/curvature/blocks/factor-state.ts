import tgpu, { d } from "typegpu";
import code from "../../../shaders/factor_state.wgsl?raw";
import { defineKernel, type Kernel, type PipelineManager, type Recorder } from "../../pipeline/index.js";
import type { BlockSite } from "./block.js";
import { LayerState } from "./layer-states.js";
import { BlockSettings, FactorSettings } from "./settings.js";
import { type StoredNumber, wordOf } from "./stored.js";

export const LayerProblem = d.struct({
  alphaA: d.f32,
  alphaB: d.f32,
  sizeA: d.f32,
  sizeB: d.f32,
  serves: d.u32,
  whole: d.u32,
  entry: d.u32,
  place: d.u32,
  word: d.u32,
  stored: d.u32,
});

export const factorStateLayout = tgpu
  .bindGroupLayout({
    problems: { storage: d.arrayOf(LayerProblem), access: "readonly", visibility: ["compute"] },
    settings: { uniform: FactorSettings, visibility: ["compute"] },
    traces: { storage: d.arrayOf(d.vec2f), access: "readonly", visibility: ["compute"] },
    flags: { storage: d.arrayOf(d.u32), access: "mutable", visibility: ["compute"] },
    layers: { storage: d.arrayOf(LayerState), access: "mutable", visibility: ["compute"] },
    scales: { storage: d.arrayOf(d.vec4f), access: "mutable", visibility: ["compute"] },
    dampings: { storage: d.arrayOf(d.vec2f), access: "mutable", visibility: ["compute"] },
    status: { storage: d.arrayOf(d.vec2u), access: "mutable", visibility: ["compute"] },
    words: { storage: d.arrayOf(d.u32), access: "readonly", visibility: ["compute"] },
  })
  .$idx(0);

const stateKernel = (entryPoint: string) =>
  defineKernel({ name: "factor_state", code, layout: factorStateLayout, entryPoint });
const averageKernel = stateKernel("average");
const dampKernel = stateKernel("damp");
const settleKernel = stateKernel("settle");

const WORKGROUP = 64;

/** Where the two dampings and status words of each layer are: pairs from `place` on. */
export interface InversionWords {
  readonly dampings: GPUBuffer;
  readonly status: GPUBuffer;
  readonly place: number;
}

/** What a layer's batch is multiplied with to be its mean: of the sums on both sides. */
export interface BatchScale {
  layer: number;
  alphaA: number;
  alphaB: number;
}

/**
 * Decides on the GPU, layer by layer, whether a batch enters a block's moving means and with which weight, how λ is split
 * between two factors, and what a failed inversion means: the kernels of `factor_state.wgsl` on buffers of the block's own.
 */
export class FactorState implements Disposable {
  readonly settings: BlockSettings;
  /** A word a layer, to be cleared and or-ed into before `average`: a batch with any bit is left out. */
  readonly flags: GPUBuffer;
  /** (α, β) of both means of a layer, as `average` leaves them: pairs 2l and 2l + 1. */
  readonly scales: GPUBuffer;
  /** tr Ā and tr B̄ of a layer, for `damp`. */
  readonly traces: GPUBuffer;
  /** What is added to both factors of a layer, and how their inversions went: see `invert`. */
  readonly dampings: GPUBuffer;
  readonly status: GPUBuffer;
  readonly #manager: PipelineManager;
  readonly #site: BlockSite;
  readonly #whole: boolean;

  /** With `whole` each layer has one matrix, A's, which λ is added to as it is. */
  constructor(site: BlockSite, { whole = false } = {}) {
    const { manager, layers, damping, emaDecay } = site;
    this.#whole = whole;
    const count = layers.length;
    this.#manager = manager;
    this.#site = site;
    this.settings = new BlockSettings(manager, damping, emaDecay);
    this.flags = manager.createStorage("input flags", count);
    this.scales = manager.createStorage("scales", 4 * count);
    this.traces = manager.createStorage("traces", 2 * count);
    this.dampings = manager.createStorage("dampings", 2 * count);
    this.status = manager.createStorage("status", 2 * count);
  }

  /**
   * Records the weights of these layers' batches, from `flags`. Where `skip` is 2, the means start afresh; where it is
   * another number than 0, none is taken in, and bit 8 is set in the flags of those that could have been.
   */
  average(recorder: Recorder, batches: readonly BatchScale[], skip?: StoredNumber): void {
    this.#run(recorder, averageKernel, batches, { number: skip });
  }

  /** Records how λ is split in these layers, from `traces`. */
  damp(recorder: Recorder, layers: readonly number[], words: InversionWords = this.#words): void {
    this.#run(recorder, dampKernel, unscaled(layers), { number: this.settings.stored, words });
  }

  /** Records what follows from the status words of these layers. */
  settle(recorder: Recorder, layers: readonly number[], words: InversionWords = this.#words): void {
    this.#run(recorder, settleKernel, unscaled(layers), { words });
  }

  dispose(): void {
    this.settings.dispose();
    for (const buffer of [this.flags, this.scales, this.traces, this.dampings, this.status]) {
      this.#manager.destroyBuffer(buffer);
    }
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  get #words(): InversionWords {
    return { dampings: this.dampings, status: this.status, place: 0 };
  }

  #run(
    recorder: Recorder,
    kernel: Kernel,
    own: readonly BatchScale[],
    operands: { number?: StoredNumber | undefined; words?: InversionWords },
  ): void {
    const { number, words = this.#words } = operands;
    const { layers, entries, states } = this.#site;
    const problems = layers.map((layer, index) => {
      const served = own.find((candidate) => candidate.layer === index);
      return {
        alphaA: served?.alphaA ?? 0,
        alphaB: served?.alphaB ?? 0,
        sizeA: layer.in,
        sizeB: layer.out,
        serves: served ? 1 : 0,
        whole: this.#whole ? 1 : 0,
        entry: entries[index]!,
        place: words.place + index,
        ...wordOf(number),
      };
    });
    const table = this.#manager.table(LayerProblem, problems);
    recorder.dispatch(
      kernel,
      {
        problems: table,
        settings: this.settings.buffer,
        traces: this.traces,
        flags: this.flags,
        layers: states.buffer,
        scales: this.scales,
        dampings: words.dampings,
        status: words.status,
        // Without a number of the GPU's nothing is read here.
        words: number?.buffer ?? table,
      },
      Math.ceil(layers.length / WORKGROUP),
    );
  }
}

function unscaled(layers: readonly number[]): BatchScale[] {
  return layers.map((layer) => ({ layer, alphaA: 0, alphaB: 0 }));
}
