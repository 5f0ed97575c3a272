import { must, U32 } from "../arguments.js";
import { ArgumentError } from "../errors.js";
import { normalPair, threefry2x32, uniform } from "./threefry.js";

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

  /**
   * `seed` and `stream` (a layer, an epoch) are u32 and make the key; `stream` defaults to 0, `domain` to the general one.
   *
   * @throws ArgumentError for a seed or stream that is not a u32.
   */
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

  /**
   * Uniform integer in [0, bound), without bias (words past the last whole multiple of `bound` are drawn again).
   *
   * @throws ArgumentError unless `bound` is an integer from 1 to 2³².
   */
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

/** @throws ArgumentError unless `value` is an integer from 0 to 2³² − 1. */
export function requireU32(operation: string, argument: string, value: number): void {
  must(operation, argument, value, U32);
}
