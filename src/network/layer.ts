import type { FisherOptions, LayerSource } from "../curvature/source.js";
import { ArgumentError } from "../errors.js";
import type { PackedProduct, StridedCopy } from "../linalg/index.js";
import type { Kernel, Recorder } from "../pipeline/index.js";
import type { ImageShape } from "./geometry.js";
import type { RowPlace } from "./storage.js";
import type { LastPass } from "./workspace.js";

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
export interface TrainableLayer extends Layer, LayerSource {
  readonly name: string;
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

/** Examples of the last recorded pass. @throws ArgumentError before the first */
export function recordedCount(operation: string, { count }: LastPass): number {
  if (count === 0) throw new ArgumentError(operation, "pass", "must be recorded first");
  return count;
}

/**
 * Where the columns of Bᵢ are among the derivatives of the last pass: the first of them in blocks of `count`, how many, and
 * what BB' is divided by.
 *
 * @throws ArgumentError unless the pass was asked for the same kind and number of samples.
 */
export function recordedColumns(
  operation: string,
  { count, columns, fisher: recorded }: LastPass,
  fisher: FisherOptions,
) {
  if (!recorded || recorded.kind !== fisher.kind || (recorded.samples ?? 1) !== (fisher.samples ?? 1)) {
    throw new ArgumentError(
      operation,
      "fisher",
      `must be what recordPass() was given, got ${JSON.stringify(fisher)} after ${JSON.stringify(recorded)}`,
    );
  }
  // The empirical Fisher's column is the gradient's own; other columns lie below it.
  if (recorded.kind === "empirical") return { count, first: 0, columns: 1, divisor: count };
  return { count, first: 1, columns, divisor: recorded.kind === "monteCarlo" ? count * columns : count };
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
