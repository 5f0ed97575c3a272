import type { PackedProduct, StridedCopy } from "../linalg/index.js";
import type { RecordedPass } from "../memory/recorded-pass.js";
import type { RowPlace } from "../memory/storage.js";
import type { Curved, Trainable } from "../model/index.js";
import type { Kernel, Recorder } from "../pipeline/index.js";
import type { ImageShape } from "./conv/geometry.js";

/**
 * What flows between two layers: vectors, one example a row, or images, one position (i · H + y) · W + x a row and a channel
 * a column.
 */
export interface Values {
  /** Numbers of an example. */
  readonly features: number;
  /** Of images; none for vectors. */
  readonly shape: ImageShape | undefined;
  /**
   * Vectors: count × (features + 1), the last column a constant 1, for the next layer's bias. Images: (count · H · W) ×
   * channels.
   */
  readonly place: RowPlace;
  /** ∂/∂values, of the same form, once the layers above have been walked back; none where nobody asks for it. */
  readonly delta: RowPlace | undefined;
}

/** One part of a network at work. Methods record; nothing is submitted. */
export interface Layer {
  readonly name: string;
  readonly kind: string;
  /** Numbers that training changes. */
  readonly parameters: number;
  readonly input: Values;
  readonly output: Values;
  /** Kernels that other networks do not need. */
  readonly kernels?: readonly Kernel[];
  /** Computes `output` of the first `count` examples from `input`. */
  forward(recorder: Recorder, count: number): void;
  /** Computes `input.delta` from `output.delta`, both of `rows` examples: a multiple of `count`. */
  backward(recorder: Recorder, count: number, rows: number): void;
}

/** A layer with weights. What all of these do alike is handed out, so that one dispatch serves them all. */
export interface TrainableLayer extends Layer, Trainable {
  readonly name: string;
  /** What its curvature is made of in a pass that has been recorded. */
  curvature(pass: RecordedPass): Curved;
  /** The copies that passes need of W as it is now. */
  weightCopies(): StridedCopy[];
  /** The product that is G of the mean loss, after the backward pass; none where this records it itself. */
  gradient(recorder: Recorder, count: number): PackedProduct[];
  /** W to begin with, out × in without padding: a function of the sizes, the seed and the index alone. */
  initialWeights(seed: number, index: number): Float32Array;
}

export function isTrainable(layer: Layer): layer is TrainableLayer {
  return layer.parameters > 0;
}

/** Fills that write the constant 1 beside values and below their transposes; products never write there again. */
export function onesFills(values: readonly Values[], capacity: number): StridedCopy[] {
  // Layers that work in place share their values; images have no bias column.
  return [...new Set(values.filter(({ shape }) => !shape))].flatMap(({ place, features }): StridedCopy[] => {
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
