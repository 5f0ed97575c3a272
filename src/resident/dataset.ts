import { FLAG, must, NUMBERS, OBJECT, optionsOf, type Rules, SIZE, shown, U32 } from "../arguments.js";
import { ArgumentError } from "../errors.js";
import type { DatasetBatch } from "../model/index.js";
import { Permutation } from "../random/index.js";
import { type Choice, GpuBatch, requireRange, type Shuffled } from "./batch.js";
import { requireCount, StoredDataset } from "./stored.js";

/** An order of the examples: that of one epoch. */
export interface ShuffledOrder {
  /** u32, 0 by default. */
  readonly seed?: number;
  /** Counted from 0, u32. */
  readonly epoch?: number;
}

/** How an epoch is cut into batches. */
interface EpochOptions extends ShuffledOrder {
  readonly batchSize: number;
  /** Whether they are shuffled; true by default. */
  readonly shuffle?: boolean;
  /** Whether a shorter last batch is left out; false by default. */
  readonly dropLast?: boolean;
}

const ORDER: Rules<ShuffledOrder> = { seed: U32, epoch: U32 };
const EPOCH: Rules<EpochOptions> = { ...ORDER, batchSize: SIZE, shuffle: FLAG, dropLast: FLAG };

/**
 * Examples that lie on the GPU, checked and sent once; of more than `budgetBytes` some, and the others are sent ahead of the
 * batches that need them. Networks on the same device load, evaluate and predict batches of it like batches of arrays, and optimisers
 * take steps on them, with the same numbers bit for bit; a step then sends the numbers of its examples, or what those follow from, and
 * the batch is made on the GPU. Where several networks use a streamed one, submit a pass that is recorded before another loads a batch.
 *
 *     using data = engine.dataset({ inputs, targets, count });
 *     for (const batch of data.batches({ batchSize: 500, seed, epoch })) optimizer.step(batch);
 */
export class GpuDataset extends StoredDataset {
  #shuffled: Shuffled | undefined;

  /** All examples, in the order in which they were given. */
  get all(): DatasetBatch {
    return this.range(0, this.count);
  }

  /**
   * The examples of these numbers, in that order. One may come twice.
   *
   * @throws ArgumentError for none, or a number that is no example's
   */
  batch(indices: ArrayLike<number>): DatasetBatch {
    this.assertUsable("batch");
    must("batch", "indices", indices, NUMBERS);
    const { length } = indices;
    requireCount("batch", "indices.length", length);
    for (let r = 0; r < length; r++) {
      const index = indices[r]!;
      if (Number.isInteger(index) && index >= 0 && index < this.count) continue;
      const message = `must be an integer from 0 to ${this.count - 1}, got ${shown(index)}`;
      throw new ArgumentError("batch", `indices[${r}]`, message);
    }
    return this.#make(length, { listed: Uint32Array.from(indices) });
  }

  /**
   * The examples in places start … end − 1: as they were given, or of the order of an epoch.
   *
   * @throws ArgumentError unless 0 ≤ start < end ≤ count, or for a seed or epoch that is not a u32
   */
  range(start: number, end: number, order?: ShuffledOrder): DatasetBatch {
    this.assertUsable("range");
    requireRange("range", start, end, this.count);
    const given = order && optionsOf("range", ORDER, order, "order");
    return this.#make(end - start, { start, shuffled: given && this.#order(given) });
  }

  /**
   * The batches of an epoch: every example once, in an order that follows from their number, the seed and the epoch alone (the
   * same as `fit`'s, whose first epoch is number 0 here); the last batch may be shorter.
   *
   * @throws ArgumentError for a batch size below 1, a seed or epoch that is not a u32, or another bad option
   */
  batches(options: EpochOptions): Generator<DatasetBatch, void, undefined> {
    must("batches", "options", options, OBJECT);
    const { batchSize, seed, epoch, shuffle = true, dropLast = false } = optionsOf("batches", EPOCH, options);
    requireCount("batches", "batchSize", batchSize);
    // A generator would refuse nothing before it is asked for its first batch.
    return this.#batches(batchSize, shuffle ? { seed, epoch } : undefined, dropLast);
  }

  *#batches(batchSize: number, order: ShuffledOrder | undefined, dropLast: boolean) {
    const end = dropLast ? this.count - (this.count % batchSize) : this.count;
    for (let start = 0; start < end; start += batchSize) {
      yield this.range(start, Math.min(start + batchSize, end), order);
    }
  }

  /** That of the epoch asked for last is kept. */
  #order({ seed = 0, epoch = 0 }: ShuffledOrder): Shuffled {
    const known = this.#shuffled;
    if (known?.seed === seed && known.epoch === epoch) return known;
    this.#shuffled = { seed, epoch, permutation: new Permutation(this.count, seed, epoch) };
    return this.#shuffled;
  }

  #make(count: number, choice: Choice): DatasetBatch {
    return new GpuBatch(this, count, choice);
  }
}
