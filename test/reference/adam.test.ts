import { describe, expect, it } from "vitest";
import { ArgumentError, ShapeError } from "../../src/errors.js";
import {
  type AdamOptions,
  type AdamStepResult,
  adamStep,
  fromRows,
  initialAdamState,
  matrix,
  type Weights,
} from "../../src/reference/index.js";

/** The steps of one weight along given gradients. */
function follow(gradients: readonly number[], options: AdamOptions, start = 0): AdamStepResult[] {
  let weights: Weights = { w: matrix(1, 1, [start]) };
  let state = initialAdamState(weights);
  return gradients.map((g) => {
    const result = adamStep(weights, { w: matrix(1, 1, [g]) }, state, options);
    ({ weights, state } = result);
    return result;
  });
}

const only = (weights: Weights) => weights.w!.data[0]!;

describe("adamStep", () => {
  it("steps by η g/(|g| + ε) along a constant gradient, whatever β₁ and β₂: the corrections are exact", () => {
    for (const g of [3, -1e-6]) {
      const options = { learningRate: 0.5, epsilon: 1e-7, beta1: 0.8, beta2: 0.95 };
      follow([g, g, g, g, g, g], options).forEach(({ weights, updates }, t) => {
        const each = g / (Math.abs(g) + 1e-7);
        expect(only(updates)).toBeCloseTo(each, 12);
        expect(only(weights)).toBeCloseTo(-0.5 * (t + 1) * each, 12);
      });
    }
  });

  it("is the weighted mean over the root of the weighted mean square", () => {
    const g = [1, -2, 0.5];
    const [b1, b2, t] = [0.7, 0.9, 3];
    const weighted = (b: number, f: (x: number) => number) =>
      g.reduce((sum, x, k) => sum + b ** (t - 1 - k) * f(x), 0) /
      g.reduce((sum, _, k) => sum + b ** (t - 1 - k), 0);
    const expected = weighted(b1, (x) => x) / (Math.sqrt(weighted(b2, (x) => x * x)) + 0.1);
    const result = follow(g, { beta1: b1, beta2: b2, epsilon: 0.1 }).at(-1)!;
    expect(only(result.updates)).toBeCloseTo(expected, 13);
    // ε inside the root, or no correction of M, is another method.
    const inside = weighted(b1, (x) => x) / Math.sqrt(weighted(b2, (x) => x * x) + 0.1);
    expect(Math.abs(inside - expected)).toBeGreaterThan(1e-3);
    expect(Math.abs((1 - b1 ** t) * expected - expected)).toBeGreaterThan(1e-2);
  });

  it("has the paper's defaults", () => {
    const g = [1, -2, 0.5];
    const named = { learningRate: 1e-3, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0 };
    expect(follow(g, {})).toEqual(follow(g, named));
    expect(follow(g, {})).not.toEqual(follow(g, { ...named, beta2: 0.99 }));
  });

  it("adds the penalty's gradient before the moments", () => {
    const options = { learningRate: 0.1, weightDecay: 0.5, epsilon: 1 };
    const [{ updates, state }] = follow([2], options, 4) as [AdamStepResult];
    expect(only(updates)).toBeCloseTo(4 / 5, 14);
    expect(only(state.first)).toBeCloseTo(0.4, 14);
    expect(only(state.second)).toBeCloseTo(0.016, 14);
  });

  it("decays beside the step, which the moments do not see: AdamW", () => {
    const options = { learningRate: 0.1, weightDecay: 0.5, decay: "decoupled", epsilon: 1 } as const;
    const [{ updates, state, weights }] = follow([2], options, 4) as [AdamStepResult];
    expect(only(updates)).toBeCloseTo(2 / 3, 14);
    expect(only(state.first)).toBeCloseTo(0.2, 14);
    expect(only(weights)).toBeCloseTo(4 - 0.1 * (2 / 3) - 0.1 * 0.5 * 4, 14);
  });

  it("clips the gradient before the moments", () => {
    const [{ state }] = follow([2], { gradientClip: 0.5 }) as [AdamStepResult];
    expect(only(state.first)).toBeCloseTo(0.05, 14);
    expect(only(state.second)).toBeCloseTo(0.00025, 14);
    expect(follow([2], { gradientClip: 2 })).toEqual(follow([2], {}));
  });

  it("changes nothing for a gradient that is not finite, and no number that would not be", () => {
    const weights = { a: fromRows([[1, 2]]) };
    const state = initialAdamState(weights);
    const skipped = adamStep(weights, { a: fromRows([[Number.POSITIVE_INFINITY, 1]]) }, state);
    expect(skipped.skipped).toBe(true);
    expect(skipped.weights).toEqual(weights);
    expect(skipped.state).toEqual({ ...state, step: 1 });
    const moved = adamStep(weights, { a: fromRows([[1e200, 1]]) }, state, {
      learningRate: 0.5,
      epsilon: 1e-12,
    });
    expect(moved.weights.a!.data[0]).toBe(1);
    expect(moved.weights.a!.data[1]).toBeCloseTo(1.5, 11);
    expect(moved.state.first.a!.data[0]).toBe(0);
    expect(weights.a).toEqual(fromRows([[1, 2]]));
  });

  it("names what does not fit", () => {
    const weights = { a: matrix(1, 2) };
    const state = initialAdamState(weights);
    for (const options of [
      { learningRate: -1 },
      { beta1: 1 },
      { beta2: -0.1 },
      { epsilon: 0 },
      { weightDecay: Number.NaN },
    ]) {
      expect(() => adamStep(weights, weights, state, options)).toThrow(ArgumentError);
    }
    expect(() => adamStep(weights, {}, state)).toThrow(/gradients must hold "a"/);
    expect(() => adamStep(weights, weights, { ...state, first: {} })).toThrow(/state.first/);
    expect(() => adamStep(weights, { a: matrix(2, 1) }, state)).toThrow(ShapeError);
  });
});
