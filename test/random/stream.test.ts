import { describe, expect, it } from "vitest";
import { ArgumentError } from "../../src/errors.js";
import { normalPair, RandomStream, STREAM_DOMAINS, threefry2x32, uniform } from "../../src/random/index.js";

describe("RandomStream", () => {
  it("has the words of Threefry at the counters (⌊i/2⌋, domain) under the key (seed, stream)", () => {
    for (const domain of Object.values(STREAM_DOMAINS)) {
      const stream = new RandomStream(7, 9, domain);
      const words = Array.from({ length: 6 }, () => stream.word());
      expect(words).toEqual([0, 1, 2].flatMap((block) => threefry2x32(7, 9, block, domain)));
    }
    const first = new RandomStream(7);
    expect(first.word()).toBe(threefry2x32(7, 0, 0, STREAM_DOMAINS.general)[0]);
  });

  it("keeps its domains apart from each other and from counters below 2³¹", () => {
    const domains = Object.values(STREAM_DOMAINS);
    expect(new Set(domains).size).toBe(domains.length);
    for (const domain of domains) expect(domain).toBeGreaterThanOrEqual(2 ** 31);
  });

  it("makes uniform and normal numbers of its words, a pair of normals of two words", () => {
    const words = new RandomStream(3, 1);
    const uniforms = new RandomStream(3, 1);
    const normals = new RandomStream(3, 1);
    for (let i = 0; i < 4; i++) {
      const [w0, w1] = [words.word(), words.word()];
      expect([uniforms.uniform(), uniforms.uniform()]).toEqual([uniform(w0), uniform(w1)]);
      expect([normals.normal(), normals.normal()]).toEqual(normalPair(w0, w1));
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
  });

  it("draws integers evenly, and draws again where a remainder would be favoured", () => {
    const counts = [0, 0, 0, 0, 0];
    const stream = new RandomStream(8);
    const n = 20000;
    for (let i = 0; i < n; i++) counts[stream.integer(5)]!++;
    for (const count of counts) expect(Math.abs(count - n / 5)).toBeLessThan(4.5 * Math.sqrt(0.16 * n));
    // Of 2³² words, bound 2³¹ + 1 takes the first 2³¹ + 1 as they are and leaves the others out.
    const bound = 2 ** 31 + 1;
    const words = new RandomStream(8);
    const accepted = Array.from({ length: 40 }, () => words.word()).filter((word) => word < bound);
    const drawn = new RandomStream(8);
    expect(accepted.length).toBeLessThan(40);
    expect(accepted.map(() => drawn.integer(bound))).toEqual(accepted);
    expect(new RandomStream(8).integer(2 ** 32)).toBe(new RandomStream(8).word());
    expect(stream.integer(1)).toBe(0);
  });

  it("refuses keys and bounds out of range", () => {
    for (const seed of [-1, 0.5, 2 ** 32, Number.NaN]) {
      expect(() => new RandomStream(seed)).toThrow(ArgumentError);
      expect(() => new RandomStream(1, seed)).toThrow(/stream/);
    }
    for (const bound of [0, -1, 1.5, 2 ** 32 + 1]) {
      expect(() => new RandomStream(1).integer(bound)).toThrow(ArgumentError);
    }
    expect(() => new RandomStream(2 ** 32 - 1, 2 ** 32 - 1)).not.toThrow();
  });
});
