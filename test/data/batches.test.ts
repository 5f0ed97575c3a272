import { describe, expect, it } from "vitest";
import { BatchStream, batches, batchOf, batchSupplier, type Dataset } from "../../src/data/index.js";
import { ArgumentError } from "../../src/errors.js";
import { halfSquaredError, sigmoidCrossEntropy, softmaxCrossEntropy } from "../../src/network/index.js";

const data: Dataset = {
  count: 7,
  features: 2,
  featureShape: [2],
  classes: 3,
  images: Uint8Array.from({ length: 14 }, (_, k) => 17 * k),
  labels: Uint8Array.of(0, 1, 2, 0, 1, 2, 0),
};
const softmax = softmaxCrossEntropy();

describe("batchOf", () => {
  it("has classes for softmax, and rows with a one for the other losses", () => {
    const batch = batchOf(data, [5, 0, 5], softmax);
    expect(batch.count).toBe(3);
    const pixels = [170, 187, 0, 17, 170, 187].map((byte) => Math.fround(byte / 255));
    expect([...batch.inputs]).toEqual(pixels);
    expect(batch.targets).toEqual(Uint32Array.of(2, 0, 2));
    for (const loss of [halfSquaredError(), sigmoidCrossEntropy()]) {
      const other = batchOf(data, [5, 0, 5], loss);
      expect([...other.inputs]).toEqual(pixels);
      expect(other.targets).toEqual(Float32Array.of(0, 0, 1, 1, 0, 0, 0, 0, 1));
    }
  });

  it("refuses what is no example", () => {
    expect(() => batchOf(data, [7], softmax)).toThrow(ArgumentError);
    expect(() => batchOf(data, [-1], softmax)).toThrow(ArgumentError);
  });
});

describe("BatchStream", () => {
  it("shows every example once an epoch, in the order of `batches`", () => {
    const stream = new BatchStream(data, 3, 5, softmax);
    expect(stream.stepsPerEpoch).toBe(3);
    for (const epoch of [0, 1, 2]) {
      const order = [...batches(7, 3, 5, epoch)];
      const found = order.map((_, step) => stream.batch(3 * epoch + step));
      expect(found).toEqual(order.map((indices) => batchOf(data, indices, softmax)));
      expect(found.map(({ count }) => count)).toEqual([3, 3, 1]);
    }
  });

  it("gives a step's batch whatever was asked for before", () => {
    const forward = new BatchStream(data, 2, 9, softmax);
    const all = Array.from({ length: 12 }, (_, step) => forward.batch(step));
    const backward = new BatchStream(data, 2, 9, softmax);
    for (let step = 11; step >= 0; step--) expect(backward.batch(step)).toEqual(all[step]);
    expect(new BatchStream(data, 2, 10, softmax).batch(0)).not.toEqual(all[0]);
  });

  it.each([0, -1, 1.5, Number.NaN])("refuses batches of %s", (size) => {
    expect(() => new BatchStream(data, size, 1, softmax)).toThrow(/BatchStream: size must be a positive/);
  });
});

describe("batchSupplier", () => {
  it("reads examples one after the other, or those that are named", () => {
    expect(batchSupplier(data, softmax)(2, 5)).toEqual(batchOf(data, [2, 3, 4], softmax));
    const some = batchSupplier(data, softmax, Uint32Array.of(6, 1, 4, 0));
    expect(some(1, 3)).toEqual(batchOf(data, [1, 4], softmax));
  });
});
