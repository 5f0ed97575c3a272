/** Batches for the engine, in an order that is a function of data size, batch size and seed alone. */

import type { Batch, Loss } from "../cli/engine.js";
import { batches, type Dataset, gather } from "./index.js";

export class BatchStream {
  readonly stepsPerEpoch: number;
  readonly #data: Dataset;
  readonly #size: number;
  readonly #seed: number;
  readonly #loss: Loss;
  #epoch = -1;
  #order: Uint32Array[] = [];

  constructor(data: Dataset, size: number, seed: number, loss: Loss) {
    this.#data = data;
    this.#size = size;
    this.#seed = seed;
    this.#loss = loss;
    this.stepsPerEpoch = Math.ceil(data.count / size);
  }

  /** The batch of step `index`, counting from 0 over the whole run. */
  batch(index: number): Batch {
    const epoch = Math.floor(index / this.stepsPerEpoch);
    if (epoch !== this.#epoch) {
      this.#order = [...batches(this.#data.count, this.#size, this.#seed, epoch)];
      this.#epoch = epoch;
    }
    return makeBatch(this.#data, this.#order[index % this.stepsPerEpoch]!, this.#loss);
  }
}

/** The examples `indices` as a batch: classes for softmax, rows with a one at the class for the other losses. */
export function makeBatch(data: Dataset, indices: ArrayLike<number>, loss: Loss): Batch {
  const count = indices.length;
  const inputs = new Float32Array(count * data.features);
  const classes = new Uint32Array(count);
  gather(data, indices, inputs, classes);
  if (loss === "softmax") return { inputs, targets: classes, count };
  const targets = new Float32Array(count * data.classes);
  classes.forEach((label, i) => {
    targets[i * data.classes + label] = 1;
  });
  return { inputs, targets, count };
}

/** Reads examples one after the other, for `Network.evaluate`; of all the data, or of those that `indices` names. */
export function reader(
  data: Dataset,
  loss: Loss,
  indices?: Uint32Array,
): (start: number, end: number) => Batch {
  return (start, end) =>
    makeBatch(
      data,
      indices?.subarray(start, end) ?? Uint32Array.from({ length: end - start }, (_, i) => start + i),
      loss,
    );
}
