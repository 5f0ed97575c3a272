import type { FisherOptions, LayerSource } from "../curvature/source.js";
import type { PackedProduct, StridedCopy } from "../linalg/index.js";
import type { Recorder } from "../pipeline/index.js";
import type { Module } from "./modules.js";
import type { ParameterStorage } from "./parameters.js";
import type { RowPlace, RowStorage } from "./storage.js";

/** What flows between two layers, one example a row. */
export interface Values {
  readonly features: number;
  /** count × (features + 1): the last column is a constant 1, for the next layer's bias. */
  readonly place: RowPlace;
  /** ∂/∂values, rows × features, once the layers above have been walked back; none where nobody asks for it. */
  readonly delta: RowPlace | undefined;
}

/** What the last recorded pass was over: `LayerSource`'s rows are those of this pass. */
export interface LastPass {
  /** Examples; 0 before the first pass. */
  count: number;
  /** Columns of Bᵢ that were propagated beside the gradient's own: outputs, samples, or none. */
  columns: number;
  fisher: FisherOptions | undefined;
}

/** The memory that the layers of one network share. */
export interface Workspace {
  readonly parameters: ParameterStorage;
  readonly values: RowStorage;
  /**
   * Derivatives, blocks of `count` rows under each other: the gradient's first, then one for each curvature column. They
   * go back through the network together.
   */
  readonly deltas: RowStorage;
  readonly pass: LastPass;
}

/** One part of a network at work. Methods record; nothing is submitted. */
export interface Layer {
  readonly name: string;
  readonly kind: Module["kind"];
  /** Numbers that training changes. */
  readonly parameters: number;
  readonly input: Values;
  readonly output: Values;
  /** Computes `output` of the first `count` examples from `input`. */
  forward(recorder: Recorder, count: number): void;
  /** Computes `input.delta` from `output.delta`, both `rows` rows: a multiple of `count`. */
  backward(recorder: Recorder, count: number, rows: number): void;
}

/** A layer with weights. What all of these do alike is handed out, so that one dispatch serves them all. */
export interface TrainableLayer extends Layer, LayerSource {
  readonly name: string;
  /** The copy that the forward pass needs of W as it is now. */
  weightCopy(): StridedCopy;
  /** G of the mean loss, after the backward pass. */
  gradientProduct(count: number): PackedProduct;
  /** W to begin with, out × in without padding: a function of the sizes, the seed and the index alone. */
  initialWeights(seed: number, index: number): Float32Array;
}

export function isTrainable(layer: Layer): layer is TrainableLayer {
  return layer.parameters > 0;
}

/** Fills that write the constant 1 beside values and below their transposes; products never write there again. */
export function onesFills(values: readonly Values[], capacity: number): StridedCopy[] {
  // Layers that work in place share their values.
  return [...new Set(values)].flatMap(({ place, features }): StridedCopy[] => {
    const beside = place.rows(capacity);
    const below = place.transposed(capacity);
    return [
      {
        target: { buffer: beside.buffer, offset: beside.offset + features, row: beside.stride, col: 1 },
        rows: capacity,
        cols: 1,
      },
      {
        target: {
          buffer: below.buffer,
          offset: below.offset + features * below.stride,
          row: below.stride,
          col: 1,
        },
        rows: 1,
        cols: capacity,
      },
    ];
  });
}
