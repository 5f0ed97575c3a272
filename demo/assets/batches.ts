// Batches of digits in an order that is a function of the seed and the step alone.
import type { Batch } from "kfac-webgpu";
import { shuffle } from "kfac-webgpu/reference";

/** Images from 0 to 1, one after another, with a class each. */
export interface Examples {
  count: number;
  features: number;
  inputs: Float32Array<ArrayBuffer>;
  labels: Uint32Array<ArrayBuffer>;
}

export class BatchStream {
  readonly stepsPerEpoch: number;
  readonly #examples: Examples;
  readonly #size: number;
  readonly #seed: number;
  #epoch = -1;
  #order = new Uint32Array();

  /** @throws RangeError unless 1 ≤ size ≤ the number of examples */
  constructor(examples: Examples, size: number, seed: number) {
    if (!(Number.isInteger(size) && size >= 1 && size <= examples.count)) {
      throw new RangeError(`a batch of ${size} of ${examples.count} examples`);
    }
    this.stepsPerEpoch = Math.floor(examples.count / size);
    this.#examples = examples;
    this.#size = size;
    this.#seed = seed;
  }

  /** The batch of step `index`, counted from 0. What is left over at the end of an epoch waits for the next shuffle. */
  batch(index: number): Batch {
    const epoch = Math.floor(index / this.stepsPerEpoch);
    if (epoch !== this.#epoch) {
      this.#order = shuffle(this.#examples.count, this.#seed, epoch) as Uint32Array<ArrayBuffer>;
      this.#epoch = epoch;
    }
    const first = (index % this.stepsPerEpoch) * this.#size;
    return pick(this.#examples, this.#order.subarray(first, first + this.#size));
  }
}

/** The examples `indices` as a batch. */
export function pick({ features, inputs, labels }: Examples, indices: ArrayLike<number>): Batch {
  const count = indices.length;
  const batch = { inputs: new Float32Array(count * features), targets: new Uint32Array(count), count };
  for (let i = 0; i < count; i++) {
    const k = indices[i]!;
    batch.inputs.set(inputs.subarray(k * features, (k + 1) * features), i * features);
    batch.targets[i] = labels[k]!;
  }
  return batch;
}

/** The first `count` examples as a batch. */
export function head({ features, inputs, labels }: Examples, count: number): Batch {
  return { inputs: inputs.slice(0, count * features), targets: labels.slice(0, count), count };
}
