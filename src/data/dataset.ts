/** Labelled examples in memory, and deterministic shuffled batches of them. */
import {
  instanceOf,
  must,
  NUMBERS,
  OBJECT,
  objectLike,
  optionsOf,
  type Rule,
  SIZE,
  shown,
  U32,
  whole,
} from "../arguments.js";
import { ArgumentError, DataError, ShapeError } from "../errors.js";
import { shuffle } from "../random/index.js";
import type { IdxArray } from "./idx.js";

/** Images (or other feature vectors) with a class each. */
export interface Dataset {
  /** Number of examples. */
  count: number;
  /** Numbers per example. */
  features: number;
  /** Sizes of one example, for instance [28, 28]; their product is `features`. */
  featureShape: number[];
  /** Number of classes: the largest label + 1, or as given. */
  classes: number;
  /** count · features numbers, one example after the other: bytes 0…255, or floats taken as they are. */
  images: Uint8Array | Float32Array;
  /** One class per example. */
  labels: Uint8Array;
}

const CLASSES = { ...whole(1, 256), words: "an integer from 1 to 256" };
const DATASET = objectLike("labelled images, as imageDataset makes them");
const LABELS = instanceOf(Uint8Array);
const IMAGES: Rule = {
  words: "a Uint8Array or a Float32Array",
  holds: (value) => value instanceof Uint8Array || value instanceof Float32Array,
};
const IDX_ARRAY: Rule = {
  words: "{ shape, data } with a list and an array of numbers, as parseIdx returns",
  holds: (value) => {
    if (!OBJECT.holds(value)) return false;
    const { shape, data } = value as Partial<IdxArray>;
    return (
      Array.isArray(shape) && shape.every((size) => SIZE.holds(size) || size === 0) && NUMBERS.holds(data)
    );
  },
};

/**
 * Joins an array of images (count × …) and an array of labels (count), as `parseIdx` returns them. u8 images stay
 * bytes, other types become f32.
 *
 * @throws DataError when the counts differ, there is no example, an image holds a number that is not finite in f32, or a
 *   label is not a class from 0 to `classes` − 1 (255 at most); ArgumentError for a bad `classes`
 */
export function imageDataset(
  images: IdxArray,
  labels: IdxArray,
  options: { classes?: number } = {},
): Dataset {
  const given = optionsOf("imageDataset", { classes: CLASSES }, options);
  requireElements("images", images);
  requireElements("labels", labels);
  const [count = 0, ...featureShape] = images.shape;
  const labelCount = labels.shape[0] ?? 0;
  if (labels.shape.length !== 1) {
    throw new DataError("labels", `have ${labels.shape.length} dimensions; pass one label per image`, {
      actual: labels.shape.length,
      expected: 1,
    });
  }
  if (count !== labelCount) {
    throw new DataError(
      "labels",
      `count ${labelCount} and there are ${count} images; pass one label per image`,
      {
        actual: labelCount,
        expected: count,
      },
    );
  }
  const features = featureShape.reduce((a, b) => a * b, 1);
  if (count < 1 || features < 1) {
    throw new DataError(
      "images",
      `have shape ${images.shape.join(" × ")}; pass at least one image with one pixel`,
      {
        actual: count * features,
        expected: 1,
      },
    );
  }
  const limit = given.classes ?? 256;
  let largest = 0;
  labels.data.forEach((label, i) => {
    if (!(Number.isInteger(label) && label >= 0 && label < limit)) {
      throw new DataError("labels", `hold ${label} at index ${i}; pass classes from 0 to ${limit - 1}`, {
        actual: label,
        expected: limit - 1,
      });
    }
    largest = Math.max(largest, label);
  });
  return {
    count,
    features,
    featureShape,
    classes: given.classes ?? largest + 1,
    images: images.data instanceof Uint8Array ? images.data : finiteFloats(images.data, features),
    labels: Uint8Array.from(labels.data),
  };
}

/**
 * The sizes and arrays of a data set, not what is in them.
 *
 * @throws ArgumentError for what is none, ShapeError for an array that does not hold as many examples
 */
