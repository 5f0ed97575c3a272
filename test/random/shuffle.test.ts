import { describe, expect, it } from "vitest";
import { ArgumentError } from "../../src/errors.js";
import { shuffle } from "../../src/random/index.js";

describe("shuffle", () => {
  it("is a permutation that depends on seed and epoch only", () => {
    for (const n of [0, 1, 2, 100]) {
      expect(Array.from(shuffle(n, 5, 1)).sort((a, b) => a - b)).toEqual(
        Array.from({ length: n }, (_, i) => i),
      );
    }
    expect(shuffle(50, 5, 1)).toEqual(shuffle(50, 5, 1));
    expect(shuffle(50, 5, 1)).not.toEqual(shuffle(50, 5, 2));
    expect(shuffle(50, 5, 1)).not.toEqual(shuffle(50, 6, 1));
  });

  it("reaches all orders of three equally often", () => {
    const counts = new Map<string, number>();
    const trials = 6000;
    for (let e = 0; e < trials; e++) {
      const key = shuffle(3, 11, e).join();
      counts.set(key, (counts.get(key) ?? 0) + 1);
    }
    expect(counts.size).toBe(6);
    const sigma = Math.sqrt((trials / 6) * (5 / 6));
    for (const c of counts.values()) expect(Math.abs(c - trials / 6)).toBeLessThan(4.5 * sigma);
  });

  it("refuses what is not a u32", () => {
    expect(() => shuffle(-1, 0, 0)).toThrow(/n must be/);
    expect(() => shuffle(2, 0.5, 0)).toThrow(ArgumentError);
    expect(() => shuffle(2, 0, 2 ** 32)).toThrow(/epoch/);
  });
});
