import { describe, expect, it } from "vitest";
import { batches, gather, type IdxArray, imageDataset } from "../../src/data/index.js";
import { ArgumentError, DataError, ShapeError } from "../../src/errors.js";

const images: IdxArray = { shape: [3, 1, 2], data: Uint8Array.from([0, 255, 51, 102, 1, 2]) };
const labels: IdxArray = { shape: [3], data: Uint8Array.from([1, 0, 4]) };

describe("imageDataset", () => {
  it("joins images and labels", () => {
    const set = imageDataset(images, labels);
    expect(set).toMatchObject({ count: 3, features: 2, featureShape: [1, 2], classes: 5 });
    expect(set.images).toBeInstanceOf(Uint8Array);
    expect(imageDataset(images, labels, { classes: 10 }).classes).toBe(10);
  });

  it("refuses counts that differ, empty data, shapes that lie, labels out of range", () => {
    const two: IdxArray = { shape: [2], data: Uint8Array.from([1, 0]) };
    expect(() => imageDataset(images, two)).toThrow(/labels: count 2 and there are 3 images/);
    const none: IdxArray = { shape: [0, 2], data: new Uint8Array(0) };
    expect(() => imageDataset(none, { shape: [0], data: new Uint8Array(0) })).toThrow(DataError);
    expect(() => imageDataset({ shape: [3, 0], data: new Uint8Array(0) }, labels)).toThrow(DataError);
    expect(() => imageDataset({ shape: [3, 4], data: images.data }, labels)).toThrow(/hold 6 numbers/);
    expect(() => imageDataset(images, { shape: [3, 1], data: labels.data })).toThrow(DataError);
    expect(() => imageDataset(images, labels, { classes: 4 })).toThrow(/hold 4 at index 2/);
    expect(() => imageDataset(images, { shape: [3], data: Int8Array.from([0, -1, 0]) })).toThrow(DataError);
    expect(() => imageDataset(images, labels, { classes: 0 })).toThrow(ArgumentError);
  });

  it("refuses non-finite floats and what f32 turns into infinity", () => {
    const good: IdxArray = { shape: [3, 1], data: Float64Array.from([0.5, -3, 1e30]) };
    expect(imageDataset(good, labels).images).toEqual(Float32Array.from([0.5, -3, 1e30]));
    for (const bad of [Number.NaN, Number.POSITIVE_INFINITY, 1e39]) {
      const data = Float64Array.from([0, bad, 0]);
      expect(() => imageDataset({ shape: [3, 1], data }, labels)).toThrow(/image 1, feature 0/);
    }
  });
});

describe("gather", () => {
  const set = imageDataset(images, labels);

  it("scales bytes to [0, 1] and follows the indices", () => {
    const out = new Float32Array(5).fill(9);
    const classes = new Uint32Array(2);
    gather(set, [1, 0], out, classes);
    expect(Array.from(out)).toEqual([Math.fround(0.2), Math.fround(0.4), 0, 1, 9]);
    expect(Array.from(classes)).toEqual([0, 1]);
  });

  it("writes nothing when an index or a size is wrong", () => {
    const out = new Float32Array(4).fill(9);
    const classes = new Uint32Array(2).fill(9);
    expect(() => gather(set, [0, 3], out, classes)).toThrow(ArgumentError);
    expect(() => gather(set, [0, 0.5], out, classes)).toThrow(ArgumentError);
    expect(() => gather(set, [0, 1, 2], out, classes)).toThrow(ShapeError);
    expect(() => gather(set, [0, 1], out, new Uint32Array(1))).toThrow(ShapeError);
    expect(Array.from(out)).toEqual([9, 9, 9, 9]);
    expect(Array.from(classes)).toEqual([9, 9]);
  });
});

describe("batches", () => {
  it("visits every example once and keeps the short last batch", () => {
    const epoch = [...batches(10, 4, 1, 0)];
    expect(epoch.map((b) => b.length)).toEqual([4, 4, 2]);
    expect(epoch.flatMap((b) => [...b]).sort((a, b) => a - b)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    expect([...batches(10, 4, 1, 0)]).toEqual(epoch);
    expect([...batches(10, 4, 1, 1)]).not.toEqual(epoch);
    expect([...batches(3, 100, 1, 0)].map((b) => b.length)).toEqual([3]);
    expect(() => [...batches(10, 0, 1, 0)]).toThrow(ArgumentError);
    expect(() => [...batches(0, 1, 1, 0)]).toThrow(ArgumentError);
  });
});
