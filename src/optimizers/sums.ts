import tgpu, { d } from "typegpu";
import code from "../../shaders/step_sums.wgsl?raw";
import { group } from "../linalg/index.js";
import type { Model } from "../model/index.js";
import { defineKernel, type Recorder, withConstants } from "../pipeline/index.js";
import type { OptimizerMemory } from "./memory.js";

export const SumsProblem = d.struct({
  first: d.u32,
  rows: d.u32,
  cols: d.u32,
  offset: d.u32,
  stride: d.u32,
  parts: d.u32,
  flag: d.u32,
  bit: d.u32,
});

export const stepSumsLayout = tgpu
  .bindGroupLayout({
    problems: { storage: d.arrayOf(SumsProblem), access: "readonly", visibility: ["compute"] },
    gradients: { storage: d.arrayOf(d.f32), access: "readonly", visibility: ["compute"] },
    update: { storage: d.arrayOf(d.f32), access: "readonly", visibility: ["compute"] },
    velocity: { storage: d.arrayOf(d.f32), access: "readonly", visibility: ["compute"] },
    flags: { storage: d.arrayOf(d.atomic(d.u32)), access: "mutable", visibility: ["compute"] },
    sums: { storage: d.arrayOf(d.f32), access: "mutable", visibility: ["compute"] },
  })
  .$idx(0);

const kernel = defineKernel({ name: "step_sums", code, layout: stepSumsLayout, rowwise: true });
const kernels = { plain: kernel, withVelocity: withConstants(kernel, { VELOCITY: 1 }) };

/** Numbers of a layer in the shaders' `sums`. */
const SUMS = 7;
/** Of the quadratic model, behind them, each in at most so many parts: one for each of the examples that most batches are measured by. */
const FORMS = 4;
export const FORM_PARTS = 128;
/** Numbers that a workgroup of `step_sums` adds up, and the sums it leaves; the shader's CHUNK. */
const CHUNK = 4096;
const PARTS = 6;
/** Rows that a workgroup of `step_gradient` serves, and the sums it leaves; the shader's ROWS. */
const ROWS = 16;
const SLOPES = 2;

/** What `StepSums.record` is made of: U and V laid out like G; without V nothing is summed along it. */
export interface SumsOperands {
  readonly gradients: GPUBuffer;
  readonly update: GPUBuffer;
  readonly velocity: GPUBuffer | undefined;
  readonly flags: GPUBuffer;
  /** For each layer, the flag and the bit of it that is set where its U is not finite; 0 for a U that is known to be. */
  readonly looks: readonly { readonly flag: number; readonly bit: number }[];
}

/**
 * Norms and inner products of G, U and V, layer by layer, for what decides how far a step goes. They come in parts, a few for each
 * workgroup that looks at a layer, and are added up where they are read: `shaders/source/pieces/step_totals.wgsl`.
 */
export class StepSums {
  /** Seven numbers a layer, the four of the quadratic model in their parts, and the parts of the seven. */
  readonly buffer: GPUBuffer;
  /** Element where the four forms of the quadratic model are to be put. */
  readonly forms: number;
  readonly #model: Model;
  readonly #places: readonly { readonly parts: number; readonly chunks: number; readonly slopes: number }[];

  constructor(model: Model, memory: OptimizerMemory) {
    this.#model = model;
    const { layers } = model;
    this.forms = SUMS * layers.length;
    let length = this.forms + FORMS * FORM_PARTS;
    this.#places = layers.map(({ G: { rows, cols } }) => {
      const chunks = Math.ceil((rows * cols) / CHUNK);
      const parts = length;
      const slopes = parts + PARTS * chunks;
      length = slopes + SLOPES * groupsOf(rows);
      return { parts, chunks, slopes };
    });
    this.buffer = memory.storage("sums", length);
  }

  /** Where a workgroup of `step_gradient` puts its parts, and how many workgroups a layer has. */
  slopes(layer: number): { slopes: number; groups: number } {
    const { slopes } = this.#places[layer]!;
    return { slopes, groups: groupsOf(this.#model.layers[layer]!.G.rows) };
  }

  /** Where the parts of a layer are, as `LayerStep` has it; where U is G, those of `step_gradient` are all there are. */
  places(layer: number, own: boolean): { parts: number; chunks: number; slopes: number; groups: number } {
    const { parts, chunks } = this.#places[layer]!;
    return { parts, chunks: own ? chunks : 0, ...this.slopes(layer) };
  }

  /** Records the sums of a U of its own, and the look at it. */
  record(recorder: Recorder, { looks, velocity, ...buffers }: SumsOperands): void {
    const { rows, groups } = group(
      this.#model.layers.map(({ G: { rows, cols, offset, stride } }, layer) => {
        const { flag, bit } = looks[layer]!;
        return { rows, cols, offset, stride, parts: this.#places[layer]!.parts, flag, bit };
      }),
      (problem) => Math.ceil((problem.rows * problem.cols) / CHUNK),
    );
    const problems = recorder.manager.table(SumsProblem, rows);
    recorder.dispatch(
      velocity ? kernels.withVelocity : kernels.plain,
      { problems, ...buffers, velocity: velocity ?? buffers.update, sums: this.buffer },
      groups,
    );
  }
}

/** Workgroups of `step_gradient` for a layer with so many rows. */
export function groupsOf(rows: number): number {
  return Math.ceil(rows / ROWS);
}