export function requireDataset(operation: string, data: Dataset): Dataset {
  must(operation, "data", data, DATASET);
  const { count, features, classes, images, labels } = data;
  for (const [name, size] of Object.entries({ count, features, classes })) {
    must(operation, `data.${name}`, size, SIZE);
  }
  must(operation, "data.images", images, IMAGES);
  must(operation, "data.labels", labels, LABELS);
  for (const [name, array, size] of [
    ["images", images, features],
    ["labels", labels, 1],
  ] as const) {
    if (array.length === count * size) continue;
    throw new ShapeError(
      operation,
      `data.${name}`,
      [array.length],
      [count * size],
      `it holds ${count} × ${size}`,
    );
  }
  return data;
}

function requireElements(name: string, array: IdxArray): void {
  must("imageDataset", name, array, IDX_ARRAY);
  const expected = array.shape.reduce((a, b) => a * b, 1);
  if (array.shape.length === 0 || array.data.length !== expected) {
    throw new DataError(
      name,
      `hold ${array.data.length} numbers and shape ${array.shape.join(" × ") || "(none)"} needs ${expected}; pass a shape that fits`,
      { actual: array.data.length, expected },
    );
  }
}

function finiteFloats(data: IdxArray["data"], features: number): Float32Array {
  const out = Float32Array.from(data);
  out.forEach((x, k) => {
    if (!Number.isFinite(x)) {
      const at = `image ${Math.floor(k / features)}, feature ${k % features}`;
      throw new DataError("images", `hold ${data[k]} in ${at}; pass numbers that are finite in f32`, {
        actual: data[k],
      });
    }
  });
  return out;
}

/**
 * Copies the examples `indices` to `out`, one after the other, and their classes to `outLabels`. Bytes become
 * value/255 in [0, 1]; floats are copied. `out` holds at least indices.length · features numbers, `outLabels` at least
 * indices.length. Nothing is written when an argument is wrong.
 *
 * @throws ShapeError when an array is too short, ArgumentError for an index that is not one of an example
 */
export function gather(
  dataset: Dataset,
  indices: ArrayLike<number>,
  out: Float32Array,
  outLabels: Uint32Array,
): void {
  const { features, images, labels, count } = requireDataset("gather", dataset);
  must("gather", "indices", indices, NUMBERS);
  must("gather", "out", out, instanceOf(Float32Array));
  must("gather", "outLabels", outLabels, instanceOf(Uint32Array));
  if (out.length < indices.length * features) {
    throw new ShapeError(
      "gather",
      "out",
      [out.length],
      [indices.length * features],
      "make room for the whole batch",
    );
  }
  if (outLabels.length < indices.length) {
    throw new ShapeError(
      "gather",
      "outLabels",
      [outLabels.length],
      [indices.length],
      "make room for the whole batch",
    );
  }
  for (let r = 0; r < indices.length; r++) {
    const i = indices[r]!;
    if (!(Number.isInteger(i) && i >= 0 && i < count)) {
      throw new ArgumentError(
        "gather",
        `indices[${r}]`,
        `must be an integer from 0 to ${count - 1}, got ${shown(i)}`,
      );
    }
  }
  for (let r = 0; r < indices.length; r++) {
    const i = indices[r]!;
    outLabels[r] = labels[i]!;
    const example = images.subarray(i * features, (i + 1) * features);
    if (example instanceof Float32Array) out.set(example, r * features);
    else for (let k = 0; k < features; k++) out[r * features + k] = example[k]! / 255;
  }
}

/**
 * Shuffled index batches of one epoch: every example once, in batches of `batchSize` with a shorter last one where it
 * does not divide `count`. A function of its arguments alone.
 *
 * @throws ArgumentError for sizes below 1, and a seed or epoch that is not a u32
 */
export function batches(
  count: number,
  batchSize: number,
  seed: number,
  epoch: number,
): Generator<Uint32Array, void, undefined> {
  must("batches", "count", count, SIZE);
  must("batches", "batchSize", batchSize, SIZE);
  must("batches", "seed", seed, U32);
  must("batches", "epoch", epoch, U32);
  // A generator would refuse nothing before it is asked for its first batch.
  return batchesOf(count, batchSize, seed, epoch);
}

function* batchesOf(count: number, batchSize: number, seed: number, epoch: number) {
  const order = shuffle(count, seed, epoch);
  for (let start = 0; start < count; start += batchSize) yield order.subarray(start, start + batchSize);
}
