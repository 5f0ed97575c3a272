import { must, oneOf } from "../../arguments.js";
import { FeatureError } from "../../errors.js";
import type { PipelineManager } from "../../pipeline/index.js";

/** What the inputs of products may be rounded to. */
export const PRECISIONS = ["f32", "f16"] as const;

/**
 * What the inputs of a product are rounded to. Products and sums are of f32 either way, and so is everything in memory.
 *
 * `"f16"` rounds each number to 11 bits, the nearest, times a power of two of its matrix's that brings the largest into the range of f16.
 * So nothing overflows, and nothing vanishes but what is some 2²⁸ times as small as the largest; beside that a sum of products
 * errs by 2⁻¹⁰ Σ|a||b| at most, and by the rounding of f32. It needs the feature `shader-f16`.
 */
export type Precision = (typeof PRECISIONS)[number];

/** Either of them. */
export const PRECISION = oneOf(...PRECISIONS);

/** @throws ArgumentError for another word, FeatureError for `"f16"` where the device has none */
export function requirePrecision(
  operation: string,
  { handle }: Pick<PipelineManager, "handle">,
  precision: Precision | undefined,
  argument = "precision",
): void {
  if (precision !== undefined) must(operation, argument, precision, PRECISION);
  if (precision !== "f16" || handle.capabilities.f16) return;
  throw new FeatureError(operation, `${argument} "f16"`, "shader-f16", `leave ${argument} at "f32"`);
}
