/** Batches of a data set, as networks and optimisers take them. */
import { ArgumentError } from "../errors.js";
import type { Batch, BatchSupplier, DatasetBatch } from "../model/index.js";
import type { Loss } from "../network/index.js";
import { Permutation } from "../random/index.js";
import { GpuDataset } from "../resident/index.js";
import { type Dataset, gather } from "./dataset.js";

/** Shuffled batches without end, in an order that is a function of data size, batch size and seed alone. */
export class BatchStream<D extends Dataset | GpuDataset = Dataset> {
  /** Batches that show every example once; the last is shorter where `size` does not divide the examples. */
  readonly stepsPerEpoch: number;
  readonly #data: D;
  readonly #size: number;
  readonly #seed: number;
  readonly #loss: Loss;
  #epoch = -1;
  #order: Permutation | undefined;

  /**
   * @param size examples of a batch
   * @param loss whose form the targets have; see `batchOf`. A data set on the GPU sees to that itself
   * @throws ArgumentError unless `size` is a positive integer
   */
  constructor(data: D, size: number, seed: number, loss: Loss) {
    if (!(Number.isInteger(size) && size >= 1)) {
      throw new ArgumentError("BatchStream", "size", `must be a positive integer, got ${size}`);
    }
    this.#data = data;
    this.#size = size;
    this.#seed = seed;
    this.#loss = loss;
    this.stepsPerEpoch = Math.ceil(data.count / size);
  }

  /** The batch of step `index`, counting from 0 over the whole run. */
  batch(index: number): D extends GpuDataset ? DatasetBatch : Batch;
  batch(index: number): DatasetBatch | Batch {
    const data: Dataset | GpuDataset = this.#data;
    const epoch = Math.floor(index / this.stepsPerEpoch);
    const start = (index % this.stepsPerEpoch) * this.#size;
    const end = Math.min(start + this.#size, data.count);
    if (data instanceof GpuDataset) return data.range(start, end, { seed: this.#seed, epoch });
    if (!this.#order || epoch !== this.#epoch) this.#order = new Permutation(data.count, this.#seed, epoch);
    this.#epoch = epoch;
    return batchOf(data, this.#order.slice(start, end), this.#loss);
  }
}

/**
 * The examples `indices` as a batch: classes for softmax, rows with a one at the class for the other losses.
 *
 * @throws ArgumentError for an index that is no example
 */
export function batchOf(data: Dataset, indices: ArrayLike<number>, loss: Loss): Batch {
  const count = indices.length;
  const inputs = new Float32Array(count * data.features);
  const classes = new Uint32Array(count);
  gather(data, indices, inputs, classes);
  if (loss.kind === "softmaxCrossEntropy") return { inputs, targets: classes, count };
  const targets = new Float32Array(count * data.classes);
  classes.forEach((label, i) => {
    targets[i * data.classes + label] = 1;
  });
  return { inputs, targets, count };
}

/** Examples one after the other, for `network.evaluate`: all of the data, or those that `indices` names. */
export function batchSupplier(data: Dataset, loss: Loss, indices?: Uint32Array): BatchSupplier {
  return (start, end) =>
    batchOf(
      data,
      indices?.subarray(start, end) ?? Uint32Array.from({ length: end - start }, (_, i) => start + i),
      loss,
    );
}
