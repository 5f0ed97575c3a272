import { copyStrided, type Matrix, type StridedCopy } from "../linalg/index.js";
import type { RowPlace } from "../memory/storage.js";
import type { Recorder } from "../pipeline/index.js";
import type { ReferenceOp } from "../reference/graph.js";
import { flattenOp } from "../reference/ops.js";
import { isTensor, tensor, type Value } from "../reference/tensor.js";
import { type ImageShape, positionsOf } from "./conv/geometry.js";
import { featuresOf, imageOf, refuseForm } from "./form.js";
import type { LayerKind, LayerModule, Site } from "./kind.js";
import type { Layer } from "./layer.js";
import type { Values } from "./values.js";

/** Changes the form of the values and nothing else. */
export interface FlattenModule extends LayerModule {
  readonly kind: "flatten";
}

/**
 * An example's numbers as one vector, ready for a dense layer: of an image in the order (channel, y, x), of a sequence
 * (t, feature), as in batches.
 */
export function flatten(): FlattenModule {
  return { kind: "flatten" };
}

export const flattenKind: LayerKind<FlattenModule> = {
  kind: "flatten",
  treatment: "nothing to train",
  repeats: true,
  traits: { sharesBuffer: true, sparesOutput: true, leavesTransposes: true },
  shape(_module, [input], name) {
    if (!imageOf(input!)) return refuseForm(name, input!, "positions", "it takes images and sequences");
    return { kind: "vector", features: featuresOf(input!) };
  },
  build: (_module, site) => new FlattenLayer(site),
  twin: (_module, [input]) => (input!.kind === "sequence" ? flattenSequenceOp() : flattenOp()),
};

class FlattenLayer implements Layer {
  readonly kind = "flatten";
  readonly name: string;
  readonly parameters = 0;
  readonly inputs: readonly Values[];
  readonly input: Values;
  readonly output: Values;
  readonly #transposes: boolean;

  constructor(site: Site) {
    this.name = site.name;
    this.#transposes = site.neighbours.transposesOutput;
    this.inputs = site.inputs;
    this.input = site.inputs[0]!;
    this.output = site.output();
  }

  forward(recorder: Recorder, count: number): void {
    this.#flatten(recorder, this.input.rows(count), this.output.place, count);
  }

  backward(recorder: Recorder, _count: number, examples: number): void {
    const { input, output } = this;
    if (!input.delta) return;
    const [images, vectors] = [input.deltas(examples), output.deltas(examples)];
    copyStrided(recorder, [imageCopy(input.shape!, images, vectors, "unflatten", this.#order)]);
  }

  tangent(recorder: Recorder, _count: number, examples: number): void {
    this.#flatten(recorder, this.input.tangents(examples), this.output.tangent!, examples);
  }

  /** The vectors and, where a product reads that next, their transposes. */
  #flatten(recorder: Recorder, images: Matrix, place: RowPlace, examples: number): void {
    const { features } = this.output;
    const shape = this.input.shape!;
    const copies = [imageCopy(shape, images, place.rows(examples, features), "flatten", this.#order)];
    if (this.#transposes && place.storage.keepsTransposes) {
      copies.push(imageTranspose(shape, images, place.transposed(examples, features), this.#order));
    }
    copyStrided(recorder, copies);
  }

  get #order(): Order {
    return this.input.form.kind === "sequence" ? "positionsFirst" : "channelsFirst";
  }
}

/** Of the numbers of an image in a vector. */
type Order = "channelsFirst" | "positionsFirst";

/** From images, a position a row, to the transpose of their vectors, an example a column. */
function imageTranspose(shape: ImageShape, images: Matrix, turned: Matrix, order: Order): StridedCopy {
  const positions = positionsOf(shape);
  const [channel, position] = order === "channelsFirst" ? [positions, 1] : [1, shape.channels];
  return {
    source: {
      buffer: images.buffer,
      offset: images.offset,
      batch: 1,
      row: images.stride,
      col: positions * images.stride,
    },
    target: {
      buffer: turned.buffer,
      offset: turned.offset,
      batch: channel * turned.stride,
      row: position * turned.stride,
      col: 1,
    },
    batch: shape.channels,
    rows: positions,
    cols: turned.cols,
  };
}

/** Between images, a position a row, and vectors in the order (channel, y, x), or (t, feature) with positions first. */
export function imageCopy(
  shape: ImageShape,
  images: Matrix,
  vectors: Matrix,
  direction: "flatten" | "unflatten",
  order: Order = "channelsFirst",
): StridedCopy {
  const positions = positionsOf(shape);
  const image = {
    buffer: images.buffer,
    offset: images.offset,
    batch: positions * images.stride,
    row: 1,
    col: images.stride,
  };
  const [row, col] = order === "channelsFirst" ? [positions, 1] : [1, shape.channels];
  const vector = { buffer: vectors.buffer, offset: vectors.offset, batch: vectors.stride, row, col };
  const [source, target] = direction === "flatten" ? [image, vector] : [vector, image];
  return { source, target, batch: vectors.rows, rows: shape.channels, cols: positions };
}

/** N × F × 1 × T to N × (T·F) in the order (t, feature). */
function flattenSequenceOp(): ReferenceOp {
  const flat = flattenOp();
  return {
    kind: "flatten",
    forward(inputs, weights, node) {
      const turned = inputs.map(positionsFirst);
      const { output } = flat.forward(turned, weights, node);
      return {
        output,
        back: (d) => [channelsFirst(d, inputs[0]!)],
        tangent: ([dX]) => positionsFirst({ ...inputs[0]!, data: dX! }).data,
      };
    },
  };
}

/** N × F × 1 × T as N × T × 1 × F. */
function positionsFirst(input: Value): Value {
  if (!isTensor(input)) return input;
  const [n, channels, , length] = input.shape;
  const turned = tensor([n, length, 1, channels]);
  input.data.forEach((x, k) => {
    const [t, f, i] = [k % length, Math.floor(k / length) % channels, Math.floor(k / (length * channels))];
    turned.data[(i * length + t) * channels + f] = x;
  });
  return turned;
}

/** Numbers in the order (i, t, feature) in that of `like`, N × F × 1 × T. */
function channelsFirst(d: Float64Array, like: Value): Float64Array {
  if (!isTensor(like)) return d;
  const [n, channels, , length] = like.shape;
  return (positionsFirst({ shape: [n, length, 1, channels], data: d }) as { data: Float64Array }).data;
}
