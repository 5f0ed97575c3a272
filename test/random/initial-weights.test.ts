import { describe, expect, it } from "vitest";
import { ArgumentError } from "../../src/errors.js";
import { initialWeights, RandomStream, STREAM_DOMAINS } from "../../src/random/index.js";

describe("initialWeights", () => {
  it("are the normals of the layer's own stream in row order, a zero bias last", () => {
    const stream = new RandomStream(3, 2, STREAM_DOMAINS.weights);
    const W = initialWeights(4, 5, { seed: 3, layerIndex: 2 });
    expect(W).toHaveLength(24);
    for (let o = 0; o < 4; o++) {
      for (let i = 0; i < 5; i++) {
        expect(W[o * 6 + i]).toBe((Math.SQRT2 / Math.sqrt(5)) * stream.normal());
      }
      expect(W[o * 6 + 5]).toBe(0);
    }
  });

  it("have variance gain²/in, 2/in by default", () => {
    const square = (W: Float64Array) => W.reduce((sum, w) => sum + w * w, 0) / 20000;
    expect(square(initialWeights(200, 100, { seed: 3 }))).toBeCloseTo(0.02, 3);
    expect(square(initialWeights(200, 100, { seed: 3, gain: 1 }))).toBeCloseTo(0.01, 3);
  });

  it("have the same numbers without a bias, and depend on seed and layer", () => {
    const W = initialWeights(3, 2, { seed: 3 });
    const without = initialWeights(3, 2, { seed: 3, bias: false });
    expect(Array.from(without)).toEqual(Array.from(W).filter((_, k) => k % 3 !== 2));
    expect(initialWeights(3, 2, { seed: 3, layerIndex: 0 })).toEqual(W);
    expect(initialWeights(3, 2, { seed: 3, layerIndex: 1 })).not.toEqual(W);
    expect(initialWeights(3, 2, { seed: 4 })).not.toEqual(W);
  });

  it("refuse a key that is not a u32", () => {
    expect(() => initialWeights(1, 1, { seed: -1 })).toThrow(ArgumentError);
    expect(() => initialWeights(1, 1, { seed: 1, layerIndex: 0.5 })).toThrow(ArgumentError);
  });
});
