import type { LayerStatus } from "../curvature/index.js";
import type { AnyBatch } from "../model/index.js";

/** What one step did. It arrives some time after the step was submitted. */
export interface StepRecord {
  /** 1 for the first step. */
  readonly step: number;
  /** Mean loss of the batch before the step. */
  readonly loss: number;
  /** Share of the batch classified right before the step; 0 for losses without classes. */
  readonly accuracy: number;
  readonly gradientNorm: number;
  /** ‖ηU‖ of this step's own direction U, before momentum. */
  readonly updateNorm: number;
  readonly learningRate: number;
  /** λ as set; undefined for first-order optimisers. */
  readonly lambda?: number;
  /** ν of the norm clip; undefined for first-order optimisers. */
  readonly clip?: number;
  /** Layers that this step left alone because numbers were not finite or no inverse was ready; 0 when all is well. */
  readonly skippedLayers: number;
  /** How each layer's factors stand; undefined for first-order optimisers. */
  readonly layers?: readonly LayerStatus[];
  /** `"ok"`, or what is the matter, in words. */
  readonly status: string;
}

/** The tensors of an optimiser, for a checkpoint. */
export type OptimizerState = Record<string, Float32Array | Uint32Array>;

/** Trains a network in place on the GPU. */
export interface Optimizer extends Disposable {
  readonly name: "kfac" | "newton" | "sgd" | "adam";
  /** Steps taken so far. */
  readonly steps: number;
  /** Counts from the next step on. */
  learningRate: number;
  /**
   * Submits one training step and returns without waiting for the GPU; the promise resolves when the record has come
   * back, and need not be awaited. The first step is sent once the kernels are compiled. Bad batches are refused by a
   * typed error before anything is sent.
   */
  step(batch: AnyBatch): Promise<StepRecord>;
  /** Reads everything a run needs to continue bitwise, besides the network's weights. */
  state(): Promise<OptimizerState>;
  /** Puts such a state back. @throws CheckpointError when it belongs to another optimiser or network; nothing changes. */
  restore(state: OptimizerState): void;
  dispose(): void;
}
