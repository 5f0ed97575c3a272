import { gzipSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import { labelledData, parseIdx, readIdx } from "../../src/data/index.js";
import { DataError } from "../../src/errors.js";
import { idxBytes } from "./idx-files.js";

const images = (count: number, side = 2) =>
  idxBytes(
    [count, side, side],
    Uint8Array.from({ length: count * side * side }, (_, k) => k),
  );
const labels = (...classes: number[]) => idxBytes([classes.length], Uint8Array.from(classes));

describe("readIdx", () => {
  it("reads plain and packed bytes alike, also from a view at an odd offset", async () => {
    const plain = images(3);
    const packed = new Uint8Array(gzipSync(plain));
    const moved = new Uint8Array(packed.length + 3);
    moved.set(packed, 3);
    for (const bytes of [plain, packed, moved.subarray(3)]) {
      expect(await readIdx(bytes)).toEqual(parseIdx(plain));
    }
  });

  it("refuses a packed file that is damaged, by name", async () => {
    const packed = new Uint8Array(gzipSync(images(40, 5)));
    for (const bytes of [packed.subarray(0, packed.length - 9), packed.subarray(0, 12)]) {
      await expect(readIdx(bytes, "a.gz")).rejects.toThrow(
        /^a\.gz: cannot be unpacked .* damaged or cut short/,
      );
    }
    await expect(readIdx(new Uint8Array(gzipSync(images(3).subarray(0, 20))), "a.gz")).rejects.toThrow(
      /^a\.gz: has 20 bytes .* cut short/,
    );
    await expect(readIdx(packed.subarray(0, 12))).rejects.toBeInstanceOf(DataError);
  });
});

describe("labelledData", () => {
  const pair = (count: number, side: number, ...classes: number[]) => ({
    images: parseIdx(images(count, side)),
    labels: parseIdx(labels(...classes)),
  });

  it("gives both parts the classes of both", () => {
    const { train, test, classes } = labelledData(pair(3, 2, 0, 1, 0), pair(2, 2, 4, 0));
    expect([train.classes, test?.classes, classes]).toEqual([5, 5, 5]);
    expect([train.count, test?.count, train.features]).toEqual([3, 2, 4]);
    const alone = labelledData(pair(3, 2, 0, 1, 0));
    expect([alone.test, alone.classes]).toEqual([undefined, 2]);
  });

  it("refuses parts that do not fit, by the names it was given", () => {
    const train = { ...pair(3, 2, 0, 1, 0), imagesName: "train.idx", labelsName: "labels.idx" };
    const few = { ...train, labels: parseIdx(labels(1)) };
    expect(() => labelledData(few)).toThrow(/^labels\.idx: count 1 and there are 3 images/);
    expect(() => labelledData({ images: few.images, labels: few.labels })).toThrow(/^labels: count 1/);
    const test = { ...pair(2, 3, 0, 1), imagesName: "test.idx" };
    expect(() => labelledData(train, test)).toThrow(
      /^test\.idx: has 9 features per example and train\.idx has 4/,
    );
  });
});
