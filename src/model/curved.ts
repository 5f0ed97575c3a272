import { inLockstep, type Matrix, type Precision, type Steps } from "../linalg/index.js";
import type { Recorder } from "../pipeline/index.js";
import type { LayerSize } from "./trainable.js";

/** Stacked columns of one side of a layer and the α that turns their Gram matrix into the factor's mean. */
export interface FactorRows {
  /**
   * One column of Aᵢ or Bᵢ a row: k × in, or k × out. Rows start on a `vec4f`. With one row for every example and position,
   * row i · T + t of the inputs is example i at position t.
   */
  rows: Matrix;
  /** 1/(examples) for B (and 1/samples), 1/(examples × positions) for A: factors are means over examples. */
  scale: number;
}

/**
 * One side of a layer whose stacked columns are never held at once: a convolution makes them chunk by chunk. `scale` is as
 * in `FactorRows`.
 */
export interface FactorGram {
  /**
   * Records `into` ← Σ aa' (or Σ bb'), d × d with aligned rows, whatever it held before. With `precision` it may round the columns
   * to that before they are multiplied, where it makes them.
   */
  gram(recorder: Recorder, into: Matrix, precision?: Precision): void;
  /** The same in steps, which are recorded side by side with those of other layers and save dispatches. Defaults to `gram`. */
  steps?(recorder: Recorder, into: Matrix, precision?: Precision): Steps;
  scale: number;
}

/** A factor's sum as its steps record it, alone or beside others. */
export function gramInSteps(steps: NonNullable<FactorGram["steps"]>, scale: number): FactorGram {
  const gram: FactorGram["gram"] = (recorder, into, precision) => {
    inLockstep(recorder, [steps(recorder, into, precision)]);
  };
  return { gram, steps, scale };
}

/** The steps of a factor's sum, a single one if it knows none. */
export function* gramSteps(
  recorder: Recorder,
  factor: FactorGram,
  into: Matrix,
  precision?: Precision,
): Steps {
  if (factor.steps) yield* factor.steps(recorder, into, precision);
  else factor.gram(recorder, into, precision);
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
 * What the curvature of one layer z = W a is estimated from: the least that a block of curvature can do with. Kronecker
 * factors take the two sums; blocks that look at the derivative of each example take the members that are optional here.
 */
export interface CurvatureStatistics {
  /** @throws UnsupportedLayerError when this layer's curvature has no Kronecker form here. */
  inputs(): FactorStatistics;
  /** @throws as `inputs`, and ArgumentError when the pass was recorded without columns. */
  outputs(): FactorStatistics;
  /** T, the positions of an example at which W is applied; defaults to 1, a dense layer on a vector. */
  readonly positions?: number;
  /** Into how many equal parts the rows of W fall that read inputs of their own (a grouped convolution); defaults to 1. */
  readonly groups?: number;
  /** Records what it takes to read the columns example by example, and says where they are. @throws ArgumentError as `outputs` */
  curvatureRows?(recorder: Recorder): CurvatureRows;
  /** As `Curved.apply`. Asked for where the inputs do not lie in memory as rows. */
  apply?(recorder: Recorder, V: Matrix, into: Matrix): void;
}

/**
 * One layer z = W a in one recorded pass: all that its curvature is made of. W is applied once to an example, or at each of
 * T positions (a convolution, a sequence). The numbers lie in the network's memory until its next batch or pass; every
 * method throws an ArgumentError once that has been recorded.
 */
export interface Curved extends LayerSize, CurvatureStatistics {
  /** Examples N. */
  readonly count: number;
  readonly positions: number;
  /**
   * Records `into` ← V a for every example and position: the derivative of z as W moves along V. V is out × in, `into`
   * (N · T) × out, row i · T + t; they may lie in any buffers but the network's own and the same one.
   */
  apply(recorder: Recorder, V: Matrix, into: Matrix): void;
  /** Records `into` ← α Σ rows_t a_t' over examples and positions, out × in, from (N · T) × out: the adjoint of `apply`. */
  pullback(recorder: Recorder, rows: Matrix, into: Matrix, alpha: number): void;
  curvatureRows(recorder: Recorder): CurvatureRows;
}
