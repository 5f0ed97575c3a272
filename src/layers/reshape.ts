import { copyStrided, type Matrix, type StridedCopy } from "../linalg/index.js";
import type { Workspace } from "../memory/workspace.js";
import type { Recorder } from "../pipeline/index.js";
import { type ImageShape, positionsOf } from "./conv/geometry.js";
import type { Layer, Values } from "./layer.js";

/** Images to vectors in the order (channel, y, x). */
export class FlattenLayer implements Layer {
  readonly kind = "flatten";
  readonly name: string;
  readonly parameters = 0;
  readonly input: Values;
  readonly output: Values;

  constructor(workspace: Workspace, input: Values, name: string) {
    const { features, delta } = input;
    this.name = name;
    this.input = input;
    this.output = {
      features,
      shape: undefined,
      place: workspace.values.place(features + 1),
      delta: delta && workspace.deltas.place(features),
    };
  }

  forward(recorder: Recorder, count: number): void {
    const shape = this.input.shape!;
    const images = this.input.place.rows(count * positionsOf(shape));
    copyStrided(recorder, [imageCopy(shape, images, this.output.place.rows(count), "flatten")]);
  }

  backward(recorder: Recorder, _count: number, examples: number): void {
    if (!this.input.delta) return;
    const shape = this.input.shape!;
    const images = this.input.delta.rows(examples * positionsOf(shape));
    copyStrided(recorder, [imageCopy(shape, images, this.output.delta!.rows(examples), "unflatten")]);
  }
}

/** The network's inputs as images: batches hold them as vectors. Nothing goes back through it. */
export class ImageInput implements Layer {
  readonly kind = "input";
  readonly name = "input";
  readonly parameters = 0;
  readonly input: Values;
  readonly output: Values;

  constructor(workspace: Workspace, input: Values, shape: ImageShape) {
    this.input = input;
    const place = workspace.images(positionsOf(shape)).place(shape.channels);
    this.output = { features: input.features, shape, place, delta: undefined };
  }

  forward(recorder: Recorder, count: number): void {
    const shape = this.output.shape!;
    const images = this.output.place.rows(count * positionsOf(shape));
    copyStrided(recorder, [imageCopy(shape, images, this.input.place.rows(count), "unflatten")]);
  }

  backward(): void {}
}

/** Between images, a position a row, and vectors in the order (channel, y, x). */
function imageCopy(
  shape: ImageShape,
  images: Matrix,
  vectors: Matrix,
  direction: "flatten" | "unflatten",
): StridedCopy {
  const positions = positionsOf(shape);
  const image = {
    buffer: images.buffer,
    offset: images.offset,
    batch: positions * images.stride,
    row: 1,
    col: images.stride,
  };
  const vector = {
    buffer: vectors.buffer,
    offset: vectors.offset,
    batch: vectors.stride,
    row: positions,
    col: 1,
  };
  const [source, target] = direction === "flatten" ? [image, vector] : [vector, image];
  return { source, target, batch: vectors.rows, rows: shape.channels, cols: positions };
}
