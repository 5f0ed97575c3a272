import { describe, expect, it } from "vitest";
import { ArgumentError, ShapeError } from "../../src/errors.js";
import {
  denseOp,
  fromRows,
  graphLossAndGradients,
  initialSgdState,
  mapWeights,
  matmul,
  matrix,
  type ReferenceGraph,
  relativeError,
  type SgdOptions,
  scale,
  sgdStep,
  solve,
  type Weights,
} from "../../src/reference/index.js";
import { randomMatrix } from "./helpers.js";

/** Weights of ½h w² after each of some steps. */
function descend(h: number, start: number, steps: number, options: SgdOptions): number[] {
  let weights: Weights = { w: matrix(1, 1, [start]) };
  let state = initialSgdState(weights);
  return Array.from({ length: steps }, () => {
    const gradients = mapWeights(weights, (W) => scale(W, h));
    ({ weights, state } = sgdStep(weights, gradients, state, options));
    return weights.w!.data[0]!;
  });
}

/** The same by the roots r of r² − (1 + μ − ηh) r + μ: w_t = c₁ r₁ᵗ + c₂ r₂ᵗ with w_0 and w_1 given (real roots). */
function byRoots(h: number, start: number, steps: number, rate: number, momentum: number): number[] {
  const b = 1 + momentum - rate * h;
  const root = Math.sqrt(b * b - 4 * momentum);
  const [r1, r2] = [(b + root) / 2, (b - root) / 2];
  const first = (1 - rate * h) * start;
  const c1 = (first - r2 * start) / (r1 - r2);
  return Array.from({ length: steps }, (_, t) => c1 * r1 ** (t + 1) + (start - c1) * r2 ** (t + 1));
}

const distance = (a: readonly number[], b: readonly number[]) =>
  relativeError(matrix(1, a.length, a), matrix(1, b.length, b));

