/**
 * Counter-based random numbers: Threefry-2x32 with 20 rounds (Salmon et al., "Parallel random numbers: as easy as
 * 1, 2, 3", SC 2011), bit for bit as in Random123 and JAX. A number is a function of its key and counter, never of the
 * order of calls, so a CPU and a GPU draw the same bits.
 *
 * Who uses which (key; counter):
 * - Monte-Carlo targets (loss.ts): key (seed, step); counter (index, sample) with sample < 2³¹.
 * - `RandomStream`: key (seed, stream); counter (draw index, domain) with domain ≥ 2³¹, so it never meets the above.
 */
import { ArgumentError } from "../errors.js";

const ROTATIONS = [13, 15, 26, 6, 17, 29, 16, 24] as const;
const PARITY = 0x1bd11bda;

/** Two u32 words for the u32 key (k0, k1) and the u32 counter (c0, c1). Other numbers are taken modulo 2³². */
export function threefry2x32(k0: number, k1: number, c0: number, c1: number): [number, number] {
  const keys = [k0 | 0, k1 | 0, (k0 ^ k1 ^ PARITY) | 0] as const;
  let x0 = (c0 + keys[0]) | 0;
  let x1 = (c1 + keys[1]) | 0;
  for (let group = 0; group < 5; group++) {
    for (let round = 0; round < 4; round++) {
      const turn = ROTATIONS[(group % 2) * 4 + round]!;
      x0 = (x0 + x1) | 0;
      x1 = ((x1 << turn) | (x1 >>> (32 - turn))) ^ x0;
    }
    x0 = (x0 + keys[(group + 1) % 3]!) | 0;
    x1 = (x1 + keys[(group + 2) % 3]! + group + 1) | 0;
  }
  return [x0 >>> 0, x1 >>> 0];
}

/**
 * A u32 word to a number in the open interval (0, 1): ((bits >>> 9) + ½)·2⁻²³. Exact in f32 too, so that a GPU draws the
 * same numbers, not only the same bits.
 */
export function uniform(bits: number): number {
  return ((bits >>> 9) + 0.5) * 2 ** -23;
}

/** Two independent standard normal numbers from two u32 words (Box–Muller): the cosine branch, then the sine branch. */
export function normalPair(word0: number, word1: number): [number, number] {
  const radius = Math.sqrt(-2 * Math.log(uniform(word0)));
  const angle = 2 * Math.PI * uniform(word1);
  return [radius * Math.cos(angle), radius * Math.sin(angle)];
}

/** What a stream is for; streams of different purpose never share a counter. */
export const STREAM_DOMAINS = { general: 0x80000000, shuffle: 0x80000001, weights: 0x80000002 } as const;

/** A sequence of draws for one seed: word i is word i mod 2 of Threefry at counter (⌊i/2⌋, domain). */
export class RandomStream {
  readonly #seed: number;
  readonly #stream: number;
  readonly #domain: number;
  #block = 0;
  #spareWord: number | undefined;
  #spareNormal: number | undefined;

  /** `seed` and `stream` (a layer, an epoch) are u32 and make the key. */
  constructor(seed: number, stream = 0, domain: number = STREAM_DOMAINS.general) {
    requireU32("RandomStream", "seed", seed);
    requireU32("RandomStream", "stream", stream);
    this.#seed = seed;
    this.#stream = stream;
    this.#domain = domain;
  }

  /** The next u32 word. */
  word(): number {
    if (this.#spareWord !== undefined) {
      const word = this.#spareWord;
      this.#spareWord = undefined;
      return word;
    }
    const [w0, w1] = threefry2x32(this.#seed, this.#stream, this.#block++, this.#domain);
    this.#spareWord = w1;
    return w0;
  }

  /** Uniform in (0, 1). */
  uniform(): number {
    return uniform(this.word());
  }

  /** Standard normal. */
  normal(): number {
    if (this.#spareNormal !== undefined) {
      const value = this.#spareNormal;
      this.#spareNormal = undefined;
      return value;
    }
    const [first, second] = normalPair(this.word(), this.word());
    this.#spareNormal = second;
    return first;
  }

  /** Uniform integer in [0, bound), without bias (words past the last whole multiple of `bound` are drawn again). */
  integer(bound: number): number {
    if (!Number.isInteger(bound) || bound < 1 || bound > 2 ** 32) {
      throw new ArgumentError(
        "RandomStream.integer",
        "bound",
        `must be an integer from 1 to 2³², got ${bound}`,
      );
    }
    const limit = 2 ** 32 - (2 ** 32 % bound);
    for (;;) {
      const word = this.word();
      if (word < limit) return word % bound;
    }
  }
}

/** A permutation of 0 … n − 1 (Fisher–Yates from the end), a function of (n, seed, epoch) alone. */
export function shuffle(n: number, seed: number, epoch: number): Uint32Array {
  requireU32("shuffle", "n", n);
  requireU32("shuffle", "epoch", epoch);
  const stream = new RandomStream(seed, epoch, STREAM_DOMAINS.shuffle);
  const order = Uint32Array.from({ length: n }, (_, i) => i);
  for (let i = n - 1; i > 0; i--) {
    const j = stream.integer(i + 1);
    const held = order[i]!;
    order[i] = order[j]!;
    order[j] = held;
  }
  return order;
}

function requireU32(operation: string, argument: string, value: number): void {
  if (!Number.isInteger(value) || value < 0 || value > 0xffffffff) {
    throw new ArgumentError(operation, argument, `must be an integer from 0 to 2³² − 1, got ${value}`);
  }
}
