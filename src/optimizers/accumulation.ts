import { axpy, type MatrixView } from "../linalg/index.js";
import type { Model } from "../model/index.js";
import type { Recorder } from "../pipeline/index.js";
import type { OptimizerMemory } from "./memory.js";

/**
 * G, mean loss and accuracy of a batch that comes in micro-batches: Σ share · mean of each. Everything lies in memory of its own
 * until all are there, so that what a step keeps is changed by whole batches only.
 */
export class Accumulation {
  readonly #model: Model;
  readonly #memory: OptimizerMemory;
  #buffers: { readonly gradients: GPUBuffer; readonly statistics: GPUBuffer } | undefined;

  constructor(model: Model, memory: OptimizerMemory) {
    this.#model = model;
    this.#memory = memory;
  }

  /**
   * Records sums + share · what the model's last pass has left, into empty sums where it is the first.
   *
   * @throws LimitError when the device cannot hold the sums, which are made at the first call
   */
  add(recorder: Recorder, share: number, first: boolean): void {
    const { gradients, statistics } = this.#sums;
    if (first) {
      recorder.clear(gradients);
      recorder.clear(statistics);
    }
    axpy(recorder, [
      ...this.#model.layers.map(({ G }) => ({ alpha: share, X: G, Y: { ...G, buffer: gradients } })),
      { alpha: share, X: pair(this.#model.statistics), Y: pair(statistics) },
    ]);
  }

  /** Records that the sums take the places of what the last pass left. */
  finish(recorder: Recorder): void {
    const { gradients, statistics } = this.#sums;
    recorder.copy(gradients, 0, this.#model.gradients, 0, 4 * this.#model.length);
    recorder.copy(statistics, 0, this.#model.statistics, 0, 8);
  }

  get #sums() {
    this.#buffers ??= {
      gradients: this.#memory.storage("gradient sums", this.#model.length),
      statistics: this.#memory.storage("loss sums", 2),
    };
    return this.#buffers;
  }
}

/** Two numbers as a matrix. */
export function pair(buffer: GPUBuffer): MatrixView {
  return { buffer, offset: 0, rows: 1, cols: 2, stride: 2 };
}
