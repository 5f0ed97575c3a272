import { describe, expect, it } from "vitest";
import { ArgumentError } from "../../src/errors.js";
import {
  activation,
  add,
  addDiagonal,
  batchFactors,
  curvatureRows,
  diagonal,
  dot,
  emaWeight,
  exactTikhonov,
  type Factors,
  fromRows,
  identity,
  initialKfacState,
  initialWeights,
  kfacStep,
  klClipFactor,
  kronecker,
  type Layer,
  linear,
  lossAndGradients,
  matrix,
  piDamping,
  precondition,
  relativeError,
  STATUS_NON_FINITE,
  STATUS_NOT_POSITIVE_DEFINITE,
  scale,
  solve,
  subtract,
  unvec,
  updateFactors,
  vec,
  weightsOf,
  withWeights,
} from "../../src/reference/index.js";
import { randomMatrix, randomSpd } from "./helpers.js";

const factors: Factors = { A: scale(randomSpd(4, 1), 50), B: scale(randomSpd(3, 2), 0.02) };
const G = randomMatrix(3, 4, 3);

describe("piDamping", () => {
  it("has product λ and equal relative weight on both factors", () => {
    const { pi, a, b } = piDamping(40, 4, 0.3, 3, 0.01);
    expect(pi).toBeCloseTo(10, 12);
    expect(a * b).toBeCloseTo(0.01, 14);
    expect(a / 10).toBeCloseTo(b / 0.1, 12);
  });

  it("does not depend on how a scale is split over the factors", () => {
    const plain = precondition(factors, G, 0.1).update;
    const moved = { A: scale(factors.A, 1e4), B: scale(factors.B, 1e-4) };
    expect(relativeError(precondition(moved, G, 0.1).update, plain)).toBeLessThan(1e-12);
  });

  it("falls back to π = 1 for traces that say nothing", () => {
    for (const [ta, tb] of [
      [0, 1],
      [1, 0],
      [0, 0],
      [-1, 1],
      [Number.NaN, 1],
      [Number.POSITIVE_INFINITY, 1],
    ] as const) {
      expect(piDamping(ta, 2, tb, 2, 4)).toEqual({ pi: 1, a: 2, b: 2 });
    }
    expect(() => piDamping(1, 1, 1, 1, -1)).toThrow(ArgumentError);
    expect(() => piDamping(1, 1, 1, 1, Number.NaN)).toThrow(ArgumentError);
  });
});

describe("precondition", () => {
  it("exact: solves (Ā ⊗ B̄ + λI) u = g; factored: solves the product of damped factors; the two differ", () => {
    const lambda = 0.05;
    const H = addDiagonal(kronecker(factors.A, factors.B), lambda);
    const exact = precondition(factors, G, lambda, "exact").update;
    expect(relativeError(exact, unvec(solve(H, vec(G)), 3, 4))).toBeLessThan(1e-12);
    const trA = factors.A.data.reduce((s, x, k) => s + (k % 5 === 0 ? x : 0), 0);
    const trB = factors.B.data.reduce((s, x, k) => s + (k % 4 === 0 ? x : 0), 0);
    const { a, b } = piDamping(trA, 4, trB, 3, lambda);
    const K = kronecker(addDiagonal(factors.A, a), addDiagonal(factors.B, b));
    const factored = precondition(factors, G, lambda);
    expect(factored.status).toBe(0);
    expect(relativeError(factored.update, unvec(solve(K, vec(G)), 3, 4))).toBeLessThan(1e-12);
    expect(relativeError(exact, factored.update)).toBeGreaterThan(0.05);
  });

  it("exact with no damping leaves singular directions out", () => {
    const U = exactTikhonov(diagonal([1, 0]), fromRows([[1, 1]]), identity(1), 0);
    expect(Array.from(U.data).map((x) => x + 0)).toEqual([1, 0]);
  });
});

