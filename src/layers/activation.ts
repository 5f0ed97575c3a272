import tgpu, { d } from "typegpu";
import code from "../../shaders/activation.wgsl?raw";
import backwardCode from "../../shaders/activation_backward.wgsl?raw";
import { must, NON_NEGATIVE } from "../arguments.js";
import type { Matrix } from "../linalg/index.js";
import type { RowPlace } from "../memory/storage.js";
import type { Workspace } from "../memory/workspace.js";
import { defineKernel, type Recorder } from "../pipeline/index.js";
import { activationOp } from "../reference/ops.js";
import { refuseForm } from "./form.js";
import type { LayerKind, LayerModule, Neighbours, Site } from "./kind.js";
import type { Layer } from "./layer.js";
import type { Activation } from "./layer-product.js";
import { ACTIVATION_CODES, ACTIVATIONS, type ActivationName } from "./names.js";
import { exampleRows, type Values } from "./values.js";

/** An element-wise function. */
export interface ActivationModule extends LayerModule {
  readonly kind: ActivationName;
  /** Slope of leakyRelu below zero. */
  readonly slope?: number;
}

/** max(z, 0). */
export function relu(): ActivationModule {
  return { kind: "relu" };
}

/**
 * z above zero, slope · z below.
 *
 * @param slope defaults to 0.01
 * @throws ArgumentError when the slope is negative or not finite: the backward pass reads z's sign off the output.
 */
export function leakyRelu(slope = 0.01): ActivationModule {
  must("leakyRelu", "slope", slope, NON_NEGATIVE);
  return { kind: "leakyRelu", slope };
}

/** The hyperbolic tangent. */
export function tanh(): ActivationModule {
  return { kind: "tanh" };
}

/** 1/(1 + e^−z). */
export function logistic(): ActivationModule {
  return { kind: "logistic" };
}

function activationOf({ kind, slope = 0.01 }: ActivationModule): Activation {
  return { kind, slope };
}

export const activationKinds: readonly LayerKind<ActivationModule>[] = ACTIVATIONS.map((kind) => ({
  kind,
  treatment: "nothing to train",
  repeats: true,
  traits: { anyForm: true, sharesBuffer: true, leavesTransposes: true },
  activation: activationOf,
  shape(_module, [input], name) {
    if (input!.kind === "indices") return refuseForm(name, input!, "numbers", "");
    return input!;
  },
  build: (module, site) => new ActivationLayer(module, site),
  twin: ({ slope }) => activationOp(kind, slope),
}));

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
  sourceOffset: d.u32,
  sourceStride: d.u32,
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

/**
 * A = φ(Z), element by element. Its derivative is read off A, and overwrites that in A. Where the layers around do it as they
 * store what they make, nothing is left to do here.
 */
class ActivationLayer implements Layer {
  readonly name: string;
  readonly kind: ActivationModule["kind"];
  readonly parameters = 0;
  readonly inputs: readonly Values[];
  readonly input: Values;
  readonly output: Values;
  readonly #workspace: Workspace;
  readonly #neighbours: Neighbours;
  readonly #activation: Activation;

  constructor(module: ActivationModule, site: Site) {
    const input = site.inputs[0]!;
    this.name = site.name;
    this.kind = module.kind;
    this.inputs = site.inputs;
    this.input = input;
    // In the storage of its input: the kernel reads and writes one buffer.
    const place = site.neighbours.inPlace ? input.place : input.place.storage.place(input.place.cols);
    this.output = site.output({ place, delta: input.delta, tangent: tangentPlace(site) });
    this.#workspace = site.workspace;
    this.#neighbours = site.neighbours;
    this.#activation = activationOf(module);
  }

  forward(recorder: Recorder, count: number): void {
    if (this.#neighbours.done.forward) return;
    const { place, positions } = this.output;
    const source = exampleRows(this.input.rows(count), positions);
    const target = exampleRows(this.output.rows(count), positions);
    const transposed = this.#neighbours.transposesOutput ? place.transposed(count, target.cols) : undefined;
    const problem = {
      rows: target.rows,
      cols: target.cols,
      kind: ACTIVATION_CODES[this.#activation.kind],
      slope: this.#activation.slope,
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
      { problems, values: target.buffer, transposed: (transposed ?? this.#unused("values")).buffer },
      target.rows,
    );
  }

  backward(recorder: Recorder, count: number, rows: number): void {
    const { delta: place } = this.output;
    if (!place || this.#neighbours.done.backward) return;
    const delta = this.output.deltas(rows);
    const transposed = this.#neighbours.transposesDelta ? place.transposed(rows) : undefined;
    this.#multiply(recorder, count, delta, delta, transposed ?? this.#unused("deltas"));
  }

  tangent(recorder: Recorder, count: number, rows: number): void {
    if (this.#neighbours.done.tangent) return;
    const { tangent: place } = this.output;
    const asked = this.#neighbours.transposesOutput && place?.storage.keepsTransposes;
    const transposed = asked ? place.transposed(rows) : undefined;
    const [source, target] = [this.input.tangents(rows), this.output.tangents(rows)];
    this.#multiply(recorder, count, source, target, transposed ?? this.#unused("tangents"));
  }

  /** Records target ← source ∘ φ', the same for each block of `count` examples, and perhaps its transpose. */
  #multiply(
    recorder: Recorder,
    count: number,
    from: Matrix,
    into: Matrix,
    transposed: Matrix | { buffer: GPUBuffer },
  ): void {
    const { positions } = this.output;
    const value = exampleRows(this.output.rows(count), positions);
    const source = exampleRows(from, positions);
    const target = exampleRows(into, positions);
    const asked = "rows" in transposed ? transposed : undefined;
    const problem = {
      rows: target.rows,
      cols: target.cols,
      examples: value.rows,
      kind: ACTIVATION_CODES[this.#activation.kind],
      slope: this.#activation.slope,
      valueOffset: value.offset,
      valueStride: value.stride,
      sourceOffset: source.offset,
      sourceStride: source.stride,
      deltaOffset: target.offset,
      deltaStride: target.stride,
      transpose: asked ? 1 : 0,
      transposedOffset: asked?.offset ?? 0,
      transposedStride: asked?.stride ?? 0,
    };
    const problems = recorder.manager.table(BackwardProblem, [problem]);
    recorder.dispatch(
      activationBackwardKernel,
      { problems, values: value.buffer, deltas: target.buffer, transposed: transposed.buffer },
      target.rows,
    );
  }

  /** Stands in for transposes that nobody asked for. */
  #unused(storage: "values" | "deltas" | "tangents"): { buffer: GPUBuffer } {
    return { buffer: this.#workspace[storage].transposed };
  }
}

/** In the storage of the input's, for the same reason, and where that is where nobody else reads it. */
function tangentPlace({ inputs, neighbours }: Site): RowPlace | undefined {
  const own = inputs[0]!.tangent;
  if (!own || neighbours.alone) return own;
  return own.storage.place(own.cols);
}
