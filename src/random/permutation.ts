import { RandomStream, requireU32, STREAM_DOMAINS } from "./stream.js";

/** Rounds of the network: with 24 all orders of up to six numbers come equally often, and longer ones need no more. */
export const PERMUTATION_ROUNDS = 24;

/**
 * A permutation of 0 … n − 1 that says where any one number goes without a list of the others, a function of (n, seed, epoch)
 * alone: a Feistel network on the bits of the numbers below the next power of two (its halves differ by a bit where that has
 * an odd number of them), walked along until it arrives below n (Black and Rogaway, "Ciphers with arbitrary finite domains",
 * CT-RSA 2002; Mitchell et al., "Bandwidth-optimal random shuffling for GPUs", 2022). Round r changes one half by a hash of the other and
 * key r, a word of the stream of (seed, epoch). `shaders/gather.wgsl` does the same.
 */
export class Permutation {
  readonly n: number;
  /** A u32 for each round. */
  readonly keys: Uint32Array;
  /** Bits of the upper and of the lower half. */
  readonly bits: readonly [upper: number, lower: number];

  /** @throws ArgumentError for an n, seed or epoch that is not a u32. */
  constructor(n: number, seed: number, epoch: number) {
    requireU32("shuffle", "n", n);
    requireU32("shuffle", "epoch", epoch);
    const stream = new RandomStream(seed, epoch, STREAM_DOMAINS.shuffle);
    this.n = n;
    this.keys = Uint32Array.from({ length: PERMUTATION_ROUNDS }, () => stream.word());
    const bits = Math.max(2, 32 - Math.clz32(Math.max(0, n - 1)));
    this.bits = [bits >>> 1, bits - (bits >>> 1)];
  }

  /** The number in place `position`, below n. */
  at(position: number): number {
    const { keys, n, bits } = this;
    const lower = bits[1];
    const upperMask = 2 ** bits[0] - 1;
    const lowerMask = 2 ** lower - 1;
    let x = position;
    do {
      let high = x >>> lower;
      let low = x & lowerMask;
      for (let r = 0; r < PERMUTATION_ROUNDS; r += 2) {
        high ^= mix(low ^ keys[r]!) & upperMask;
        low ^= mix(high ^ keys[r + 1]!) & lowerMask;
      }
      x = ((high << lower) | low) >>> 0;
    } while (x >= n);
    return x;
  }

  /** The numbers in places start … end − 1. */
  slice(start: number, end: number): Uint32Array {
    const part = new Uint32Array(Math.max(0, end - start));
    for (let i = 0; i < part.length; i++) part[i] = this.at(start + i);
    return part;
  }
}

/** Murmur3's last step (Appleby): every bit of a u32 goes into every other. */
function mix(word: number): number {
  let x = word ^ (word >>> 16);
  x = Math.imul(x, 0x85ebca6b);
  x ^= x >>> 13;
  x = Math.imul(x, 0xc2b2ae35);
  return x ^ (x >>> 16);
}