describe("running means", () => {
  it("is the plain mean at first, then exponential, with weights that add up to one", () => {
    expect([1, 2, 3, 4, 100].map((t) => emaWeight(t, 0.75))).toEqual([0, 0.5, 1 - 1 / 3, 0.75, 0.75]);
    const batches = [1, 2, 3].map((s) => ({ A: randomSpd(4, s), B: randomSpd(3, s + 10) }));
    let mean: Factors | undefined;
    batches.forEach((f, k) => {
      mean = updateFactors(mean, f, k + 1, 0.95);
    });
    const expected = scale(add(add(batches[0]!.A, batches[1]!.A), batches[2]!.A), 1 / 3);
    expect(relativeError(mean!.A, expected)).toBeLessThan(1e-14);
    let constant: Factors | undefined;
    for (let t = 1; t < 50; t++) constant = updateFactors(constant, factors, t, 0.9);
    expect(relativeError(constant!.B, factors.B)).toBeLessThan(1e-14);
    expect(() => emaWeight(0, 0.9)).toThrow(ArgumentError);
    expect(() => emaWeight(1, 1)).toThrow(ArgumentError);
  });
});

describe("klClipFactor", () => {
  it("bounds the step in the curvature metric and leaves small steps alone", () => {
    const U = precondition(factors, G, 0.1).update;
    const nu = klClipFactor([G], [U], 0.5, 1e-3);
    expect(nu).toBeLessThan(1);
    expect(0.25 * nu ** 2 * dot(G, U)).toBeCloseTo(1e-3, 12);
    expect(klClipFactor([G], [U], 1e-6, 1e-3)).toBe(1);
    expect(klClipFactor([matrix(1, 1)], [matrix(1, 1)], 1, 1e-3)).toBe(1);
  });
});

