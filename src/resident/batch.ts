import { must, whole } from "../arguments.js";
import { ArgumentError } from "../errors.js";
import type { DatasetBatch } from "../model/index.js";
import { Permutation } from "../random/index.js";
import { ORDERS } from "./gather.js";
import type { StoredDataset } from "./stored.js";
import type { StreamedBatch } from "./stream.js";

/** The order of one epoch. */
export interface Shuffled {
  readonly seed: number;
  readonly epoch: number;
  readonly permutation: Permutation;
}

/** Which examples a batch has: those at positions of an order, or those of a list. */
export type Choice =
  | { readonly start: number; readonly shuffled: Shuffled | undefined }
  | { readonly listed: Uint32Array<ArrayBuffer> };

/** Words of `GatherOrder` before its keys. */
const HEAD = 5;

/** A batch of a data set on the GPU: numbers of examples, or what they follow from. */
export class GpuBatch implements DatasetBatch, StreamedBatch {
  readonly dataset: StoredDataset;
  readonly count: number;
  /** The batch that this is a part of; itself where it is none. */
  readonly whole: GpuBatch;
  readonly #choice: Choice;
  #indices: Uint32Array | undefined;

  /** @param choice of `count` examples, checked */
  constructor(dataset: StoredDataset, count: number, choice: Choice, whole?: GpuBatch) {
    this.dataset = dataset;
    this.count = count;
    this.whole = whole ?? this;
    this.#choice = choice;
  }

  /** Their numbers; leave them as they are. */
  get indices(): Uint32Array {
    const choice = this.#choice;
    if ("listed" in choice) return choice.listed;
    const { start, shuffled } = choice;
    this.#indices ??=
      shuffled?.permutation.slice(start, start + this.count) ??
      Uint32Array.from({ length: this.count }, (_, i) => start + i);
    return this.#indices;
  }

  /** Whether an order ends with it. */
  get last(): boolean {
    return "start" in this.#choice && this.#choice.start + this.count === this.dataset.count;
  }

  /** Whether the other is known to have the same examples in the same order. */
  equals(other: GpuBatch): boolean {
    if (other === this) return true;
    const [own, its] = [this.#choice, other.#choice];
    if ("listed" in own || "listed" in its) return false;
    if (this.count !== other.count || own.start !== its.start) return false;
    return own.shuffled?.seed === its.shuffled?.seed && own.shuffled?.epoch === its.shuffled?.epoch;
  }

  /** The batch that comes next, of `size` examples where there are as many: in the same order, or in that of the next epoch. */
  following(size: number): GpuBatch | undefined {
    const choice = this.#choice;
    if ("listed" in choice) return undefined;
    const { dataset } = this;
    const { shuffled } = choice;
    if (!this.last) {
      const start = choice.start + this.count;
      return new GpuBatch(dataset, Math.min(size, dataset.count - start), { start, shuffled });
    }
    if (!shuffled || shuffled.epoch === 0xffffffff) return undefined;
    const { seed } = shuffled;
    const epoch = shuffled.epoch + 1;
    const permutation = new Permutation(dataset.count, seed, epoch);
    const next = { start: 0, shuffled: { seed, epoch, permutation } };
    return new GpuBatch(dataset, Math.min(size, dataset.count), next);
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
    return new GpuBatch(this.dataset, end - start, own, this.whole);
  }

  /**
   * Makes the commands that are submitted next gather these examples.
   *
   * @throws ArgumentError for more of a streamed data set than its budget holds
   */
  write(queue: GPUQueue, { order, listed }: { order: GPUBuffer; listed: GPUBuffer }): void {
    const choice = this.#choice;
    const { count, stream } = this.dataset;
    // Of a streamed data set it is places on the GPU that are listed.
    const list = stream ? stream.load(this) : "listed" in choice ? choice.listed : undefined;
    if (list) {
      queue.writeBuffer(listed, 0, list);
      queue.writeBuffer(order, 0, Uint32Array.of(ORDERS.listed, 0, count, 0, 0));
      return;
    }
    const { start, shuffled } = choice as Extract<Choice, { start: number }>;
    if (!shuffled) {
      queue.writeBuffer(order, 0, Uint32Array.of(ORDERS.given, start, count, 0, 0));
      return;
    }
    const { bits, keys } = shuffled.permutation;
    const words = new Uint32Array(HEAD + keys.length);
    words.set([ORDERS.shuffled, start, count, ...bits]);
    words.set(keys, HEAD);
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
