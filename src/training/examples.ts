/** Examples that can be asked for by their numbers: arrays, a data set, or a function of the caller's. */
import { must, whole } from "../arguments.js";
import { batchOf, type Dataset } from "../data/index.js";
import { ArgumentError, ShapeError } from "../errors.js";
import { type AnyBatch, type InputArray, type ModelBatch, mapInputs } from "../model/batch.js";
import type { DatasetBatch } from "../model/index.js";
import { GpuDataset, type ShuffledOrder } from "../resident/index.js";
import type { FitNetwork } from "./network.js";

/** Examples by their numbers, 0 … `count` − 1, for data too large to hold at once or made on the way. */
export interface IndexedExamples {
  readonly count: number;
  /** The examples `indices`, in that order. What it returns is used before it is asked again. */
  batch(indices: Uint32Array): ModelBatch | Promise<ModelBatch>;
}

/** All that is asked for by numbers: arrays of all examples, images with labels, a data set on the GPU, or a function. */
export type FitExamples = AnyBatch | Dataset | GpuDataset | IndexedExamples;

/** Examples by their numbers, of which it is known whether they come at once. */
export interface Examples extends IndexedExamples {
  /** `batch` promises nothing: it returns batches. */
  readonly immediate: boolean;
  /** Those in places start … end − 1 of an order, or as they come, where nobody has to look them up. */
  readonly range?: (start: number, end: number, order?: ShuffledOrder) => DatasetBatch;
}

/** Whether it is one of these, by the names that it has. */
export function isExamples(data: unknown): data is FitExamples {
  if (typeof data !== "object" || data === null || !("count" in data)) return false;
  return ("inputs" in data && "targets" in data) || isDataset(data) || isIndexed(data);
}

/**
 * Such data by numbers, checked as far as it is at hand.
 *
 * @param operand what it is, for messages
 * @throws ArgumentError, ShapeError or DataError for data that does not fit the network
 */
export function examplesOf(operand: string, data: FitExamples, net: FitNetwork): Examples {
  const { count } = data;
  must("fit", `${operand}.count`, count, { ...whole(1, 0xffffffff), words: "a positive integer" });
  if (data instanceof GpuDataset) {
    net.check?.(data, "fit");
    return {
      count,
      immediate: true,
      batch: (indices) => data.batch(indices),
      range: (...places) => data.range(...places),
    };
  }
  if (isIndexed(data)) return { count, batch: (indices) => data.batch(indices), immediate: false };
  if (!isDataset(data)) return arraysByNumber(operand, data, net);
  const { loss } = net;
  if (loss === undefined) {
    throw new ArgumentError("fit", operand, "must be arrays or a function, since the model names no loss");
  }
  // All of it was checked when it was made, but for the network: one example shows its sizes, the largest class the others.
  const largest = data.labels.reduce((best, label, i) => (label > data.labels[best]! ? i : best), 0);
  net.check?.(batchOf(data, [largest], loss), "fit");
  return { count, batch: (indices) => batchOf(data, indices, loss), immediate: true };
}

/** Some of the examples, numbered anew. */
export function subset(examples: Examples, numbers: Uint32Array): Examples {
  return {
    immediate: examples.immediate,
    count: numbers.length,
    batch: (indices) => examples.batch(indices.map((i) => numbers[i]!)),
  };
}

function isDataset(data: object): data is Dataset {
  return "images" in data && "labels" in data && "featureShape" in data;
}

function isIndexed(data: object): data is IndexedExamples {
  return "batch" in data && typeof data.batch === "function";
}

/** Rows of arrays, copied to arrays that are used again for the next batch. */
function arraysByNumber(operand: string, data: AnyBatch, net: FitNetwork): Examples {
  const { inputs, targets, count } = data;
  net.check?.(data, "fit");
  const gather = (array: InputArray, name: string): ((indices: Uint32Array) => InputArray) => {
    const width = array.length / count;
    if (!ArrayBuffer.isView(array) || !Number.isInteger(width) || width < 1) {
      throw new ShapeError("fit", `${operand}.${name}`, [array?.length ?? "?"], [count, "?"]);
    }
    let room = new (array.constructor as typeof Float32Array)(0) as InputArray;
    return (indices) => {
      const length = indices.length * width;
      if (room.length < length) room = new (array.constructor as typeof Float32Array)(length) as InputArray;
      copyRows(array, width, indices, room);
      return room.subarray(0, length);
    };
  };
  // The same inputs, with a function for every array.
  const gatherers = new Map<string | undefined, (indices: Uint32Array) => InputArray>();
  mapInputs(inputs, (array, name) => {
    gatherers.set(name, gather(array, name === undefined ? "inputs" : `inputs.${name}`));
    return array;
  });
  const gatherTargets = gather(targets, "targets");
  return {
    immediate: true,
    count,
    batch: (indices) => ({
      inputs: mapInputs(inputs, (_, name) => gatherers.get(name)!(indices)),
      targets: gatherTargets(indices),
      count: indices.length,
    }),
  };
}

function copyRows(from: InputArray, width: number, indices: Uint32Array, to: InputArray): void {
  if (width === 1) {
    for (let r = 0; r < indices.length; r++) to[r] = from[indices[r]!]!;
    return;
  }
  for (let r = 0; r < indices.length; r++) {
    const start = indices[r]! * width;
    to.set(from.subarray(start, start + width), r * width);
  }
}
