import { must, whole } from "../arguments.js";
import { ArgumentError } from "../errors.js";
import type { DatasetBatch } from "../model/index.js";
import type { Permutation } from "../random/index.js";
import { ORDERS } from "./gather.js";
import type { StoredDataset } from "./stored.js";

/** Which examples a batch has: those at positions of an order, or those of a list. */
export type Choice =
  | { readonly start: number; readonly permutation: Permutation | undefined }
  | { readonly listed: Uint32Array<ArrayBuffer> };

/** Words of `GatherOrder` before its keys. */
const HEAD = 5;

/** A batch of a data set on the GPU: numbers of examples, or what they follow from. */
export class GpuBatch implements DatasetBatch {
  readonly dataset: StoredDataset;
  readonly count: number;
  readonly #choice: Choice;

  /** @param choice of `count` examples, checked */
  constructor(dataset: StoredDataset, count: number, choice: Choice) {
    this.dataset = dataset;
    this.count = count;
    this.#choice = choice;
  }

  /** Their numbers. */
  get indices(): Uint32Array {
    const choice = this.#choice;
    if ("listed" in choice) return choice.listed.slice();
    const { start, permutation } = choice;
    if (permutation) return permutation.slice(start, start + this.count);
    return Uint32Array.from({ length: this.count }, (_, i) => start + i);
  }

  /** For models of the caller's own that read arrays alone. @throws ArgumentError always */
  get inputs(): never {
    return refuseArrays();
  }

  /** As `inputs`. @throws ArgumentError always */
  get targets(): never {
    return refuseArrays();
  }

  /** @throws ArgumentError unless 0 ≤ start < end ≤ count */
  part(start: number, end: number): GpuBatch {
    requireRange("part", start, end, this.count);
    const choice = this.#choice;
    const own =
      "listed" in choice
        ? { listed: choice.listed.subarray(start, end) }
        : { ...choice, start: choice.start + start };
    return new GpuBatch(this.dataset, end - start, own);
  }

  /** Makes the commands that are submitted next gather these examples. */
  write(queue: GPUQueue, { order, listed }: { order: GPUBuffer; listed: GPUBuffer }): void {
    const choice = this.#choice;
    const examples = this.dataset.count;
    if ("listed" in choice) {
      queue.writeBuffer(listed, 0, choice.listed);
      queue.writeBuffer(order, 0, Uint32Array.of(ORDERS.listed, 0, examples, 0, 0));
      return;
    }
    const { start, permutation } = choice;
    if (!permutation) {
      queue.writeBuffer(order, 0, Uint32Array.of(ORDERS.given, start, examples, 0, 0));
      return;
    }
    const words = new Uint32Array(HEAD + permutation.keys.length);
    words.set([ORDERS.shuffled, start, examples, ...permutation.bits]);
    words.set(permutation.keys, HEAD);
    queue.writeBuffer(order, 0, words);
  }
}

function refuseArrays(): never {
  const message =
    "must be arrays for a model that reads these, got one of a data set on the GPU, whose examples lie there";
  throw new ArgumentError("load", "batch", message);
}

/** @throws ArgumentError unless 0 ≤ start < end ≤ count */
export function requireRange(operation: string, start: number, end: number, count: number): void {
  must(operation, "start", start, { ...whole(0, count - 1), words: `an integer from 0 to ${count - 1}` });
  must(operation, "end", end, {
    ...whole(start + 1, count),
    words: `an integer from ${start + 1} to ${count}`,
  });
}
