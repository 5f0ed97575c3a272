// Batches of digits in an order that is a function of the seed and the step alone.
import type { Batch, DatasetBatch, GpuDataset } from "kfac-webgpu";

/** Images from 0 to 1, one after another, with a class each. */
export interface Examples {
  count: number;
  features: number;
  inputs: Float32Array<ArrayBuffer>;
  labels: Uint32Array<ArrayBuffer>;
}

export class BatchStream {
  readonly stepsPerEpoch: number;
  readonly #data: Pick<GpuDataset, "count" | "range">;
  readonly #size: number;
  readonly #seed: number;

  /** @throws RangeError unless 1 ≤ size ≤ the number of examples */
  constructor(data: Pick<GpuDataset, "count" | "range">, size: number, seed: number) {
    if (!(Number.isInteger(size) && size >= 1 && size <= data.count)) {
      throw new RangeError(`a batch of ${size} of ${data.count} examples`);
    }
    this.stepsPerEpoch = Math.floor(data.count / size);
    this.#data = data;
    this.#size = size;
    this.#seed = seed;
  }

  /** The batch of step `index`, counted from 0. What is left over at the end of an epoch waits for the next shuffle. */
  batch(index: number): DatasetBatch {
    const first = (index % this.stepsPerEpoch) * this.#size;
    const order = { seed: this.#seed, epoch: Math.floor(index / this.stepsPerEpoch) };
    return this.#data.range(first, first + this.#size, order);
  }
}

/** The first `count` examples as a batch. */
export function head({ features, inputs, labels }: Examples, count: number): Batch {
  return { inputs: inputs.slice(0, count * features), targets: labels.slice(0, count), count };
}
