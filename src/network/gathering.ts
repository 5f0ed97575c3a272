/** Batches of data sets on the GPU: whether they fit a network, and how they become its inputs and targets. */

import { d } from "typegpu";
import { ArgumentError, DataError, ShapeError } from "../errors.js";
import { placeIn } from "../model/arrays.js";
import type { DatasetBatch } from "../model/index.js";
import type { PipelineManager, Recorder } from "../pipeline/index.js";
import {
  GatherOrder,
  GpuBatch,
  gather,
  type Order,
  type StoredArray,
  type StoredDataset,
} from "../resident/index.js";
import type { BatchShape } from "./batch.js";
import { SUM_TOLERANCE } from "./batch.js";
import { byPort, operandOf } from "./inputs.js";

export class Gathering {
  readonly #manager: PipelineManager;
  readonly #shape: BatchShape;
  readonly #targets: GPUBuffer;
  readonly #storage: (label: string, length: number) => GPUBuffer;
  #order: Order | undefined;
  /** Batches loaded of a streamed data set by then, this network's own the last. */
  #loads: number | undefined;

  /**
   * @param targets where the loss reads them
   * @param storage makes a buffer of the network's
   */
  constructor(
    manager: PipelineManager,
    shape: BatchShape,
    targets: GPUBuffer,
    storage: (label: string, length: number) => GPUBuffer,
  ) {
    this.#manager = manager;
    this.#shape = shape;
    this.#targets = targets;
    this.#storage = storage;
  }

  /**
   * Whether the inputs fit, whatever the count of a batch: what is in them was looked through when the data set was made.
   *
   * @throws ArgumentError, ShapeError or DataError as for arrays; ArgumentError for a data set that is disposed of or on another
   *   device
   */
  checkInputs(operation: string, data: StoredDataset): void {
    data.assertUsable(operation);
    if (data.manager !== this.#manager) {
      const message = "lies on another engine's device; make it with the engine of the network";
      throw new ArgumentError(operation, "data set", message);
    }
    const { inputs: ports } = this.#shape;
    for (const [port, array] of arraysOf(operation, ports, data)) {
      const operand = operandOf(ports, port);
      const { form, features } = port;
      if (array.indexed !== (form.kind === "indices")) {
        const actual = array.indexed ? "indices (Uint32Array)" : "numbers";
        const expected = array.indexed ? "numbers" : "indices (Uint32Array)";
        throw new ArgumentError(operation, operand, `must be ${expected}, got ${actual}`);
      }
      if (array.width !== features) {
        throw new ShapeError(operation, operand, [data.count, array.width], [data.count, features]);
      }
      if (form.kind === "indices" && array.largest!.value >= form.vocabulary) {
        const { value, index } = array.largest!;
        const most = form.vocabulary - 1;
        const message = `hold index ${value} in ${placeIn(index, features)}; pass indices from 0 to ${most}`;
        throw new DataError(operand, message, { actual: value, expected: most });
      }
    }
  }

  /** The same of inputs and targets. @throws as `checkInputs` */
  check(operation: string, data: StoredDataset): void {
    this.checkInputs(operation, data);
    const { outputs, loss } = this.#shape;
    const { targets, classes, facts } = data;
    if (classes !== undefined) {
      const { value, index } = targets.largest!;
      if (value >= outputs) {
        const message = `hold class ${value} in example ${index}; pass classes from 0 to ${outputs - 1}`;
        throw new DataError("targets", message, { actual: value, expected: outputs - 1 });
      }
      return;
    }
    if (targets.width !== outputs) {
      throw new ShapeError(operation, "targets", [data.count, targets.width], [data.count, outputs]);
    }
    if (loss.kind === "halfSquaredError") return;
    const { outside, farthest } = facts!;
    if (outside) {
      const { value, example } = outside;
      const message = `hold ${value} in example ${example}; pass numbers from 0 to 1`;
      throw new DataError("targets", message, { actual: value });
    }
    if (loss.kind === "softmaxCrossEntropy" && Math.abs(farthest.total - 1) > SUM_TOLERANCE) {
      const { total, example } = farthest;
      const message = `add up to ${total} in example ${example}; pass probabilities that add up to 1`;
      throw new DataError("targets", message, { actual: total, expected: 1 });
    }
  }

  /** @throws ArgumentError for a count that the network does not take at a time */
  checkCount(operation: string, count: number): void {
    const { batchSize } = this.#shape;
    if (count <= batchSize) return;
    throw new ArgumentError(operation, "count", `must be an integer from 1 to ${batchSize}, got ${count}`);
  }

  /** Whether the loss reads classes of such a data set, or rows. */
  indexed({ classes }: StoredDataset): boolean {
    return classes !== undefined && this.#shape.loss.kind === "softmaxCrossEntropy";
  }

  /**
   * Makes `record` one of this batch, which was checked, for the commands that are submitted next.
   *
   * @throws ArgumentError for more of a streamed data set than its budget holds
   */
  write(batch: GpuBatch): void {
    batch.write(this.#manager.device.queue, this.#ensureOrder());
    this.#loads = batch.dataset.stream?.loads;
  }

  /** Records that inputs and, unless only those are asked for, targets of a batch that was written come from the data set. */
  record(recorder: Recorder, batch: GpuBatch, { targets = true } = {}): void {
    const { dataset, count } = batch;
    dataset.assertUsable("recordPass");
    // Another network's batch may have taken its place.
    if (dataset.stream?.loads !== this.#loads) this.write(batch);
    const order = this.#ensureOrder();
    for (const [port, array] of arraysOf("load", this.#shape.inputs, dataset)) {
      gather(recorder, array, order, count, port.values.rows(count));
    }
    if (!targets) return;
    const { outputs } = this.#shape;
    const rows = dataset.classes !== undefined && !this.indexed(dataset);
    const array: StoredArray = rows
      ? { ...dataset.targets, format: "classes", width: outputs }
      : dataset.targets;
    const { width } = array;
    gather(recorder, array, order, count, { buffer: this.#targets, offset: 0, stride: width, cols: width });
  }

  #ensureOrder(): Order {
    this.#order ??= {
      order: this.#storage("order of a data set", d.sizeOf(GatherOrder) / 4),
      listed: this.#storage("examples of a data set", this.#shape.batchSize),
    };
    return this.#order;
  }
}

/** @throws ArgumentError for what looks like a data set's batch and is none */
export function gpuBatchOf(operation: string, batch: DatasetBatch): GpuBatch {
  if (batch instanceof GpuBatch) return batch;
  throw new ArgumentError(operation, "batch", "must be arrays, or a batch of a data set of engine.dataset()");
}

function arraysOf(operation: string, ports: BatchShape["inputs"], { inputs }: StoredDataset) {
  return byPort<StoredArray>(operation, ports, inputs, (given) => typeof given.format === "string");
}
