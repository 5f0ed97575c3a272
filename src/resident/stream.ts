/** Examples of a data set that the GPU does not hold: sent when batches need them, and ahead of that. */
import { ArgumentError } from "../errors.js";
import type { CheckedArray, StoredArray } from "./array.js";
import { packRows, SIZES, writeRows } from "./rows.js";
import { Slots } from "./slots.js";

/** An array in main memory, and the room for some of its examples on the GPU. */
export interface StreamedArray {
  readonly array: CheckedArray;
  readonly stored: StoredArray;
}

/** What it asks of a batch. */
export interface StreamedBatch {
  readonly count: number;
  readonly indices: Uint32Array;
  /** The batch that this is a part of, or itself. */
  readonly whole: StreamedBatch;
  /** Whether an order ends with it. */
  readonly last: boolean;
  equals(other: this): boolean;
  /** What is likely to come next, and how many examples of it. */
  following(size: number): StreamedBatch | undefined;
}

export class Stream {
  readonly #queue: GPUQueue;
  readonly #arrays: readonly StreamedArray[];
  readonly #slots: Slots;
  readonly #budget: { readonly bytes: number; readonly perExample: number };
  readonly #prefetch: number;
  #packed = new ArrayBuffer(0);
  #loads = 0;
  /** The batch that was loaded last, and those that are likely to come next. */
  #expected: readonly StreamedBatch[] = [];
  /** Examples of a batch that does not end an order. */
  #size = 0;
  #due = false;
  #disposed = false;

  /** @param kept the first examples, which are there */
  constructor(parts: {
    queue: GPUQueue;
    arrays: readonly StreamedArray[];
    kept: number;
    budget: { readonly bytes: number; readonly perExample: number };
    prefetch: number;
  }) {
    this.#queue = parts.queue;
    this.#arrays = parts.arrays;
    this.#slots = new Slots(parts.kept, parts.kept);
    this.#budget = parts.budget;
    this.#prefetch = parts.prefetch;
  }

  /** Batches loaded so far: while it stays, none has taken another's place. */
  get loads(): number {
    return this.#loads;
  }

  /**
   * Sees to it that a batch's examples are on the GPU for what is submitted next.
   *
   * @returns where each of them is
   * @throws ArgumentError where the budget has no room for so many; then nothing has changed
   */
  load(batch: StreamedBatch): Uint32Array<ArrayBuffer> {
    const { capacity } = this.#slots;
    const { count } = batch;
    if (count > capacity) {
      const { bytes, perExample } = this.#budget;
      const needed = `${count * perExample} for a batch of ${count}`;
      throw new ArgumentError(
        "load",
        "budgetBytes of the data set",
        `must be at least ${needed}, got ${bytes}`,
      );
    }
    // Micro-batches are followed by those of the same whole.
    const unit = batch.whole.count <= capacity ? batch.whole : batch;
    const at = this.#expected.findIndex((one) => one.equals(unit));
    const expected = at < 0 ? [unit] : this.#expected.slice(at);
    const own = expected[0]!;
    this.#slots.reserve((1 + this.#depth(own)) * own.count);
    // The numbers of one that was expected are known.
    const { indices } = batch === unit ? own : batch;
    const { slots, missing } = this.#slots.place(indices);
    this.#send(indices, slots, missing);
    this.#loads++;
    if (!own.last || this.#size === 0) this.#size = own.count;
    this.#expected = expected;
    this.#sendAheadSoon();
    return slots;
  }

  dispose(): void {
    this.#disposed = true;
    this.#expected = [];
  }

  /** Batches like this one that there is room for ahead of it. */
  #depth({ count }: StreamedBatch): number {
    return Math.min(this.#prefetch, Math.floor(this.#slots.capacity / count) - 1);
  }

  /** Once the caller has submitted what it loads the batch for, so that the GPU works meanwhile. */
  #sendAheadSoon(): void {
    if (this.#due || this.#prefetch === 0) return;
    this.#due = true;
    queueMicrotask(() => {
      this.#due = false;
      if (!this.#disposed) this.#sendAhead();
    });
  }

  #sendAhead(): void {
    const [own] = this.#expected;
    const expected = this.#expected.slice(0, 1 + this.#depth(own!));
    while (expected.length <= this.#depth(own!)) {
      const next = expected.at(-1)!.following(this.#size);
      if (!next) break;
      expected.push(next);
    }
    this.#expected = expected;
    for (const { indices } of expected) {
      const { slots, missing } = this.#slots.placeAhead(indices);
      this.#send(indices, slots, missing);
    }
  }

  /** Sends the missing ones, as many at a time as lie side by side. */
  #send(examples: Uint32Array, slots: Uint32Array, missing: readonly number[]): void {
    for (let start = 0; start < missing.length; ) {
      const slot = slots[missing[start]!]!;
      let end = start + 1;
      while (end < missing.length && slots[missing[end]!] === slot + end - start) end++;
      const rows = Uint32Array.from({ length: end - start }, (_, k) => examples[missing[start + k]!]!);
      for (const { array, stored } of this.#arrays) {
        const packed = this.#room(rows.length * stored.pitch * SIZES[stored.format]);
        packRows(array, rows, stored.pitch, packed);
        writeRows(this.#queue, stored, slot, rows.length, packed);
      }
      start = end;
    }
  }

  #room(bytes: number): ArrayBuffer {
    if (this.#packed.byteLength < bytes) this.#packed = new ArrayBuffer(Math.ceil(bytes / 4) * 4);
    return this.#packed;
  }
}
