import { must, oneOf, optionsOf, type Rules, SIZE, U32 } from "../arguments.js";
import type { FisherOptions } from "../model/index.js";

const KIND = oneOf("exact", "monteCarlo", "empirical");
const OPTIONS: Rules<FisherOptions> = { kind: KIND, samples: SIZE, seed: U32, step: U32, first: U32 };

/**
 * Columns of Bᵢ that are propagated beside the gradient: one per output, one per sample, or none.
 *
 * @throws ArgumentError for an unknown kind or option, or samples, seed, step or first out of range.
 */
export function fisherColumns(
  operation: string,
  options: FisherOptions | undefined,
  outputs: number,
): number {
  if (options === undefined) return 0;
  const { kind, samples = 1 } = optionsOf(operation, OPTIONS, options, "fisher");
  must(operation, "fisher.kind", kind, KIND);
  if (kind === "exact") return outputs;
  return kind === "monteCarlo" ? samples : 0;
}
