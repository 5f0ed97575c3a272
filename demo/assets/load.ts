// The digits, fetched.
import type { Examples } from "./batches.js";
import { type DigitSet, type Digits, images, readDigits } from "./digits.js";

/** @throws DigitsError, or what `fetch` throws */
export async function fetchDigits(signal: AbortSignal): Promise<Digits> {
  const response = await fetch(new URL("./digits.dat", import.meta.url), { signal });
  if (!response.ok) throw new Error(`The digits did not arrive: ${response.status} ${response.statusText}`);
  return readDigits(new Uint8Array(await response.arrayBuffer()));
}

/** Digits as the networks take them, made smaller by `shrink` along each side. */
export function examplesOf({ count, pixels, labels }: DigitSet, digits: Digits, shrink: number): Examples {
  const inputs = images(pixels, digits, shrink);
  return { count, features: inputs.length / count, inputs, labels: Uint32Array.from(labels) };
}
