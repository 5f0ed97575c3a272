/** Data that is not trained on: how it is split off, and what the network says of it. */
import { AbortedError, ArgumentError } from "../errors.js";
import type { ModelBatch } from "../model/index.js";
import type { Evaluation } from "../network/index.js";
import { shuffle } from "../random/index.js";
import { GpuDataset } from "../resident/index.js";
import { type Examples, examplesOf, type FitExamples, subset } from "./examples.js";
import type { FitNetwork } from "./network.js";

/** Mean loss and accuracy of the network as it is. */
export type Validation = (signal?: AbortSignal) => Promise<Evaluation>;

/** The order that the split is made by: that of an epoch which never comes. */
const SPLIT = 0xffffffff;

/**
 * @param chunk examples that are asked for at a time, where the network does not choose
 * @throws ArgumentError when the model cannot be evaluated; ArgumentError, ShapeError or DataError for data that does not fit it
 */
export function validationOf(data: FitExamples, net: FitNetwork, chunk: number): Validation {
  const examples = examplesOf("validation", data, net);
  requireEvaluate(net);
  // Whole arrays, and data sets on the GPU, are the network's to cut up.
  if (data instanceof GpuDataset || "inputs" in data) return (signal) => net.evaluate!(data, { signal });
  return validationBy(examples, net, chunk);
}

/** The same for examples that were checked. @throws ArgumentError when the model cannot be evaluated */
export function validationBy(examples: Examples, net: FitNetwork, chunk: number): Validation {
  requireEvaluate(net);
  const { count, immediate } = examples;
  const batch = (start: number, end: number) =>
    examples.batch(Uint32Array.from({ length: end - start }, (_, i) => start + i));
  if (immediate)
    return (signal) =>
      net.evaluate!(batch as (start: number, end: number) => ModelBatch, { total: count, signal });
  return async (signal) => {
    let [loss, right] = [0, 0];
    for (let start = 0; start < count; start += chunk) {
      if (signal?.aborted) throw new AbortedError("fit", signal.reason);
      const part = await net.evaluate!(await batch(start, Math.min(start + chunk, count)), { signal });
      loss += part.loss * part.count;
      right += part.accuracy * part.count;
    }
    return { loss: loss / count, accuracy: right / count, count };
  };
}

/**
 * The examples to train on, and those to keep: the nearest whole number to `share` of them, but at least one of each. Which they
 * are follows from their number and the seed alone.
 *
 * @throws ArgumentError when there are fewer than two
 */
export function split(examples: Examples, share: number, seed: number): readonly [Examples, Examples] {
  const { count } = examples;
  if (count < 2) {
    throw new ArgumentError(
      "fit",
      "validation",
      "cannot be a share of one example; pass examples or leave it out",
    );
  }
  const kept = Math.min(count - 1, Math.max(1, Math.round(share * count)));
  const order = shuffle(count, seed, SPLIT);
  return [subset(examples, order.slice(kept).sort()), subset(examples, order.slice(0, kept).sort())];
}

function requireEvaluate(net: FitNetwork): void {
  if (typeof net.evaluate === "function") return;
  throw new ArgumentError("fit", "validation", "needs a network that can evaluate; leave it out");
}
