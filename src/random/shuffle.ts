import { Permutation } from "./permutation.js";

/**
 * A permutation of 0 … n − 1, a function of (n, seed, epoch) alone: `Permutation`, all of it.
 *
 * @throws ArgumentError for an n, seed or epoch that is not a u32.
 */
export function shuffle(n: number, seed: number, epoch: number): Uint32Array {
  return new Permutation(n, seed, epoch).slice(0, n);
}
