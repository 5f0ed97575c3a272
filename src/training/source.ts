/** The batches of a run, epoch by epoch. */
import { DataError } from "../errors.js";
import type { StepBatch } from "../optimizers/index.js";
import { Permutation } from "../random/index.js";
import type { Examples } from "./examples.js";

/** Batches one after another: an array of them, a generator, a stream. A list of micro-batches among them is one step's. */
export type BatchSequence =
  | Iterable<StepBatch>
  | AsyncIterable<StepBatch>
  | Iterator<StepBatch>
  | AsyncIterator<StepBatch>;

/** Batches of one epoch on their way. */
export interface OpenEpoch {
  /** The next batch; undefined where there is none. */
  next(): StepBatch | undefined | Promise<StepBatch | undefined>;
  /** Nothing more is asked for. */
  close(): void;
}

/** Where batches come from. */
export interface Source {
  /** Steps of an epoch; undefined where only its end shows. */
  readonly stepsPerEpoch: number | undefined;
  /** Whether there may be an epoch after one that ended by itself. */
  readonly repeats: boolean;
  /** The batches of epoch `epoch`, 1 for the first, without the first `skip`. */
  open(epoch: number, skip: number): OpenEpoch;
}

/** How examples become batches. */
export interface Batching {
  readonly batchSize: number;
  readonly shuffle: boolean;
  readonly seed: number;
  readonly dropLast: boolean;
}

/** Every example once an epoch. The order follows from the number of examples, the seed and the epoch alone. */
export function examplesSource(examples: Examples, { batchSize, shuffle, seed, dropLast }: Batching): Source {
  const { count } = examples;
  const stepsPerEpoch = dropLast ? Math.floor(count / batchSize) : Math.ceil(count / batchSize);
  return {
    stepsPerEpoch,
    repeats: true,
    open(epoch, skip) {
      // Epochs count from 0 where random numbers are drawn.
      const order = { seed, epoch: epoch - 1 };
      let permutation: Permutation | undefined;
      const numbers = (start: number, end: number) => {
        if (!shuffle) return Uint32Array.from({ length: end - start }, (_, i) => start + i);
        permutation ??= new Permutation(count, seed, epoch - 1);
        return permutation.slice(start, end);
      };
      let step = skip;
      const next = () => {
        if (step >= stepsPerEpoch) return undefined;
        const start = batchSize * step++;
        const end = Math.min(start + batchSize, count);
        if (examples.range) return examples.range(start, end, shuffle ? order : undefined);
        return examples.batch(numbers(start, end));
      };
      return { next, close: () => {} };
    },
  };
}

/** Whether it can be gone through. */
export function isSequence(data: unknown): data is BatchSequence {
  if (typeof data !== "object" || data === null || ArrayBuffer.isView(data)) return false;
  return Symbol.iterator in data || Symbol.asyncIterator in data || isIterator(data);
}

/** An iterator, such as a running generator, goes by once; whatever makes iterators starts again each epoch. */
export function isIterator(data: unknown): data is Iterator<StepBatch> | AsyncIterator<StepBatch> {
  return typeof data === "object" && data !== null && "next" in data && typeof data.next === "function";
}

/** The caller's own batches, as they come. */
export function sequenceSource(
  data: BatchSequence | ((epoch: number) => BatchSequence | Promise<BatchSequence>),
  stepsPerEpoch: number | undefined,
): Source {
  const once = isIterator(data);
  return {
    stepsPerEpoch,
    repeats: !once,
    open(epoch, skip) {
      let iterator: Iterator<StepBatch> | AsyncIterator<StepBatch> | undefined;
      let closed = false;
      const begin = async () => {
        const begun = iteratorOf(typeof data === "function" ? await data(epoch) : data, epoch);
        iterator = begun;
        // An iterator stands where the run goes on.
        for (let k = 0; k < skip && !once && !closed; k++) {
          if ((await begun.next()).done) return undefined;
        }
        if (closed) return undefined;
        return batchIn(await begun.next());
      };
      return {
        next() {
          if (!iterator) return begin();
          const result = iterator.next();
          return "then" in result ? result.then(batchIn) : batchIn(result);
        },
        close() {
          closed = true;
          if (once) return;
          // Nobody waits for it; it may be about to fail, or to hang.
          const end = async () => iterator?.return?.();
          end().catch(() => {});
        },
      };
    },
  };
}

/** @throws DataError for what is no sequence, such as what a caller's function may return */
function iteratorOf(sequence: unknown, epoch: number): Iterator<StepBatch> | AsyncIterator<StepBatch> {
  if (!isSequence(sequence)) {
    const actual = Object.prototype.toString.call(sequence).slice(8, -1);
    throw new DataError("data", `gave ${actual} for epoch ${epoch}; return an iterable of batches`);
  }
  if (isIterator(sequence)) return sequence;
  return Symbol.asyncIterator in sequence
    ? sequence[Symbol.asyncIterator]()
    : (sequence as Iterable<StepBatch>)[Symbol.iterator]();
}

function batchIn({ done, value }: IteratorResult<StepBatch>): StepBatch | undefined {
  return done ? undefined : value;
}
