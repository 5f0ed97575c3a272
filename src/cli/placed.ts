/** Labelled images on the GPU, where they fit. */
import { BatchStream, batchOf, batchSupplier, type Dataset, type LabelledData } from "../data/index.js";
import type { Engine } from "../engine.js";
import { LimitError, OutOfMemoryError } from "../errors.js";
import type { ModelBatch } from "../model/index.js";
import type { Evaluation, Loss, Network } from "../network/index.js";
import type { GpuDataset } from "../resident/index.js";

/** Batches of a run, by the steps that take them, counted from 0. */
export interface Stream {
  readonly stepsPerEpoch: number;
  batch(index: number): ModelBatch;
}

/** Examples that commands train or measure on: the same numbers wherever they lie. */
export class PlacedExamples {
  readonly images: Dataset;
  readonly #resident: GpuDataset | undefined;

  constructor(images: Dataset, resident: GpuDataset | undefined) {
    this.images = images;
    this.#resident = resident;
  }

  /** The examples `indices`. */
  batch(indices: Uint32Array, loss: Loss): ModelBatch {
    return this.#resident?.batch(indices) ?? batchOf(this.images, indices, loss);
  }

  stream(batchSize: number, seed: number, loss: Loss): Stream {
    if (this.#resident) return new BatchStream(this.#resident, batchSize, seed, loss);
    return new BatchStream(this.images, batchSize, seed, loss);
  }

  /** Over all of them, or those that `indices` names. */
  evaluate(network: Network, indices?: Uint32Array): Promise<Evaluation> {
    if (this.#resident) return network.evaluate(indices ? this.#resident.batch(indices) : this.#resident);
    const total = indices?.length ?? this.images.count;
    return network.evaluate(batchSupplier(this.images, network.loss, indices), { total });
  }
}

export interface PlacedData {
  readonly train: PlacedExamples;
  readonly test: PlacedExamples | undefined;
}

/** Sends the data to the GPU once; what it does not hold stays where it is. */
export async function placeData(engine: Engine, { train, test }: LabelledData): Promise<PlacedData> {
  return { train: await placed(engine, train), test: test && (await placed(engine, test)) };
}

async function placed(engine: Engine, images: Dataset): Promise<PlacedExamples> {
  try {
    const resident = await engine.manager.allocating("dataset", () => engine.dataset(images));
    return new PlacedExamples(images, resident);
  } catch (error) {
    if (!(error instanceof LimitError || error instanceof OutOfMemoryError)) throw error;
    return new PlacedExamples(images, undefined);
  }
}
