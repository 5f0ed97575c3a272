import type { Matrix, StridedCopy } from "../linalg/index.js";
import type { RowPlace } from "../memory/storage.js";
import { type ImageShape, positionsOf } from "./conv/geometry.js";
import { type Form, featuresOf, imageOf } from "./form.js";

/**
 * A value of a network in memory. Vectors lie one example a row; images and sequences one position a row (of images
 * (i · H + y) · W + x, of sequences i · T + t) and a channel or feature a column; indices one example a row, as u32.
 */
export class Values {
  readonly form: Form;
  /** Where its rows are. Behind those of a vector stands a constant 1, for the next layer's bias. */
  readonly place: RowPlace;
  /** Where ∂/∂values is, of the same form, once the layers above have been walked back; none where nobody asks for it. */
  readonly delta: RowPlace | undefined;
  /** Where its derivatives along directions in the weights are; none where it does not depend on weights. */
  readonly tangent: RowPlace | undefined;

  constructor(form: Form, place: RowPlace, delta: RowPlace | undefined, tangent?: RowPlace) {
    this.form = form;
    this.place = place;
    this.delta = delta;
    this.tangent = tangent;
  }

  /** Numbers of an example. */
  get features(): number {
    return featuresOf(this.form);
  }

  /** Of images, and of sequences as images of one line; undefined for others. */
  get shape(): ImageShape | undefined {
    return imageOf(this.form);
  }

  /** Rows of an example. */
  get positions(): number {
    return positionsOfForm(this.form);
  }

  /** Numbers of a row. */
  get columns(): number {
    return columnsOfForm(this.form);
  }

  /** Of the first `count` examples: (count · positions) × columns. */
  rows(count: number): Matrix {
    return this.place.rows(count * this.positions, this.columns);
  }

  /** The derivatives of `count` examples, or of a pass's columns of them: as `rows`. */
  deltas(count: number): Matrix {
    if (!this.delta) throw new Error("nobody asks for the derivative in this value");
    return this.delta.rows(count * this.positions, this.columns);
  }

  /** The derivatives along directions of `count` examples, one block of a batch for each direction: as `rows`. */
  tangents(count: number): Matrix {
    if (!this.tangent) throw new Error("this value does not depend on weights");
    return this.tangent.rows(count * this.positions, this.columns);
  }

  /** The same value with another place for its derivative: what one of several readers is given. */
  withDelta(delta: RowPlace | undefined): Values {
    return new Values(this.form, this.place, delta, this.tangent);
  }
}

/** Rows of an example. */
export function positionsOfForm(form: Form): number {
  const shape = imageOf(form);
  return shape ? positionsOf(shape) : 1;
}

/** Numbers of a row. */
export function columnsOfForm(form: Form): number {
  return imageOf(form)?.channels ?? featuresOf(form);
}

/**
 * Rows of a value (`rows` or `deltas`) with one example a row. The rows of an image follow each other, so an example is one
 * long row, the padding between its positions included: what is done to each number alone may be done to that too.
 */
export function exampleRows({ buffer, offset, rows, cols, stride }: Matrix, positions: number): Matrix {
  if (positions === 1) return { buffer, offset, rows, cols, stride };
  const long = positions * stride;
  return { buffer, offset, rows: rows / positions, cols: long, stride: long };
}

/** Fills that write the constant 1 beside vectors and below their transposes; products never write there again. */
export function onesFills(values: readonly Values[], capacity: number): StridedCopy[] {
  // Several values may share a place: layers that work in place, and readers of one value.
  const vectors = values.filter(({ form }) => form.kind === "vector");
  const places = new Map(vectors.map(({ place, features }) => [place, features]));
  return [...places].flatMap(([place, features]): StridedCopy[] => {
    if (place.cols <= features) return [];
    const beside = place.rows(capacity);
    const fills: StridedCopy[] = [
      {
        target: { buffer: beside.buffer, offset: beside.offset + features, row: beside.stride, col: 1 },
        rows: capacity,
        cols: 1,
      },
    ];
    if (!place.storage.keepsTransposes) return fills;
    const below = place.transposed(capacity);
    fills.push({
      target: {
        buffer: below.buffer,
        offset: below.offset + features * below.stride,
        row: below.stride,
        col: 1,
      },
      rows: 1,
      cols: capacity,
    });
    return fills;
  });
}
