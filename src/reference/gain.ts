/** How careful K-FAC's steps are, by what they gain: `shaders/source/pieces/gain.wgsl`, which says why. */
const LONG = 0.15;
const CLEAR = 0.1;
const LEAST = 1 / 3;
const PLAIN = 0.025;
const LEAST_SHARE = 0.25;

/** What a batch leaves of the promise of a step it has not seen: the slope where that began, and of long steps the fall of the loss. */
export function gainAbove(slope: number, bend: number, rate: number): number {
  return slope + (1 - 0.5 * Math.min(1, rate / LONG)) * bend;
}

/** Least share of their length that steps are shortened to. */
export function leastLength(gain: number): number {
  return Math.min(Math.max(Math.sqrt(Math.max(gain, 0) / CLEAR), LEAST), 1);
}

/** What of λ's share of the loss is taken: less where steps gain. */
export function dampingShare(gain: number): number {
  return Math.max(PLAIN / Math.max(gain, PLAIN), LEAST_SHARE);
}
