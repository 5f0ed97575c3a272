/** Where examples lie that come and go. */

/** No example's number. */
const NOTHING = 0xffffffff;

/** Examples, and where they are to be. */
export interface Placing {
  /** The slot of each. */
  readonly slots: Uint32Array<ArrayBuffer>;
  /** Which of them are not there yet and must be sent, by their places in the list, in order. */
  readonly missing: readonly number[];
}

/**
 * Which examples lie in which slots of a memory that does not hold all of them. The first slots are for the examples of their
 * own numbers, which stay; the others are a ring, for batches that come and go. The ring grows at the cost of what stays. What a
 * batch has in the ring is overwritten last, whether it came with that batch or was there.
 */
export class Slots {
  readonly capacity: number;
  /** Slots before the ring. */
  #kept: number;
  #next: number;
  /** The example in each slot of the ring, and the turn in which it was last asked for. */
  readonly #holds: Uint32Array;
  readonly #used: Float64Array;
  readonly #found = new Map<number, number>();
  #turn = 0;
  /** Of the batch that was placed last to be used now. */
  #current = 0;

  /** @param kept examples that are in their slots, from the first on */
  constructor(capacity: number, kept: number) {
    this.capacity = capacity;
    this.#kept = kept;
    this.#next = kept;
    this.#holds = new Uint32Array(capacity).fill(NOTHING);
    this.#used = new Float64Array(capacity);
  }

  /** Slots of the ring. */
  get ring(): number {
    return this.capacity - this.#kept;
  }

  /** Makes the ring one of at least `length`, or of all slots. */
  reserve(length: number): void {
    const kept = Math.max(0, this.capacity - length);
    if (kept >= this.#kept) return;
    for (let slot = kept; slot < this.#kept; slot++) {
      this.#holds[slot] = slot;
      this.#found.set(slot, slot);
    }
    this.#kept = kept;
    this.#next = kept;
  }

  /** Slots for all examples of a batch that is to be used now: at most as many as the ring has. */
  place(examples: Uint32Array): Placing {
    this.#turn++;
    this.#current = this.#turn;
    return this.#place(examples);
  }

  /** Slots for the first examples of a batch that will be used soon: as many as there is room for, without those of the batch used now. */
  placeAhead(examples: Uint32Array): Placing {
    this.#turn++;
    return this.#place(examples);
  }

  #place(examples: Uint32Array): Placing {
    const slots = new Uint32Array(examples.length);
    const missing: number[] = [];
    for (let i = 0; i < examples.length; i++) {
      const example = examples[i]!;
      let slot: number | undefined = example;
      if (example >= this.#kept) {
        slot = this.#found.get(example);
        if (slot === undefined) {
          slot = this.#take(example);
          if (slot === undefined) return { slots: slots.slice(0, i), missing };
          missing.push(i);
        }
        this.#used[slot] = this.#turn;
      }
      slots[i] = slot;
    }
    return { slots, missing };
  }

  /** The next slot of the ring that no batch needs. */
  #take(example: number): number | undefined {
    for (let looked = this.ring; looked > 0; looked--) {
      const slot = this.#next;
      this.#next = slot + 1 < this.capacity ? slot + 1 : this.#kept;
      // By the batch that is used now, or by one that comes after it: what was sent ahead before may go.
      if (this.#used[slot]! >= this.#current) continue;
      const old = this.#holds[slot]!;
      if (old !== NOTHING) this.#found.delete(old);
      this.#holds[slot] = example;
      this.#found.set(example, slot);
      return slot;
    }
    return undefined;
  }
}
