import type { Matrix } from "../linalg/index.js";

/** Sizes of a layer with weights W, out × in. */
export interface LayerSize {
  readonly name: string;
  /** Inputs, with the bias's constant 1 counted. */
  readonly in: number;
  readonly out: number;
}

/** A layer with weights, as every optimiser sees it. */
export interface Trainable extends LayerSize {
  /** out × in, the bias in the last column. */
  readonly W: Matrix;
  /** ∂J/∂W of the last recorded pass, for the mean loss; out × in. */
  readonly G: Matrix;
  /** Why this layer's curvature has no Kronecker form, for people; undefined where it has one. */
  readonly withoutKronecker?: string;
  /** Why derivatives cannot be had example by example, so that G is all there is; undefined where they can. */
  readonly withoutExamples?: string;
}
