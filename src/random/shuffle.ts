import { RandomStream, requireU32, STREAM_DOMAINS } from "./stream.js";

/**
 * A permutation of 0 … n − 1 (Fisher–Yates from the end), a function of (n, seed, epoch) alone.
 *
 * @throws ArgumentError for an n, seed or epoch that is not a u32.
 */
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
