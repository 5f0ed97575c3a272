import type { Recorder, Resources } from "../pipeline/index.js";
import type { ModelBatch } from "./batch.js";
import type { Curved } from "./curved.js";
import type { FisherOptions } from "./fisher.js";
import type { Trainable } from "./trainable.js";

/** Where numbers go that the GPU computes: elements `index`, `index` + 1 … of a storage buffer, f32 each. */
export interface NumberPlace {
  readonly buffer: GPUBuffer;
  readonly index: number;
}

/** What one recorded pass computed. */
export interface Pass {
  /** Examples N. */
  readonly count: number;
  /** The columns that were propagated beside the gradient; none without. */
  readonly fisher: Readonly<FisherOptions> | undefined;
  /** The model's `layers` in this pass, in their order. */
  readonly layers: readonly Curved[];
  /**
   * Records the quadratic forms of the exact Gauss-Newton matrix H along K directions in all weights together, for the mean
   * loss of the pass's examples and the weights that it was recorded with: D_j' H D_k = mean over examples of dz_j' Λ dz_k, with
   * dz the derivative of the outputs along a direction and Λ the loss's Hessian in them (Martens & Grosse 2015, section 7).
   * Damping and weight decay are not in it. Nothing that the pass left is changed.
   *
   * @param directions K from 1 to 4 buffers, each laid out as the model's `parameters`
   * @param into receives K × K f32, row by row; symmetric to the bit
   * @param options.examples takes the mean over the first so many examples of the pass alone, which costs that much less: in a
   *   large batch in random order a quarter does (section 8 there). Defaults to all; more than there are counts as all
   * @throws ArgumentError for other directions or a place that is too small, and once the pass is over; UnsupportedLayerError
   *   where `Model.withoutTangent` says why there are none
   */
  curvatureAlong?(
    recorder: Recorder,
    directions: readonly GPUBuffer[],
    into: NumberPlace,
    options?: { readonly examples?: number },
  ): void;
  /**
   * Asks whether `recordPass` with `fisher` would record the commands of this pass again for the batch that is loaded now, and so
   * would whatever was recorded of the pass and `recordLoss`. If so, makes that batch and the draws of `fisher` count for them, and
   * they may be sent again; the pass stays over. Absent: they never may.
   */
  repeat?(fisher?: FisherOptions): boolean;
}

/** What an optimiser trains: a `Network`, or anything of the caller's that keeps weights and gradients like one. */
export interface Model {
  /** Whose device holds its memory. Optimisers of another one refuse the model; absent: nobody checks. */
  readonly manager?: Resources;
  readonly layers: readonly Trainable[];
  /** All W in one buffer, and all G in another with the same layout; padding between them is zero. */
  readonly parameters: GPUBuffer;
  readonly gradients: GPUBuffer;
  /** f32 elements of `parameters`. */
  readonly length: number;
  /** Two f32 of the last recorded pass: the mean loss, and the share of examples classified right (or 0). */
  readonly statistics: GPUBuffer;
  /**
   * Makes the next recorded pass one over this batch: sends arrays to the GPU, checked for shapes and finiteness, and takes a
   * batch of a data set from where it lies there. A model that reads arrays alone may refuse the latter.
   */
  load(batch: ModelBatch): void;
  /** Records forward, loss and backward pass; with `fisher`, also the columns that curvature is made of. */
  recordPass(recorder: Recorder, fisher?: FisherOptions): Pass;
  /** Why passes have no `curvatureAlong` that works, for people; undefined where they have. */
  readonly withoutTangent?: string;
  /**
   * Records forward pass and loss of the batch that is still loaded, with the weights as they are when the commands run: the
   * mean loss and the share of examples classified right (or 0), two f32. G and `statistics` stay; the last pass is over.
   *
   * @throws ArgumentError without a loaded batch, or for a place that is too small
   */
  recordLoss?(recorder: Recorder, into: NumberPlace): void;
}
