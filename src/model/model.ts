import type { Recorder } from "../pipeline/index.js";
import type { AnyBatch } from "./batch.js";
import type { Curved } from "./curved.js";
import type { FisherOptions } from "./fisher.js";
import type { Trainable } from "./trainable.js";

/** What one recorded pass computed. */
export interface Pass {
  /** Examples N. */
  readonly count: number;
  /** The columns that were propagated beside the gradient; none without. */
  readonly fisher: Readonly<FisherOptions> | undefined;
  /** The model's `layers` in this pass, in their order. */
  readonly layers: readonly Curved[];
}

/** What an optimiser trains: a `Network`, or anything of the caller's that keeps weights and gradients like one. */
export interface Model {
  readonly layers: readonly Trainable[];
  /** All W in one buffer, and all G in another with the same layout; padding between them is zero. */
  readonly parameters: GPUBuffer;
  readonly gradients: GPUBuffer;
  /** f32 elements of `parameters`. */
  readonly length: number;
  /** Two f32 of the last recorded pass: the mean loss, and the share of examples classified right (or 0). */
  readonly statistics: GPUBuffer;
  /** Sends a batch to the GPU; the next recorded pass uses it. Checks shapes and finiteness. */
  load(batch: AnyBatch): void;
  /** Records forward, loss and backward pass; with `fisher`, also the columns that curvature is made of. */
  recordPass(recorder: Recorder, fisher?: FisherOptions): Pass;
}
