import type { Matrix } from "../linalg/index.js";
import type { Recorder } from "../pipeline/index.js";

/**
 * Which columns Bᵢ are (`theory.md`'s names in the README): one per network output, exactly; sampled from the model's
 * own distribution (Monte-Carlo true Fisher); or from the true targets (empirical Fisher, never the default).
 */
export type FisherKind = "exact" | "monteCarlo" | "empirical";

export interface FisherOptions {
  kind: FisherKind;
  /** Monte-Carlo samples per example; 1 unless given. */
  samples?: number;
  /** Key of the counter-based generator, with `step`: the same pair gives the same draws on every device. */
  seed?: number;
  step?: number;
}

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

/** Columns of Bᵢ of the last recorded pass, as exact operators take them. */
export interface CurvatureRows {
  /** (columns · N · T) × out: row (c · N + i) · T + t is column c of example i at position t. */
  rows: Matrix;
  columns: number;
  /** Examples N. */
  count: number;
}

/**
 * One trainable layer z = W a, as K-FAC sees it: applied once to an example, or at each of T positions with the same W (a
 * convolution). N is the number of examples of the last recorded pass.
 */
export interface LayerSource {
  readonly name: string;
  /** Inputs, with the bias's constant 1 counted. */
  readonly in: number;
  readonly out: number;
  /** out × in, the bias in the last column. */
  readonly W: Matrix;
  /** ∂J/∂W of the last recorded pass, for the mean loss. */
  readonly G: Matrix;
  /** T, the positions of an example at which W is applied; 1 for a dense layer. */
  readonly positions: number;
  /**
   * @throws UnsupportedLayerError when this layer's curvature has no Kronecker form here; ArgumentError before the first
   *   recorded pass.
   */
  inputs(): FactorStatistics;
  /** @throws as `inputs`, and ArgumentError unless the last pass was recorded with the same kind and samples. */
  outputs(fisher: FisherOptions): FactorStatistics;
  /**
   * Records `into` ← V a for every example and position: the derivative of z as W moves along V. V is out × in, `into`
   * (N · T) × out, row i · T + t; they may lie in any buffers but the network's own and the same one.
   */
  apply(recorder: Recorder, V: Matrix, into: Matrix): void;
  /** Records `into` ← α Σ rows_t a_t' over examples and positions, out × in, from (N · T) × out: the adjoint of `apply`. */
  pullback(recorder: Recorder, rows: Matrix, into: Matrix, alpha: number): void;
  /** @throws ArgumentError unless the last pass was recorded with the same kind and samples. */
  curvatureRows(fisher: FisherOptions): CurvatureRows;
}

/** Data of one step, one example a row. */
export interface Batch {
  /** count × features. */
  inputs: Float32Array;
  /** Class indices (softmax cross entropy) or count × outputs values. */
  targets: Uint32Array | Float32Array;
  count: number;
}

/** A network that a K-FAC optimiser can train: what `src/network` provides and an adapter may. */
export interface CurvatureSource {
  readonly layers: readonly LayerSource[];
  /** All W in one buffer, and all G in another with the same layout; padding between them is zero. */
  readonly parameters: GPUBuffer;
  readonly gradients: GPUBuffer;
  /** f32 elements of `parameters`. */
  readonly length: number;
  /** Two f32 of the last recorded pass: the mean loss, and the share of examples classified right (or 0). */
  readonly statistics: GPUBuffer;
  /** Sends a batch to the GPU; the next recorded pass uses it. Checks shapes and finiteness. */
  load(batch: Batch): void;
  /** Records forward, loss and backward pass; with `fisher`, also what `outputs()` needs. */
  recordPass(recorder: Recorder, fisher?: FisherOptions): void;
}
