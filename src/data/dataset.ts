/** Labelled examples in memory, and deterministic shuffled batches of them. */
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
  const limit = options.classes ?? 256;
  if (!(Number.isInteger(limit) && limit >= 1 && limit <= 256)) {
    throw new ArgumentError("imageDataset", "classes", `must be an integer from 1 to 256, got ${limit}`);
  }
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
    classes: options.classes ?? largest + 1,
    images: images.data instanceof Uint8Array ? images.data : finiteFloats(images.data, features),
    labels: Uint8Array.from(labels.data),
  };
}

function requireElements(name: string, array: IdxArray): void {
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
  const { features, images, labels, count } = dataset;
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
        `must be an integer from 0 to ${count - 1}, got ${i}`,
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
 * @throws ArgumentError for sizes below 1
 */
export function* batches(
  count: number,
  batchSize: number,
  seed: number,
  epoch: number,
): Generator<Uint32Array, void, undefined> {
  for (const [name, value] of [
    ["count", count],
    ["batchSize", batchSize],
  ] as const) {
    if (!(Number.isInteger(value) && value >= 1)) {
      throw new ArgumentError("batches", name, `must be a positive integer, got ${value}`);
    }
  }
  const order = shuffle(count, seed, epoch);
  for (let start = 0; start < count; start += batchSize) yield order.subarray(start, start + batchSize);
}
