import { describe, expect, it } from "vitest";
import { normalPair, RandomStream, threefry2x32, uniform } from "../../src/random/index.js";

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

  it("takes numbers modulo 2³²", () => {
    expect(threefry2x32(-1, 2 ** 32 + 5, 3, -4)).toEqual(threefry2x32(0xffffffff, 5, 3, 0xfffffffc));
  });
});

describe("uniform and normalPair", () => {
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

  it("is Box–Muller: the first word's radius, the second word's angle", () => {
    const [x, y] = normalPair(123456789, 987654321);
    expect(Math.hypot(x, y)).toBeCloseTo(Math.sqrt(-2 * Math.log(uniform(123456789))), 14);
    expect(Math.atan2(y, x)).toBeCloseTo(2 * Math.PI * uniform(987654321), 14);
  });
});
