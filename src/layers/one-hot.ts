import tgpu, { d } from "typegpu";
import code from "../../shaders/one_hot.wgsl?raw";
import { defineKernel, type Recorder } from "../pipeline/index.js";
import type { ReferenceOp } from "../reference/graph.js";
import { oneHotOp } from "../reference/ops.js";
import { flatten as flattenTensor, isTensor } from "../reference/tensor.js";
import { refuseForm } from "./form.js";
import type { LayerKind, LayerModule, Site } from "./kind.js";
import type { Layer } from "./layer.js";
import type { Values } from "./values.js";

/** Indices as columns of the identity. */
export interface OneHotModule extends LayerModule {
  readonly kind: "oneHot";
}

/**
 * Indices as vectors with a 1 at the index and 0 elsewhere, as long as the input's vocabulary; several indices an example as
 * a sequence of such vectors. A dense layer without bias behind it is an embedding: W's columns are those of the indices.
 */
export function oneHot(): OneHotModule {
  return { kind: "oneHot" };
}

export const oneHotKind: LayerKind<OneHotModule> = {
  kind: "oneHot",
  treatment: "nothing to train",
  repeats: true,
  traits: { sharesBuffer: true, sparesOutput: true },
  shape(_module, [input], name) {
    const form = input!;
    if (form.kind !== "indices") {
      return refuseForm(name, form, "indices", "it takes the network's indices: inputs { indices, length }");
    }
    const { vocabulary, length } = form;
    if (length === undefined) return { kind: "vector", features: vocabulary };
    return { kind: "sequence", length, features: vocabulary };
  },
  build: (_module, site) => new OneHotLayer(site),
  twin(_module, [input]) {
    const { vocabulary, length } = input as { vocabulary: number; length: number | undefined };
    return length === undefined ? vectors(oneHotOp(vocabulary)) : oneHotOp(vocabulary);
  },
};

/** An operation that makes one position an example, with its output as a matrix. */
function vectors(op: ReferenceOp): ReferenceOp {
  return {
    ...op,
    forward(inputs, weights, node) {
      const step = op.forward(inputs, weights, node);
      return { ...step, output: isTensor(step.output) ? flattenTensor(step.output) : step.output };
    },
  };
}

export const OneHotProblem = d.struct({
  rows: d.u32,
  cols: d.u32,
  positions: d.u32,
  indexOffset: d.u32,
  indexStride: d.u32,
  rowOffset: d.u32,
  rowStride: d.u32,
});

export const oneHotLayout = tgpu
  .bindGroupLayout({
    problems: { storage: d.arrayOf(OneHotProblem), access: "readonly", visibility: ["compute"] },
    indices: { storage: d.arrayOf(d.u32), access: "readonly", visibility: ["compute"] },
    columns: { storage: d.arrayOf(d.f32), access: "mutable", visibility: ["compute"] },
  })
  .$idx(0);

export const oneHotKernel = defineKernel({ name: "one_hot", code, layout: oneHotLayout, rowwise: true });

class OneHotLayer implements Layer {
  readonly kind = "oneHot";
  readonly name: string;
  readonly parameters = 0;
  readonly inputs: readonly Values[];
  readonly output: Values;

  constructor(site: Site) {
    this.name = site.name;
    this.inputs = site.inputs;
    this.output = site.output();
  }

  forward(recorder: Recorder, count: number): void {
    const indices = this.inputs[0]!.rows(count);
    const { buffer, offset, rows, cols, stride } = this.output.rows(count);
    const problem = {
      rows,
      cols,
      positions: indices.cols,
      indexOffset: indices.offset,
      indexStride: indices.stride,
      rowOffset: offset,
      rowStride: stride,
    };
    const problems = recorder.manager.table(OneHotProblem, [problem]);
    recorder.dispatch(oneHotKernel, { problems, indices: indices.buffer, columns: buffer }, rows);
  }

  /** Indices have no derivative. */
  backward(): void {}
}
