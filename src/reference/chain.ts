/** Graphs of layers one after another, and the weights of such lists of layers. */
import { ArgumentError } from "../errors.js";
import type { GraphPass, ReferenceGraph, ReferenceOp, TrainableStep } from "./graph.js";
import { type Matrix, requireShape } from "./matrix.js";

/** The name of a chain's only input. */
export const CHAIN_INPUT = "inputs";

/** One layer of a chain: what it does, and its weights where it has some. */
export interface ChainLayer {
  op: ReferenceOp;
  weights?: Matrix;
}

/** A chain as a graph and its weights by key. */
export interface ChainGraph {
  graph: ReferenceGraph;
  weights: Record<string, Matrix>;
}

/** Layers one after another: node and key of weights "layer 0", "layer 1", …; the input is "inputs". */
export function chainGraph(layers: readonly ChainLayer[]): ChainGraph {
  const nodes = layers.map(({ op, weights }, index) => ({
    name: layerName(index),
    inputs: [index === 0 ? CHAIN_INPUT : layerName(index - 1)],
    op,
    weights: weights && layerName(index),
  }));
  const weights = layers.flatMap(({ weights }, index) =>
    weights ? [[layerName(index), weights] as const] : [],
  );
  return {
    graph: { inputs: [CHAIN_INPUT], nodes, output: nodes.at(-1)?.name ?? CHAIN_INPUT },
    weights: Object.fromEntries(weights),
  };
}

const layerName = (index: number) => `layer ${index}`;

/** The nodes of a pass that have weights, in order. */
export function trainableNodes({ graph, steps }: GraphPass): { name: string; step: TrainableStep }[] {
  return graph.nodes.flatMap(({ name }) => {
    const step = steps.get(name)?.trainable;
    return step ? [{ name, step }] : [];
  });
}

/** Layers that hold their weights, as `network.ts` and `conv-network.ts` have them. */
export interface LayerWithWeights {
  readonly kind: string;
  readonly weights?: Matrix;
}

/**
 * A copy of the layers with other weights, one matrix per layer with weights in order.
 *
 * @throws ArgumentError for too few matrices, ShapeError for one of another shape.
 */
export function replaceWeights<L extends LayerWithWeights>(
  operation: string,
  layers: readonly L[],
  weights: readonly Matrix[],
): L[] {
  let l = 0;
  return layers.map((layer, index) => {
    if (!layer.weights) return layer;
    const W = weights[l++];
    if (W === undefined) {
      throw new ArgumentError(operation, "weights", `must hold a matrix for layer ${index}, has none`);
    }
    requireShape(operation, `weights[${l - 1}]`, W, layer.weights.rows, layer.weights.cols);
    return { ...layer, weights: W };
  });
}

/** The weights of each layer that has some, in order. */
export function weightsOfLayers(layers: readonly LayerWithWeights[]): Matrix[] {
  return layers.flatMap(({ weights }) => (weights ? [weights] : []));
}
