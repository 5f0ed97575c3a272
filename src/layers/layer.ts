import type { Matrix, PackedProduct, Steps, StridedCopy } from "../linalg/index.js";
import type { Directions } from "../memory/directions.js";
import type { RecordedPass } from "../memory/recorded-pass.js";
import type { Curved, Trainable } from "../model/index.js";
import type { Recorder } from "../pipeline/index.js";
import type { LayerProduct } from "./layer-product.js";
import type { Values } from "./values.js";

/** One part of a network at work. Methods record; nothing is submitted. */
export interface Layer {
  readonly name: string;
  readonly kind: string;
  /** Numbers that training changes. */
  readonly parameters: number;
  readonly inputs: readonly Values[];
  readonly output: Values;
  /** Copies of a loaded batch that `forward` counts on, of layers that read it; all are made at once, before any `forward`. */
  inputCopies?(count: number): StridedCopy[];
  /** Computes `output` of the first `count` examples from `inputs`. */
  forward(recorder: Recorder, count: number): void;
  /**
   * Computes the derivative in each input that has a `delta` from the output's, both of `rows` examples: a multiple of
   * `count`, derivatives of column c of example i being those of example c · count + i. Overwrites what was there.
   */
  backward(recorder: Recorder, count: number, rows: number): void;
  /**
   * Computes the tangents of `output` from those of the inputs, both of `rows` examples: a multiple of `count`, as of
   * `backward`. They are derivatives along directions: how the output moves as the inputs move so, and W does not. Inputs
   * without `tangent` stay; it is asked for where one has some. Without this, networks with the layer have no tangents.
   */
  tangent?(recorder: Recorder, count: number, rows: number): void;
}

/**
 * A layer that is linear in its weights W. What all of these do alike is handed out, so that one dispatch serves them all.
 * A layer may be applied at several places of a network (`tied`): then there is one of these for each place, with one W.
 */
export interface TrainableLayer extends Layer, Trainable {
  readonly name: string;
  /** What its curvature is made of in a pass that has been recorded. */
  curvature(pass: RecordedPass): Curved;
  /** The copies that passes need of W as it is now; none by default. */
  weightCopies?(): StridedCopy[];
  /** The product that is the mean loss's gradient, after the backward pass, into `into`; none where this records it itself. */
  gradient(recorder: Recorder, count: number, into: Matrix): PackedProduct[];
  /** The gradient in steps, which are recorded side by side with those of other layers. Defaults to `gradient`. */
  gradientSteps?(recorder: Recorder, count: number, into: Matrix): Steps;
  /**
   * Writes V a, the tangents of the output as W alone moves, for each of several directions V: products that are left to do, or
   * none where this records them itself. Then `tangent` adds to them. Where no input moves this has the last word instead, and multiplies
   * by the derivative of a function that the layer applies (`Neighbours.activationAfter`). Without this the tangents are had from
   * `Curved.apply`, and added to what `tangent` writes.
   */
  alongWeights?(recorder: Recorder, count: number, directions: Directions): LayerProduct[];
  /** W to begin with, out × in without padding: a function of the sizes, the seed and the index alone. */
  initialWeights(seed: number, index: number): Float32Array;
}

export function isTrainable(layer: Layer): layer is TrainableLayer {
  return layer.parameters > 0;
}
