// The inspected block once more, in f64 and without a GPU.
import {
  activation,
  batchFactors,
  curvatureRows,
  linear,
  type Matrix,
  matrix,
  type Network,
} from "kfac-webgpu/reference";
import { exactBlock, kroneckerError, type Selection } from "./kronecker-error.js";

export interface TwinRequest {
  /** out × in of each layer, and its sizes. */
  weights: readonly Float32Array[];
  sizes: readonly { in: number; out: number }[];
  /** One image after another. */
  inputs: Float32Array;
  count: number;
  layer: number;
  selection: Selection;
}

export interface TwinBlock {
  /** ‖Ā ⊗ B̄ − H‖/‖H‖ of the layer's whole block. */
  error: number;
  /** The selected part of H. */
  exact: Matrix;
}

export function twinBlock({ weights, sizes, inputs, count, layer, selection }: TwinRequest): TwinBlock {
  const network: Network = sizes.flatMap((size, l) => {
    const dense = linear(matrix(size.out, size.in, weights[l]!));
    return l < sizes.length - 1 ? [dense, activation("relu")] : [dense];
  });
  const X = matrix(count, inputs.length / count, inputs);
  const rows = curvatureRows(network, "softmaxCrossEntropy", X, { kind: "exact" });
  const factors = batchFactors(rows)[layer]!;
  return { error: kroneckerError(rows, layer, factors), exact: exactBlock(rows, layer, selection) };
}
