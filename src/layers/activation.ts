import tgpu, { d } from "typegpu";
import code from "../../shaders/activation.wgsl?raw";
import backwardCode from "../../shaders/activation_backward.wgsl?raw";
import type { Matrix } from "../linalg/index.js";
import type { RowPlace } from "../memory/storage.js";
import type { Workspace } from "../memory/workspace.js";
import { defineKernel, type Recorder } from "../pipeline/index.js";
import { positionsOf } from "./conv/geometry.js";
import type { Layer, Values } from "./layer.js";
import type { ActivationModule } from "./modules.js";

export const ActivationProblem = d.struct({
  rows: d.u32,
  cols: d.u32,
  kind: d.u32,
  slope: d.f32,
  sourceOffset: d.u32,
  sourceStride: d.u32,
  targetOffset: d.u32,
  targetStride: d.u32,
  transpose: d.u32,
  transposedOffset: d.u32,
  transposedStride: d.u32,
});

export const activationLayout = tgpu
  .bindGroupLayout({
    problems: { storage: d.arrayOf(ActivationProblem), access: "readonly", visibility: ["compute"] },
    values: { storage: d.arrayOf(d.f32), access: "mutable", visibility: ["compute"] },
    transposed: { storage: d.arrayOf(d.f32), access: "mutable", visibility: ["compute"] },
  })
  .$idx(0);

export const activationKernel = defineKernel({
  name: "activation",
  code,
  layout: activationLayout,
  rowwise: true,
});

export const BackwardProblem = d.struct({
  rows: d.u32,
  cols: d.u32,
  examples: d.u32,
  kind: d.u32,
  slope: d.f32,
  valueOffset: d.u32,
  valueStride: d.u32,
  deltaOffset: d.u32,
  deltaStride: d.u32,
  transpose: d.u32,
  transposedOffset: d.u32,
  transposedStride: d.u32,
});

export const activationBackwardLayout = tgpu
  .bindGroupLayout({
    problems: { storage: d.arrayOf(BackwardProblem), access: "readonly", visibility: ["compute"] },
    values: { storage: d.arrayOf(d.f32), access: "readonly", visibility: ["compute"] },
    deltas: { storage: d.arrayOf(d.f32), access: "mutable", visibility: ["compute"] },
    transposed: { storage: d.arrayOf(d.f32), access: "mutable", visibility: ["compute"] },
  })
  .$idx(0);

export const activationBackwardKernel = defineKernel({
  rowwise: true,
  name: "activation_backward",
  code: backwardCode,
  layout: activationBackwardLayout,
});

/** The shaders' number for each function. */
const KIND_CODES: Record<ActivationModule["kind"], number> = { relu: 1, leakyRelu: 2, tanh: 3, logistic: 4 };

/** Which transposes this layer leaves for the products of its neighbours, and whether it may overwrite its input. */
export interface ActivationOptions {
  readonly name: string;
  readonly inPlace: boolean;
  readonly transposesOutput: boolean;
  readonly transposesDelta: boolean;
}

/** A = φ(Z), element by element. Its derivative is read off A, and overwrites that in A. */
export class ActivationLayer implements Layer {
  readonly name: string;
  readonly kind: ActivationModule["kind"];
  readonly parameters = 0;
  readonly input: Values;
  readonly output: Values;
  readonly #workspace: Workspace;
  readonly #options: ActivationOptions;
  readonly #slope: number;

  constructor(workspace: Workspace, module: ActivationModule, input: Values, options: ActivationOptions) {
    const { features, shape } = input;
    this.name = options.name;
    this.kind = module.kind;
    this.input = input;
    // In the storage of its input: the kernel reads and writes one buffer.
    const place = options.inPlace
      ? undefined
      : input.place.storage.place(shape ? shape.channels : features + 1);
    this.output = place ? { ...input, place } : input;
    this.#workspace = workspace;
    this.#options = options;
    this.#slope = module.slope ?? 0.01;
  }

  forward(recorder: Recorder, count: number): void {
    const { place } = this.output;
    const source = this.#rowsOf(this.input.place, count);
    const target = this.#rowsOf(place, count);
    const transposed = this.#options.transposesOutput ? place.transposed(count, target.cols) : undefined;
    const problem = {
      rows: target.rows,
      cols: target.cols,
      kind: KIND_CODES[this.kind],
      slope: this.#slope,
      sourceOffset: source.offset,
      sourceStride: source.stride,
      targetOffset: target.offset,
      targetStride: target.stride,
      transpose: transposed ? 1 : 0,
      transposedOffset: transposed?.offset ?? 0,
      transposedStride: transposed?.stride ?? 0,
    };
    const problems = recorder.manager.table(ActivationProblem, [problem]);
    recorder.dispatch(
      activationKernel,
      { problems, values: target.buffer, transposed: this.#workspace.values.transposed },
      target.rows,
    );
  }

  backward(recorder: Recorder, count: number, rows: number): void {
    const place = this.output.delta;
    if (!place) return;
    const value = this.#rowsOf(this.output.place, count);
    const delta = this.#rowsOf(place, rows);
    const transposed = this.#options.transposesDelta ? place.transposed(rows) : undefined;
    const problem = {
      rows: delta.rows,
      cols: delta.cols,
      examples: value.rows,
      kind: KIND_CODES[this.kind],
      slope: this.#slope,
      valueOffset: value.offset,
      valueStride: value.stride,
      deltaOffset: delta.offset,
      deltaStride: delta.stride,
      transpose: transposed ? 1 : 0,
      transposedOffset: transposed?.offset ?? 0,
      transposedStride: transposed?.stride ?? 0,
    };
    const problems = recorder.manager.table(BackwardProblem, [problem]);
    recorder.dispatch(
      activationBackwardKernel,
      {
        problems,
        values: value.buffer,
        deltas: delta.buffer,
        transposed: this.#workspace.deltas.transposed,
      },
      delta.rows,
    );
  }

  /** One example a row. An image's pixels follow each other, so it is one long row, the padding between them included. */
  #rowsOf(place: RowPlace, examples: number): Matrix {
    const { shape, features } = this.output;
    if (!shape) return place.rows(examples, features);
    const positions = positionsOf(shape);
    const { buffer, offset, stride } = place.rows(examples * positions);
    return { buffer, offset, rows: examples, cols: positions * stride, stride: positions * stride };
  }
}
