import { type Form, featuresOf, type InputForm } from "../layers/form.js";
import type { LayerModule } from "../layers/kind.js";
import type { BatchInputs, InputArray } from "../model/index.js";
import type { GraphInputs, ReferenceGraph } from "../reference/graph.js";
import { type Matrix, matrix } from "../reference/matrix.js";
import { tensor, type Value } from "../reference/tensor.js";
import type { Graph } from "./graph.js";
import { planOf } from "./plan.js";

/** A network in f64. */
export interface Twin {
  readonly graph: ReferenceGraph;
  /** A batch's inputs as the graph takes them. */
  inputs(inputs: BatchInputs, count: number): GraphInputs;
  /** Weights by key from those of the layers in order (`network.weights()`), of the sizes out × in. */
  weights(
    weights: readonly ArrayLike<number>[],
    layers: readonly { readonly out: number; readonly in: number }[],
  ): Record<string, Matrix>;
}

/**
 * The same network in f64: what `description` says, from the twins of its kinds. `input` is that of a chain's options.
 *
 * @throws as `engine.network` for a description that is none.
 */
export function twinOf(description: readonly LayerModule[] | Graph, input?: InputForm): Twin {
  const { inputs, nodes, output } = planOf(description, input);
  const keys = [...new Set(nodes.flatMap(({ weights }) => (weights === undefined ? [] : [weights])))];
  return {
    graph: {
      inputs: inputs.map(({ name }) => name),
      nodes: nodes.map(({ name, inputs: from, kind, module, inputForms, weights }) => ({
        name,
        inputs: from,
        op: kind.twin(module, inputForms),
        weights,
      })),
      output,
    },
    inputs: (arrays, count) =>
      Object.fromEntries(
        inputs.map(({ name, form }) => {
          const own = ArrayBuffer.isView(arrays) ? arrays : (arrays as Record<string, InputArray>)[name]!;
          return [name, referenceValue(form, own as InputArray, count)];
        }),
      ),
    weights: (weights, layers) =>
      Object.fromEntries(
        keys.map((key, l) => {
          const { out, in: columns } = layers[l]!;
          return [key, matrix(out, columns, Float64Array.from(weights[l]!))];
        }),
      ),
  };
}

/** Sequences are N × F × 1 × T in the reference, and their numbers come in the order (t, feature). */
function referenceValue(form: Form, array: InputArray, count: number): Value {
  const numbers = Float64Array.from(array);
  if (form.kind === "image") return tensor([count, form.channels, form.height, form.width], numbers);
  if (form.kind !== "sequence") return matrix(count, featuresOf(form), numbers);
  const { length, features } = form;
  const turned = tensor([count, features, 1, length]);
  numbers.forEach((x, k) => {
    const [f, t] = [k % features, Math.floor(k / features) % length];
    turned.data[(Math.floor(k / (features * length)) * features + f) * length + t] = x;
  });
  return turned;
}
