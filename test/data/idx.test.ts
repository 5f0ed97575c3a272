import { describe, expect, it } from "vitest";
import { parseIdx } from "../../src/data/index.js";
import { DataError } from "../../src/errors.js";

const u32 = (n: number) => [(n >>> 24) & 255, (n >>> 16) & 255, (n >>> 8) & 255, n & 255];
const file = (code: number, shape: number[], body: number[]) =>
  Uint8Array.from([0, 0, code, shape.length, ...shape.flatMap(u32), ...body]);
const failure = (bytes: Uint8Array): DataError => {
  try {
    parseIdx(bytes, "test.idx");
  } catch (error) {
    if (error instanceof DataError) return error;
    throw error;
  }
  throw new Error("parseIdx accepted a bad file");
};

describe("parseIdx", () => {
  const small = file(8, [2, 3, 1], [1, 2, 3, 4, 5, 255]);

  it("reads bytes, also from a view into a larger buffer", () => {
    expect(parseIdx(small)).toEqual({ shape: [2, 3, 1], data: Uint8Array.from([1, 2, 3, 4, 5, 255]) });
    const padded = new Uint8Array(small.length + 10);
    padded.set(small, 7);
    expect(parseIdx(padded.subarray(7, 7 + small.length))).toEqual(parseIdx(small));
  });

  it("copies, so the file's memory can be reused", () => {
    const own = small.slice();
    const { data } = parseIdx(own);
    own.fill(0);
    expect(data[5]).toBe(255);
  });

  it.each([
    [0x09, [0xff, 0x7f], Int8Array.from([-1, 127])],
    [0x0b, [0xff, 0xfe, 0x01, 0x00], Int16Array.from([-2, 256])],
    [0x0c, [0xff, 0xff, 0xff, 0xfe, 0, 1, 0, 0], Int32Array.from([-2, 65536])],
    [0x0d, [0x3f, 0x80, 0, 0, 0xc0, 0, 0, 0], Float32Array.from([1, -2])],
    [0x0e, [0x3f, 0xf0, 0, 0, 0, 0, 0, 0, 0xc0, 0, 0, 0, 0, 0, 0, 0], Float64Array.from([1, -2])],
  ])("reads big-endian elements of type %i", (code, body, data) => {
    expect(parseIdx(file(code, [2], body))).toEqual({ shape: [2], data });
  });

  it("refuses the file cut at every byte, and one byte too many", () => {
    for (let length = 0; length < small.length; length++) {
      const error = failure(small.subarray(0, length));
      expect(error.actual).toBe(length);
      expect(error.expected).toBeGreaterThan(length);
      expect(error.message).toContain("test.idx");
    }
    const long = failure(Uint8Array.from([...small, 0]));
    expect([long.actual, long.expected]).toEqual([small.length + 1, small.length]);
  });

  it("refuses every other first, second and third byte, and no dimensions", () => {
    const known = [8, 9, 0x0b, 0x0c, 0x0d, 0x0e];
    for (let value = 0; value < 256; value++) {
      for (const position of value === 0 ? [] : [0, 1]) {
        const bytes = small.slice();
        bytes[position] = value;
        failure(bytes);
      }
      const bytes = small.slice();
      bytes[2] = value;
      if (!known.includes(value)) expect(failure(bytes).actual).toBe(value);
    }
    failure(Uint8Array.from([0, 0, 8, 0]));
    expect(failure(Uint8Array.from([0x1f, 0x8b, 8, 0])).message).toContain("gzip");
  });

  it("is not fooled by sizes whose product overflows", () => {
    // 2³² · 2³² wraps to 0 in 64 bits, (2³¹)² · 4 likewise; both would pass a wrapping check with an empty body.
    for (const shape of [
      [0x80000000, 0x80000000, 4],
      [0x10000, 0x10000, 0x10000, 0x10000],
      Array.from({ length: 255 }, () => 0xffffffff),
    ]) {
      failure(file(8, shape, []));
    }
    expect(parseIdx(file(8, [0xffffffff, 0], [])).data.length).toBe(0);
  });
});
