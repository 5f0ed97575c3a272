import { must, OBJECT, shown } from "../arguments.js";
import { ArgumentError } from "../errors.js";
import { copyBatch, type ModelBatch } from "../model/batch.js";

/** What a step takes: a batch, or a list of micro-batches that together are one. */
export type StepBatch = ModelBatch | readonly ModelBatch[];

/** One pass's part of a step's batch. */
export interface MicroBatch {
  readonly batch: ModelBatch;
  /** Number of its first example in the whole. */
  readonly first: number;
  /** Its part of the whole's examples. */
  readonly share: number;
}

/** The batch of a step in parts, of which the largest comes last: what is measured in its pass is measured on most examples. */
export interface MicroBatches {
  /** Of the whole. */
  readonly examples: number;
  readonly parts: readonly MicroBatch[];
}

/**
 * @param refusal why there may be no more than one, for people
 * @throws ArgumentError for what is no batch, an empty list, or a list where there may be none; what is in batches is for the
 *   model to refuse
 */
export function microBatchesOf(optimizer: string, given: unknown, refusal?: string): MicroBatches {
  const operation = `${optimizer}.step`;
  if (!Array.isArray(given)) {
    requireObject(operation, "batch", given);
    return { examples: given.count, parts: [{ batch: given, first: 0, share: 1 }] };
  }
  if (given.length === 0) throw new ArgumentError(operation, "batch", "must hold a batch, got an empty list");
  if (given.length > 1 && refusal !== undefined) {
    throw new ArgumentError(
      operation,
      "batch",
      `must be one batch, not a list of ${given.length}: ${refusal}`,
    );
  }
  let examples = 0;
  const list = Array.from(given, (batch: unknown, index) => {
    requireObject(operation, `batch[${index}]`, batch);
    const { count } = batch;
    if (!(Number.isSafeInteger(count) && count >= 1)) {
      const problem = `must be a whole number of at least 1, got ${shown(count)}`;
      throw new ArgumentError(operation, `batch[${index}].count`, problem);
    }
    const first = examples;
    examples += count;
    return { batch, first };
  });
  const parts = list.map((part) => ({ ...part, share: part.batch.count / examples }));
  const largest = parts.reduce((best, part) => (part.share > best.share ? part : best));
  return { examples, parts: [...parts.filter((part) => part !== largest), largest] };
}

/** In memory of their own. */
export function copyMicroBatches({ examples, parts }: MicroBatches): MicroBatches {
  return { examples, parts: parts.map((part) => ({ ...part, batch: copyBatch(part.batch) })) };
}

function requireObject(operation: string, operand: string, value: unknown): asserts value is ModelBatch {
  must(operation, operand, value, {
    ...OBJECT,
    holds: (batch) => typeof batch === "object" && batch !== null,
  });
}
