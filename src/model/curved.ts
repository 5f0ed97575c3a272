import type { Matrix } from "../linalg/index.js";
import type { Recorder } from "../pipeline/index.js";
import type { LayerSize } from "./trainable.js";

/** Stacked columns of one side of a layer and the α that turns their Gram matrix into the factor's mean. */
export interface FactorRows {
  /** One column of Aᵢ or Bᵢ a row: k × in, or k × out. Rows start on a `vec4f`. */
  rows: Matrix;
  /** 1/(examples) for B (and 1/samples), 1/(examples × positions) for A: factors are means over examples. */
  scale: number;
}

/**
 * One side of a layer whose stacked columns are never held at once: a convolution makes them chunk by chunk. `scale` is as
 * in `FactorRows`.
 */
export interface FactorGram {
  /** Records `into` ← Σ aa' (or Σ bb'), d × d with aligned rows, whatever it held before. */
  gram(recorder: Recorder, into: Matrix): void;
  scale: number;
}

export type FactorStatistics = FactorRows | FactorGram;

/** Columns of Bᵢ of a pass, as exact operators take them. */
export interface CurvatureRows {
  /** (columns · N · T) × out: row (c · N + i) · T + t is column c of example i at position t. */
  rows: Matrix;
  columns: number;
  /** Examples N. */
  count: number;
  /** What sums over examples and columns are divided by: N, or N · samples for Monte-Carlo columns. */
  divisor: number;
}

/**
 * One layer z = W a in one recorded pass: all that its curvature is made of. W is applied once to an example, or at each of
 * T positions (a convolution, a sequence). The numbers lie in the network's memory until its next batch or pass; every
 * method throws an ArgumentError once that has been recorded.
 */
export interface Curved extends LayerSize {
  /** Examples N. */
  readonly count: number;
  /** T, the positions of an example at which W is applied; 1 for a dense layer on a vector. */
  readonly positions: number;
  /** @throws UnsupportedLayerError when this layer's curvature has no Kronecker form here. */
  inputs(): FactorStatistics;
  /** @throws as `inputs`, and ArgumentError when the pass was recorded without columns. */
  outputs(): FactorStatistics;
  /**
   * Records `into` ← V a for every example and position: the derivative of z as W moves along V. V is out × in, `into`
   * (N · T) × out, row i · T + t; they may lie in any buffers but the network's own and the same one.
   */
  apply(recorder: Recorder, V: Matrix, into: Matrix): void;
  /** Records `into` ← α Σ rows_t a_t' over examples and positions, out × in, from (N · T) × out: the adjoint of `apply`. */
  pullback(recorder: Recorder, rows: Matrix, into: Matrix, alpha: number): void;
  /** Records what it takes to read the columns, and says where they are. @throws ArgumentError as `outputs` */
  curvatureRows(recorder: Recorder): CurvatureRows;
}
