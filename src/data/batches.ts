/** Batches of a data set, as networks and optimisers take them. */
import { instanceOf, must, NUMBERS, SIZE, U32, whole } from "../arguments.js";
import type { Batch, BatchSupplier, DatasetBatch } from "../model/index.js";
import type { Loss } from "../network/index.js";
import { lossCode } from "../network/losses.js";
import { Permutation } from "../random/index.js";
import { requireRange } from "../resident/batch.js";
import { GpuDataset } from "../resident/index.js";
import { type Dataset, gather, requireDataset } from "./dataset.js";

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
   * @throws ArgumentError for what is no data set or no loss, unless `size` is a positive integer and `seed` a u32
   */
  constructor(data: D, size: number, seed: number, loss: Loss) {
    if (!(data instanceof GpuDataset)) requireDataset("BatchStream", data);
    must("BatchStream", "size", size, SIZE);
    must("BatchStream", "seed", seed, U32);
    lossCode(loss, "BatchStream");
    this.#data = data;
    this.#size = size;
    this.#seed = seed;
    this.#loss = loss;
    this.stepsPerEpoch = Math.ceil(data.count / size);
  }

  /** The batch of step `index`, counting from 0 over the whole run. @throws ArgumentError unless it is a whole number */
  batch(index: number): D extends GpuDataset ? DatasetBatch : Batch;
  batch(index: number): DatasetBatch | Batch {
    must("BatchStream.batch", "index", index, whole(0));
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
 * @throws ArgumentError for an index that is no example, and for what is no data set or no loss
 */
export function batchOf(data: Dataset, indices: ArrayLike<number>, loss: Loss): Batch {
  requireDataset("batchOf", data);
  must("batchOf", "indices", indices, NUMBERS);
  lossCode(loss, "batchOf");
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

/**
 * Examples one after the other, for `network.evaluate`: all of the data, or those that `indices` names.
 *
 * @throws ArgumentError as `batchOf`; the supplier, unless 0 ≤ start < end ≤ their number
 */
export function batchSupplier(data: Dataset, loss: Loss, indices?: Uint32Array): BatchSupplier {
  requireDataset("batchSupplier", data);
  lossCode(loss, "batchSupplier");
  if (indices !== undefined) must("batchSupplier", "indices", indices, instanceOf(Uint32Array));
  return (start, end) => {
    requireRange("batchSupplier", start, end, indices?.length ?? data.count);
    const own =
      indices?.subarray(start, end) ?? Uint32Array.from({ length: end - start }, (_, i) => start + i);
    return batchOf(data, own, loss);
  };
}
