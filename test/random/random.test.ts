import { describe, expect, it } from "vitest";
import { ArgumentError } from "../../src/errors.js";
import {
  normalPair,
  RandomStream,
  STREAM_DOMAINS,
  shuffle,
  threefry2x32,
  uniform,
} from "../../src/reference/index.js";

describe("threefry2x32", () => {
  // Random123's kat_vectors: threefry2x32, 20 rounds.
  it.each([
    [0, 0, 0, 0, 0x6b200159, 0x99ba4efe],
    [0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, 0x1cb996fc, 0xbb002be7],
    [0x13198a2e, 0x03707344, 0x243f6a88, 0x85a308d3, 0xc4923a9c, 0x483df7a0],
  ])("matches the known answer for key %i %i counter %i %i", (k0, k1, c0, c1, w0, w1) => {
    expect(threefry2x32(k0, k1, c0, c1)).toEqual([w0, w1]);
  });

  it("changes with every input word", () => {
    const seen = new Set(
      [
        [1, 2, 3, 4],
        [2, 2, 3, 4],
        [1, 3, 3, 4],
        [1, 2, 4, 4],
        [1, 2, 3, 5],
      ].map((v) => threefry2x32(v[0]!, v[1]!, v[2]!, v[3]!).join()),
    );
    expect(seen.size).toBe(5);
  });
});

describe("uniform and normal", () => {
  it("never reaches 0 or 1", () => {
    expect(uniform(0)).toBe(2 ** -24);
    expect(uniform(0xffffffff)).toBe(1 - 2 ** -24);
    expect(uniform(0x80000000)).toBe(0.5 + 2 ** -24);
    for (const word of [0, 0xffffffff]) {
      for (const x of normalPair(word, word)) expect(Number.isFinite(x)).toBe(true);
    }
  });

  it("is exact in f32", () => {
    const stream = new RandomStream(5);
    for (let i = 0; i < 1000; i++) {
      const u = stream.uniform();
      expect(Math.fround(u)).toBe(u);
    }
  });

  it("has the moments of a standard normal", () => {
    const stream = new RandomStream(3);
    const n = 40000;
    let m1 = 0;
    let m2 = 0;
    let m4 = 0;
    for (let i = 0; i < n; i++) {
      const x = stream.normal();
      m1 += x / n;
      m2 += (x * x) / n;
      m4 += x ** 4 / n;
    }
    expect(Math.abs(m1)).toBeLessThan(4 / Math.sqrt(n));
    expect(Math.abs(m2 - 1)).toBeLessThan((4 * Math.sqrt(2)) / Math.sqrt(n));
    expect(Math.abs(m4 - 3)).toBeLessThan((4 * Math.sqrt(96)) / Math.sqrt(n));
  });

  it("repeats for the same seed and differs between seeds, streams and domains", () => {
    const draw = (...args: ConstructorParameters<typeof RandomStream>) => {
      const stream = new RandomStream(...args);
      return Array.from({ length: 5 }, () => stream.word()).join();
    };
    expect(draw(1, 2)).toBe(draw(1, 2));
    const seen = new Set([draw(1, 2), draw(2, 2), draw(1, 3), draw(1, 2, STREAM_DOMAINS.weights)]);
    expect(seen.size).toBe(4);
    expect(() => new RandomStream(-1)).toThrow(ArgumentError);
    expect(() => new RandomStream(1).integer(0)).toThrow(ArgumentError);
  });
});

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
});
