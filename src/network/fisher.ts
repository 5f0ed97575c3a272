import { ArgumentError } from "../errors.js";
import { requireSize } from "../layers/sizes.js";
import type { FisherOptions } from "../model/index.js";

/**
 * Columns of Bᵢ that are propagated beside the gradient: one per output, one per sample, or none.
 *
 * @throws ArgumentError for an unknown kind, or samples, seed, step or first out of range.
 */
export function fisherColumns(
  operation: string,
  options: FisherOptions | undefined,
  outputs: number,
): number {
  if (!options) return 0;
  const { kind, samples = 1, seed = 0, step = 0, first = 0 } = options;
  switch (kind) {
    case "exact":
      return outputs;
    case "empirical":
      return 0;
    case "monteCarlo":
      requireSize(operation, "samples", samples);
      for (const [name, value] of Object.entries({ seed, step, first })) {
        if (!(Number.isInteger(value) && value >= 0 && value <= 0xffffffff)) {
          throw new ArgumentError(operation, name, `must be an integer from 0 to 2³² − 1, got ${value}`);
        }
      }
      return samples;
    default:
      throw new ArgumentError(
        operation,
        "fisher.kind",
        `must be "exact", "monteCarlo" or "empirical", got ${JSON.stringify(kind)}`,
      );
  }
}