describe("sgdStep", () => {
  it("is the linear recurrence of a quadratic, with momentum and without", () => {
    const plain = descend(2, 3, 12, { learningRate: 0.1, momentum: 0 });
    expect(
      distance(
        plain,
        plain.map((_, t) => 3 * 0.8 ** (t + 1)),
      ),
    ).toBeLessThan(1e-13);
    const heavy = descend(2, 3, 12, { learningRate: 0.02, momentum: 0.5 });
    const expected = byRoots(2, 3, 12, 0.02, 0.5);
    expect(distance(heavy, expected)).toBeLessThan(1e-13);
    // Momentum that mixes, V ← μV + (1 − μ)G, is another method.
    expect(distance(byRoots(2, 3, 12, 0.02 * 0.5, 0.5), expected)).toBeGreaterThan(0.05);
  });

  it("has momentum 0.9 and no weight decay by default", () => {
    expect(descend(1, 1, 9, { learningRate: 0.1 })).toEqual(
      descend(1, 1, 9, { learningRate: 0.1, momentum: 0.9, weightDecay: 0 }),
    );
    expect(descend(1, 1, 9, { learningRate: 0.1 })).not.toEqual(
      descend(1, 1, 9, { learningRate: 0.1, momentum: 0.8 }),
    );
  });

  it("decays weights by the penalty's gradient, through the momentum", () => {
    const actual = descend(2, 3, 12, { learningRate: 0.02, momentum: 0.5, weightDecay: 0.5 });
    expect(distance(actual, byRoots(2.5, 3, 12, 0.02, 0.5))).toBeLessThan(1e-13);
    // Beside the momentum (decoupled) it is another path.
    const decoupled = descend(2, 3, 12, {
      ...{ learningRate: 0.02, momentum: 0.5, weightDecay: 0.5, decay: "decoupled" },
    });
    expect(distance(actual, decoupled)).toBeGreaterThan(0.005);
  });

  it("decays weights beside the step, as much as η says, momentum or not", () => {
    const actual = descend(2, 3, 12, {
      ...{ learningRate: 0.02, momentum: 0, weightDecay: 0.5, decay: "decoupled" },
    });
    expect(
      distance(
        actual,
        actual.map((_, t) => 3 * (1 - 0.02 * 2 - 0.02 * 0.5) ** (t + 1)),
      ),
    ).toBeLessThan(1e-13);
    // V knows nothing of it: without a gradient nothing else moves.
    const alone = descend(0, 3, 4, { learningRate: 0.1, momentum: 0.9, weightDecay: 1, decay: "decoupled" });
    expect(
      distance(
        alone,
        [0.9, 0.81, 0.729, 0.6561].map((x) => 3 * x),
      ),
    ).toBeLessThan(1e-13);
  });

  it("clips the norm over all weights together, before the decay", () => {
    const weights = { a: fromRows([[1, 2]]), b: fromRows([[3]]) };
    const gradients = { a: fromRows([[3, 0]]), b: fromRows([[4]]) };
    const state = initialSgdState(weights);
    const step = (gradientClip: number) =>
      sgdStep(weights, gradients, state, { learningRate: 1, weightDecay: 1, gradientClip }).weights;
    expect(step(1).a!.data[0]).toBeCloseTo(1 - 0.6 - 1, 14);
    expect(step(1).b!.data[0]).toBeCloseTo(3 - 0.8 - 3, 14);
    for (const none of [0, 5, 6]) expect(step(none)).toEqual({ a: fromRows([[-3, 0]]), b: fromRows([[-4]]) });
  });

  it("reaches the least-squares minimiser of a linear network", () => {
    const graph: ReferenceGraph = {
      inputs: ["x"],
      nodes: [{ name: "z", inputs: ["x"], op: denseOp({ bias: false }), weights: "W" }],
      output: "z",
    };
    const [X, T] = [randomMatrix(20, 3, 1), randomMatrix(20, 2, 2)];
    let weights: Weights = { W: matrix(2, 3) };
    let state = initialSgdState(weights);
    for (let step = 0; step < 400; step++) {
      const { gradients } = graphLossAndGradients(graph, weights, "halfSquaredError", { x: X }, T);
      ({ weights, state } = sgdStep(weights, gradients, state, { learningRate: 0.2, momentum: 0.5 }));
    }
    const normal = solve(matmul(X, X, { transposeA: true }), matmul(X, T, { transposeA: true }));
    expect(relativeError(matmul(X, weights.W!, { transposeB: true }), matmul(X, normal))).toBeLessThan(1e-12);
  });

  it("changes nothing for a gradient that is not finite, and no number that would not be", () => {
    const weights = { a: fromRows([[1, 2]]), b: fromRows([[1e308]]) };
    const state = initialSgdState(weights);
    const bad = { a: fromRows([[1, Number.NaN]]), b: fromRows([[1]]) };
    const skipped = sgdStep(weights, bad, state, { learningRate: 1 });
    expect(skipped).toEqual({ weights, state, skipped: true });
    const huge = { a: fromRows([[1, 1]]), b: fromRows([[-1e308]]) };
    const moved = sgdStep(weights, huge, state, { learningRate: 1 });
    expect(moved.weights).toEqual({ a: fromRows([[0, 1]]), b: weights.b });
    expect(moved.state.velocity.b).toEqual(matrix(1, 1));
    expect(weights.a).toEqual(fromRows([[1, 2]]));
  });

  it("names what does not fit", () => {
    const weights = { a: matrix(1, 2) };
    const state = initialSgdState(weights);
    const step = (gradients: Weights, options: SgdOptions) => () =>
      sgdStep(weights, gradients, state, options);
    for (const options of [
      { learningRate: 0 },
      { learningRate: 1, momentum: 1 },
      { learningRate: 1, weightDecay: -1 },
      { learningRate: 1, gradientClip: Number.NaN },
      { learningRate: 1, decay: "none" as "coupled" },
    ]) {
      expect(step(weights, options)).toThrow(ArgumentError);
    }
    expect(step({}, { learningRate: 1 })).toThrow(/gradients must hold "a"/);
    expect(step({ a: matrix(1, 2), b: matrix(1, 1) }, { learningRate: 1 })).toThrow(/got "b" too/);
    expect(step({ a: matrix(2, 1) }, { learningRate: 1 })).toThrow(ShapeError);
  });
});
