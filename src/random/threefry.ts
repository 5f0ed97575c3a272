/**
 * Counter-based random numbers: Threefry-2x32 with 20 rounds (Salmon et al., "Parallel random numbers: as easy as
 * 1, 2, 3", SC 2011), bit for bit as in Random123 and JAX. A number is a function of its key and counter, never of the
 * order of calls, so a CPU and a GPU draw the same bits.
 *
 * Who uses which (key; counter), all u32:
 * - Monte-Carlo targets (src/reference/loss.ts, shaders/loss.wgsl): key (seed, step), an optimiser's steps counted from 1;
 *   counter (index, sample) with the sample below 2³¹ and the index an example's, or example · outputs + output.
 * - `RandomStream` (stream.ts): key (seed, stream); counter (⌊word / 2⌋, domain) with a domain of at least 2³¹, so that it
 *   never meets the above. Of its domains, `shuffle` has the epoch for a stream (shuffle.ts), `weights` the index of the
 *   layer (initial-weights.ts), `general` what the caller says (made-up images, random problems).
 * - Matrices of signs that estimate an operator's norm (src/curvature/approximations/probes.ts): key (0, 0); counter
 *   (element, probe). They share words with Monte-Carlo targets of the key (0, 0), which no optimiser's step has.
 */
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