describe("kfacStep", () => {
  const weights = [randomMatrix(3, 4, 9)];
  const options = { learningRate: 0.1, damping: 0.01 };

  it("is W − ηU, then carries momentum, clip and decay", () => {
    const U = precondition(factors, G, 0.01).update;
    const first = kfacStep(weights, [G], [factors], initialKfacState(weights), { ...options, momentum: 0.9 });
    expect(relativeError(first.weights[0]!, add(weights[0]!, U, 1, -0.1))).toBeLessThan(1e-14);
    const second = kfacStep(first.weights, [G], [factors], first.state, { ...options, momentum: 0.9 });
    expect(relativeError(subtract(first.weights[0]!, second.weights[0]!), scale(U, 0.19))).toBeLessThan(
      1e-12,
    );
    const decoupled = kfacStep(weights, [G], [factors], initialKfacState(weights), {
      ...options,
      weightDecay: 0.5,
      weightDecayMode: "decoupled",
    });
    expect(relativeError(decoupled.weights[0]!, add(weights[0]!, U, 0.95, -0.1))).toBeLessThan(1e-14);
    const coupled = kfacStep(weights, [G], [factors], initialKfacState(weights), {
      ...options,
      weightDecay: 0.5,
    });
    const V = precondition(factors, add(G, weights[0]!, 1, 0.5), 0.01).update;
    expect(relativeError(coupled.weights[0]!, add(weights[0]!, V, 1, -0.1))).toBeLessThan(1e-14);
    const clipped = kfacStep(weights, [G], [factors], initialKfacState(weights), {
      ...options,
      klClip: 1e-4,
    });
    expect(clipped.clip).toBeLessThan(1);
    expect(relativeError(clipped.weights[0]!, add(weights[0]!, U, 1, -0.1 * clipped.clip))).toBeLessThan(
      1e-14,
    );
  });

  it("skips a layer with non-finite or singular input, counts it, and recovers with unbiased means", () => {
    const bad: Factors = { A: scale(factors.A, Number.NaN), B: factors.B };
    const two = [weights[0]!, weights[0]!];
    for (const method of ["factored", "exact"] as const) {
      const o = { ...options, dampingMethod: method, klClip: 1 };
      const first = kfacStep(two, [G, G], [bad, factors], initialKfacState(two), o);
      expect(first.skipped).toEqual([0]);
      expect(first.status).toEqual([STATUS_NON_FINITE, 0]);
      expect(first.weights[0]).toEqual(two[0]);
      expect(first.weights[1]).not.toEqual(two[1]);
      const second = kfacStep(two, [G, G], [factors, bad], first.state, o);
      expect(second.skipped).toEqual([]);
      expect(second.state.t).toEqual([1, 1]);
      expect(second.state.factors[0]).toEqual(factors);
      expect(second.state.factors[1]).toEqual(factors);
      const third = kfacStep(two, [scale(G, Number.NaN), G], [factors, factors], second.state, o);
      expect(third.skipped).toEqual([0]);
    }
    const zero = { A: matrix(4, 4), B: factors.B };
    const singular = kfacStep(weights, [G], [zero], initialKfacState(weights), { ...options, damping: 0 });
    expect(singular.skipped).toEqual([0]);
    expect(singular.status[0]! & STATUS_NOT_POSITIVE_DEFINITE).toBe(STATUS_NOT_POSITIVE_DEFINITE);
    expect(() =>
      kfacStep(weights, [G], [factors], initialKfacState(weights), { ...options, learningRate: 0 }),
    ).toThrow(ArgumentError);
  });

  it("takes the same step for a sum loss over N, a mean loss, and a duplicated batch", () => {
    const net: Layer[] = [linear(randomMatrix(3, 5, 60, 0.5))];
    const X = randomMatrix(8, 4, 61);
    const T = randomMatrix(8, 3, 62);
    const step = (copies: number) => {
      const double = (m: typeof X) =>
        matrix(
          copies * 8,
          m.cols,
          Array(copies)
            .fill([...m.data])
            .flat(),
        );
      const { gradients } = lossAndGradients(net, "halfSquaredError", double(X), double(T));
      const fresh = batchFactors(curvatureRows(net, "halfSquaredError", double(X), { kind: "exact" }));
      return kfacStep(weightsOf(net), gradients, fresh, initialKfacState(weightsOf(net)), options)
        .weights[0]!;
    };
    expect(relativeError(step(2), step(1))).toBeLessThan(1e-13);
  });

  it("trains: far lower loss than the same number of gradient steps", () => {
    const make = (): Layer[] => [
      linear(initialWeights(12, 2, { seed: 1, layerIndex: 0 })),
      activation("tanh"),
      linear(initialWeights(2, 12, { seed: 1, layerIndex: 1 })),
    ];
    const X = randomMatrix(64, 2, 70);
    const classes = Array.from({ length: 64 }, (_, i) => (X.data[2 * i]! * X.data[2 * i + 1]! > 0 ? 1 : 0));
    const lossOf = (net: readonly Layer[]) => lossAndGradients(net, "softmaxCrossEntropy", X, classes).loss;
    let kfac = make();
    let sgd = make();
    let state = initialKfacState(weightsOf(kfac));
    const start = lossOf(kfac);
    for (let s = 0; s < 40; s++) {
      const { gradients } = lossAndGradients(kfac, "softmaxCrossEntropy", X, classes);
      const rows = curvatureRows(kfac, "softmaxCrossEntropy", X, { kind: "exact" });
      const result = kfacStep(weightsOf(kfac), gradients, batchFactors(rows), state, {
        learningRate: 0.5,
        damping: 1e-2,
        factorDecay: 0.8,
      });
      kfac = withWeights(kfac, result.weights);
      state = result.state;
      const plain = lossAndGradients(sgd, "softmaxCrossEntropy", X, classes).gradients;
      sgd = withWeights(
        sgd,
        weightsOf(sgd).map((W, l) => add(W, plain[l]!, 1, -0.5)),
      );
    }
    expect(lossOf(kfac)).toBeLessThan(0.5 * lossOf(sgd));
    expect(lossOf(sgd)).toBeLessThan(start);
  });
});
