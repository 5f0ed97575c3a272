import { describe, expect, it } from "vitest";
import { ArgumentError } from "../../src/errors.js";
import { Permutation } from "../../src/random/index.js";

/** For n = 10, seed 7, epoch 1. */
const GOLDEN = [8, 9, 0, 3, 1, 6, 2, 4, 7, 5];
const SIZES = [1, 2, 3, 7, 8, 9, 1000, 65_536, 65_537, 2 ** 20 + 1];

describe("Permutation", () => {
  it.each(SIZES)("of %d numbers has each of them once", (n) => {
    const seen = new Uint8Array(n);
    for (const number of new Permutation(n, 3, 5).slice(0, n)) seen[number]!++;
    expect(seen.every((times) => times === 1)).toBe(true);
  });

  it("reaches both ends of 32 bits", () => {
    const permutation = new Permutation(0xffffffff, 1, 2);
    for (const position of [0, 1, 0x80000000, 0xfffffffe]) {
      const number = permutation.at(position);
      expect(number).toBeGreaterThanOrEqual(0);
      expect(number).toBeLessThan(0xffffffff);
    }
    expect(new Set(permutation.slice(0xfffffff0, 0xffffffff)).size).toBe(15);
  });

  it("is another one in each epoch and for each seed", () => {
    const first = new Permutation(1000, 0, 0).slice(0, 1000);
    for (const [seed, epoch] of [
      [0, 1],
      [1, 0],
    ] as const) {
      const other = new Permutation(1000, seed, epoch).slice(0, 1000);
      const same = other.filter((number, i) => number === first[i]).length;
      // One on average.
      expect(same).toBeLessThan(8);
    }
  });

  it("says what an epoch's order was when it was first defined", () => {
    expect([...new Permutation(10, 7, 1).slice(0, 10)]).toEqual(GOLDEN);
  });

  it("reaches all orders of five equally often", () => {
    const counts = new Map<string, number>();
    const trials = 24_000;
    for (let epoch = 0; epoch < trials; epoch++) {
      const key = new Permutation(5, 11, epoch).slice(0, 5).join();
      counts.set(key, (counts.get(key) ?? 0) + 1);
    }
    const expected = trials / 120;
    let chi = (120 - counts.size) * expected;
    for (const count of counts.values()) chi += (count - expected) ** 2 / expected;
    // 119 degrees of freedom, four standard deviations.
    expect(chi).toBeLessThan(119 + 4 * Math.sqrt(2 * 119));
  });

  it("puts every number in every place equally often", () => {
    const [n, trials] = [37, 7400];
    const counts = new Float64Array(n * n);
    for (let epoch = 0; epoch < trials; epoch++) {
      new Permutation(n, 2, epoch).slice(0, n).forEach((number, i) => {
        counts[i * n + number]!++;
      });
    }
    const expected = trials / n;
    const chi = counts.reduce((sum, count) => sum + (count - expected) ** 2 / expected, 0);
    const degrees = (n - 1) ** 2;
    expect(Math.abs(chi - degrees)).toBeLessThan(4 * Math.sqrt(2 * degrees));
  });

  it("refuses what is not a u32", () => {
    expect(() => new Permutation(1.5, 0, 0)).toThrow(/n must be/);
    expect(() => new Permutation(2, -1, 0)).toThrow(ArgumentError);
    expect(() => new Permutation(2, 0, 2 ** 32)).toThrow(/epoch/);
  });
});
