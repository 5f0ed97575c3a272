import type { Recording } from "./recording.js";

/** What an operation recorded for operands that it was given before, and the scratch that it took. */
export interface Remembered {
  readonly recording: Recording;
  readonly scratch: readonly { readonly buffer: GPUBuffer; readonly length: number }[];
}

/** Recordings of operations by all numbers that they follow from; forgets what was used longest ago. */
export class RememberedRecordings {
  /** Most entries, and most numbers in their keys together. */
  readonly #capacity: number;
  readonly #numbers: number;
  /** By the hash of the key; one entry for each hash. */
  readonly #entries = new Map<number, { readonly key: Float64Array; readonly value: Remembered }>();
  #held = 0;

  constructor(capacity = 256, numbers = 2 ** 20) {
    this.#capacity = capacity;
    this.#numbers = numbers;
  }

  get size(): number {
    return this.#entries.size;
  }

  get(key: Float64Array): Remembered | undefined {
    const hash = hashOf(key);
    const entry = this.#entries.get(hash);
    if (!entry || !same(entry.key, key)) return undefined;
    this.#entries.delete(hash);
    this.#entries.set(hash, entry);
    return entry.value;
  }

  set(key: Float64Array, value: Remembered): void {
    if (key.length > this.#numbers) return;
    const hash = hashOf(key);
    this.#drop(hash);
    this.#entries.set(hash, { key: key.slice(), value });
    this.#held += key.length;
    for (const oldest of this.#entries.keys()) {
      if (this.#entries.size <= this.#capacity && this.#held <= this.#numbers) return;
      this.#drop(oldest);
    }
  }

  clear(): void {
    this.#entries.clear();
    this.#held = 0;
  }

  #drop(hash: number): void {
    this.#held -= this.#entries.get(hash)?.key.length ?? 0;
    this.#entries.delete(hash);
  }
}

/** NaN, which stands where something was no number, is never the same. */
function same(a: Float64Array, b: Float64Array): boolean {
  if (a.length !== b.length) return false;
  for (let k = 0; k < a.length; k++) if (a[k] !== b[k]) return false;
  return true;
}

/** FNV-1a over the 32-bit halves. */
function hashOf(key: Float64Array): number {
  const words = new Uint32Array(key.buffer, key.byteOffset, 2 * key.length);
  let hash = 0x811c9dc5;
  for (let k = 0; k < words.length; k++) hash = Math.imul(hash ^ words[k]!, 0x01000193);
  return hash;
}
