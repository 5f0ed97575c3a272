import { describe, expect, it } from "vitest";
import { ArgumentError, ShapeError } from "../../src/errors.js";
import {
  activation,
  addOp,
  batchFactors,
  conv2dOp,
  curvatureRows,
  dampedInverses,
  denseOp,
  dot,
  expandFactors,
  type Factors,
  type Fisher,
  flattenOp,
  graphCurvature,
  graphLossAndGradients,
  initialKfacState,
  initialKfacTrainingState,
  inverts,
  type KfacTrainingOptions,
  type KfacTrainingResult,
  type KfacTrainingState,
  kfacGraphStep,
  kfacStep,
  kfacTrainingStep,
  type Layer,
  linear,
  lossAndGradients,
  matmul,
  matrix,
  networkGraph,
  type ReferenceGraph,
  reduceFactors,
  relativeError,
  scale,
  solve,
  takesFactors,
  tensor,
  type Weights,
  weightsOf,
  withWeights,
} from "../../src/reference/index.js";
import { randomMatrix } from "./helpers.js";

const steps = (until: number, due: (number: number) => boolean) =>
  Array.from({ length: until }, (_, k) => k + 1).filter(due);

describe("the schedule", () => {
  it("takes factors on the first step and every so many from there", () => {
    expect(steps(9, (n) => takesFactors(n))).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9]);
    expect(steps(9, (n) => takesFactors(n, 4))).toEqual([1, 5, 9]);
    expect(() => takesFactors(1, 0)).toThrow(ArgumentError);
  });

  it("inverts early at the powers of two, then every so many steps from the first", () => {
    expect(steps(40, (n) => inverts(n, 12))).toEqual([1, 2, 4, 8, 13, 25, 37]);
    expect(steps(14, (n) => inverts(n))).toEqual([1, 2, 4, 8, 11]);
    expect(steps(9, (n) => inverts(n, 4))).toEqual([1, 2, 5, 9]);
    expect(steps(4, (n) => inverts(n, 1))).toEqual([1, 2, 3, 4]);
    expect(steps(99, (n) => inverts(n, 100))).toEqual([1, 2, 4, 8, 16, 32, 64]);
    expect(() => inverts(1, 1.5)).toThrow(ArgumentError);
  });
});

const number = (x: number) => matrix(1, 1, [x]);

describe("one weight, where everything is a number", () => {
  /** Ā and B̄ of batch t, and its gradient. */
  const a = (t: number) => 2 + Math.sin(t);
  const b = (t: number) => 0.3 + 0.1 * Math.cos(3 * t);
  const g = (t: number) => 1 + 0.5 * Math.sin(2 * t);

  function run(count: number, options: Required<KfacTrainingOptions>): KfacTrainingResult[] {
    let weights: Weights = { w: number(4) };
    let state = initialKfacTrainingState(weights);
    return Array.from({ length: count }, (_, k) => {
      const t = k + 1;
      const fresh = takesFactors(t, options.factorEvery)
        ? { w: { A: number(a(t)), B: number(b(t)) } }
        : undefined;
      const result = kfacTrainingStep(weights, { w: number(g(t)) }, fresh, state, options);
      ({ weights, state } = result);
      return result;
    });
  }

  /** The same written out: π² = a/b, so (a + π√λ)(b + √λ/π) = (√(ab) + √λ)². */
  function byHand(count: number, o: Required<KfacTrainingOptions>, stale = true): number[] {
    let [w, v, taken, meanA, meanB, inverse] = [4, 0, 0, 0, 0, 0];
    return Array.from({ length: count }, (_, k) => {
      const t = k + 1;
      if (k % o.factorEvery === 0) {
        taken++;
        const beta = Math.min(1 - 1 / taken, o.emaDecay);
        meanA = beta * meanA + (1 - beta) * a(t);
        meanB = beta * meanB + (1 - beta) * b(t);
      }
      const due = k % o.inverseEvery === 0 || ([1, 2, 4, 8].includes(t) && t < o.inverseEvery);
      if (due || !stale) inverse = 1 / (Math.sqrt(meanA * meanB) + Math.sqrt(o.damping)) ** 2;
      const full = g(t) + o.weightDecay * w;
      const u = inverse * full;
      const size = o.learningRate ** 2 * full * u;
      const clip = o.klClip > 0 ? Math.min(1, Math.sqrt(o.klClip / size)) : 1;
      v = o.momentum * v + clip * u;
      w -= o.learningRate * v;
      return w;
    });
  }

  const base: Required<KfacTrainingOptions> = {
    learningRate: 0.05,
    damping: 0.02,
    momentum: 0.8,
    emaDecay: 0.6,
    factorEvery: 1,
    inverseEvery: 1,
    klClip: 0,
    weightDecay: 0,
  };
  const paths: Record<string, Partial<KfacTrainingOptions>> = {
    "everything on every step": {},
    "factors every 3": { factorEvery: 3 },
    "inverses every 5": { inverseEvery: 5 },
    "factors every 2, inverses every 12": { factorEvery: 2, inverseEvery: 12 },
    "no momentum, no damping": { momentum: 0, damping: 0 },
    "norm clip": { klClip: 1e-4, inverseEvery: 3 },
    "weight decay": { weightDecay: 0.3, inverseEvery: 3 },
  };
  const row = (values: readonly number[]) => matrix(1, values.length, values);

  it.each(Object.keys(paths))("%s", (name) => {
    const options = { ...base, ...paths[name] };
    const results = run(15, options);
    const actual = row(results.map(({ weights }) => weights.w!.data[0]!));
    expect(relativeError(actual, row(byHand(15, options)))).toBeLessThan(1e-13);
    if (options.klClip > 0) {
      for (const { clip, gradientNorm, updateNorm } of results) {
        expect(clip).toBeLessThan(1);
        expect(gradientNorm * updateNorm * options.learningRate * clip).toBeCloseTo(options.klClip, 15);
      }
    }
  });

  it("differs from inverses that are always fresh, from a plain mean, and from decay beside the step", () => {
    const options = { ...base, inverseEvery: 12 };
    const actual = row(run(15, options).map(({ weights }) => weights.w!.data[0]!));
    const error = (other: number[]) => relativeError(row(other), actual);
    expect(error(byHand(15, options, false))).toBeGreaterThan(1e-4);
    expect(error(byHand(15, { ...options, emaDecay: 0.99 }))).toBeGreaterThan(1e-5);
    expect(error(byHand(15, { ...options, inverseEvery: 13 }))).toBeGreaterThan(1e-6);
    expect(error(byHand(15, { ...options, weightDecay: 1e-3 }))).toBeGreaterThan(1e-5);
  });

  it("reads the damping when it inverts", () => {
    const weights = { w: number(1) };
    const fresh = { w: { A: number(1), B: number(1) } };
    const first = kfacTrainingStep(weights, weights, fresh, initialKfacTrainingState(weights), {
      damping: 1,
      inverseEvery: 10,
    });
    expect(first.updates.w!.data[0]).toBeCloseTo(0.25, 14);
    const third = (inverseEvery: number) => {
      const state = { ...first.state, step: 2 };
      return kfacTrainingStep(weights, weights, fresh, state, { damping: 9, inverseEvery }).updates.w!
        .data[0]!;
    };
    expect(third(10)).toBe(first.updates.w!.data[0]);
    expect(third(1)).toBeCloseTo(1 / 16, 15);
  });
});

const layers: Layer[] = [
  linear(randomMatrix(5, 5, 500, 0.5)),
  activation("tanh"),
  linear(randomMatrix(3, 6, 501, 0.5)),
];
const [N, classes] = [6, [0, 2, 1, 1, 0, 2]];
const X = (step: number) => randomMatrix(N, 4, 510 + step);

describe("a network", () => {
  it("is kfacStep when nothing grows old: bit for bit from the same factors", () => {
    const common = { learningRate: 0.3, damping: 0.02, momentum: 0.8, klClip: 0.01, weightDecay: 0.01 };
    const options = { ...common, emaDecay: 0.6, inverseEvery: 1, fisher: "exact" } as const;
    const { graph, weights: start } = networkGraph(layers);
    const keys = Object.keys(start);
    const named = <T>(list: readonly T[]) => Object.fromEntries(keys.map((key, l) => [key, list[l]!]));
    let byGraph = { weights: start, state: initialKfacTrainingState(start) };
    let network: Layer[] = [...layers];
    let old = initialKfacState(weightsOf(network));
    let state = initialKfacTrainingState(start);
    for (let step = 1; step <= 4; step++) {
      const batch = { inputs: { inputs: X(step) }, targets: classes };
      const graphStep = kfacGraphStep(
        graph,
        byGraph.weights,
        "softmaxCrossEntropy",
        batch,
        byGraph.state,
        options,
      );
      byGraph = graphStep;
      const { loss, gradients } = lossAndGradients(network, "softmaxCrossEntropy", X(step), classes);
      const fresh = batchFactors(curvatureRows(network, "softmaxCrossEntropy", X(step), { kind: "exact" }));
      const before = weightsOf(network);
      const expected = kfacStep(before, gradients, fresh, old, { ...common, factorDecay: 0.6 });
      const actual = kfacTrainingStep(named(before), named(gradients), named(fresh), state, options);
      state = actual.state;
      old = expected.state;
      network = withWeights(network, expected.weights);
      expect(actual.clip).toBe(expected.clip);
      expect(actual.clip).toBeLessThan(1);
      expect(Object.values(actual.weights)).toEqual(expected.weights);
      expect(graphStep.loss).toBeCloseTo(loss, 13);
      keys.forEach((key, l) => {
        expect(relativeError(byGraph.weights[key]!, expected.weights[l]!)).toBeLessThan(1e-13);
      });
    }
  });

  it.each<Fisher["kind"]>(["exact", "monteCarlo", "empirical"])("makes factors of %s columns", (fisher) => {
    const { graph, weights } = networkGraph(layers);
    const inputs = { inputs: X(1) };
    const first = initialKfacTrainingState(weights);
    const state: KfacTrainingState = { ...first, step: 8 };
    const batch = { inputs, targets: classes };
    const options = { fisher, seed: 77, samples: 2 };
    const result = kfacGraphStep(graph, weights, "softmaxCrossEntropy", batch, state, options);
    const columns: Fisher =
      fisher === "monteCarlo"
        ? { kind: fisher, seed: 77, step: 9, samples: 2 }
        : fisher === "empirical"
          ? { kind: fisher, targets: classes }
          : { kind: fisher };
    const blocks = graphCurvature(graph, weights, "softmaxCrossEntropy", inputs, columns);
    for (const [key, own] of Object.entries(result.state.layers)) {
      expect(own.factors).toEqual(expandFactors(blocks[key]![0]!));
    }
    expect(result.skipped).toEqual(Object.keys(weights));
    const { loss } = graphLossAndGradients(graph, weights, "softmaxCrossEntropy", inputs, classes);
    expect(result.loss).toBe(loss);
  });

  it("one step of a linear network lands on the least-squares minimiser", () => {
    const graph: ReferenceGraph = {
      inputs: ["x"],
      nodes: [{ name: "z", inputs: ["x"], op: denseOp({ bias: false }), weights: "W" }],
      output: "z",
    };
    const [inputs, targets] = [randomMatrix(20, 3, 1), randomMatrix(20, 2, 2)];
    const weights = { W: randomMatrix(2, 3, 3) };
    const step = (damping: number) =>
      kfacGraphStep(
        graph,
        weights,
        "halfSquaredError",
        { inputs: { x: inputs }, targets },
        initialKfacTrainingState(weights),
        { learningRate: 1, damping, momentum: 0, fisher: "exact" },
      ).weights.W!;
    const normal = solve(
      matmul(inputs, inputs, { transposeA: true }),
      matmul(inputs, targets, { transposeA: true }),
    );
    const prediction = (W: typeof normal) => matmul(inputs, W, { transposeB: true });
    expect(relativeError(prediction(step(0)), matmul(inputs, normal))).toBeLessThan(1e-12);
    expect(relativeError(prediction(step(0.1)), matmul(inputs, normal))).toBeGreaterThan(1e-2);
  });

  it("trains a residual net with tied weights, and takes factors by the caller's rule", () => {
    const graph: ReferenceGraph = {
      inputs: ["x"],
      nodes: [
        { name: "one", inputs: ["x"], op: denseOp({ positions: true }), weights: "tied" },
        { name: "two", inputs: ["one"], op: denseOp({ positions: true }), weights: "tied" },
        { name: "sum", inputs: ["one", "two"], op: addOp() },
        { name: "flat", inputs: ["sum"], op: flattenOp() },
        { name: "z", inputs: ["flat"], op: denseOp(), weights: "head" },
      ],
      output: "z",
    };
    const batch = {
      inputs: { x: tensor([N, 2, 1, 3], randomMatrix(N, 6, 520).data) },
      targets: classes,
    };
    const train = (factorsOf?: typeof reduceFactors) => {
      let weights: Weights = { tied: randomMatrix(2, 3, 521, 0.5), head: randomMatrix(3, 7, 522, 0.5) };
      let state = initialKfacTrainingState(weights);
      const losses: number[] = [];
      for (let step = 0; step < 20; step++) {
        const options = { fisher: "exact", momentum: 0.5, damping: 0.1, factorsOf } as const;
        const result = kfacGraphStep(graph, weights, "softmaxCrossEntropy", batch, state, options);
        ({ weights, state } = result);
        losses.push(result.loss);
      }
      return losses;
    };
    const [expand, reduce] = [train(), train(reduceFactors)];
    for (const losses of [expand, reduce]) expect(losses.at(-1)!).toBeLessThan(0.5 * losses[0]!);
    expect(expand[0]).toBe(reduce[0]);
    expect(expand[1]).not.toBe(reduce[1]);
  });
});

describe("layers that cannot step", () => {
  const weights = { a: randomMatrix(2, 2, 530), b: randomMatrix(2, 2, 531) };
  const gradients = { a: randomMatrix(2, 2, 532), b: randomMatrix(2, 2, 533) };
  const one: Factors = { A: matrix(2, 2, [2, 0, 0, 1]), B: matrix(2, 2, [1, 0, 0, 3]) };
  const singular: Factors = { A: matrix(2, 2, [1, 0, 0, 0]), B: one.B };
  const broken: Factors = { A: matrix(2, 2, [Number.NaN, 0, 0, 1]), B: one.B };
  const start = initialKfacTrainingState(weights);
  const options: KfacTrainingOptions = { damping: 0, inverseEvery: 1, klClip: 1e-4 };
  const step = (fresh: Record<string, Factors>, state = start, G: Weights = gradients) =>
    kfacTrainingStep(weights, G, fresh, state, options);

  it("are left alone without an inverse, and the clip does not count them", () => {
    const { weights: next, skipped, clip, updates, state } = step({ a: one, b: singular });
    expect(skipped).toEqual(["b"]);
    expect(next.b).toBe(weights.b);
    expect(next.a).not.toEqual(weights.a);
    expect(clip).toBeCloseTo(Math.sqrt(1e-4 / (0.01 * dot(gradients.a, updates.a!))), 14);
    expect(updates.b).toEqual(matrix(2, 2));
    expect(state.layers.b!.boost).toBe(10);
    expect(state.layers.b!.inverses.A).toBeUndefined();
    expect(state.layers.b!.inverses.B).toBeDefined();
  });

  it("keep their inverse when the next one fails, and λ is raised until one succeeds", () => {
    const first = step({ a: one, b: one });
    // The mean of factors that cancel: singular, with no weight left on the first.
    const opposite: Factors = { A: scale(one.A, -1), B: one.B };
    const second = step({ a: one, b: opposite }, first.state);
    expect(second.skipped).toEqual([]);
    expect(second.state.layers.b!.inverses.A).toEqual(first.state.layers.b!.inverses.A);
    expect(second.state.layers.b!.boost).toBe(10);
    const third = step({ a: one, b: one }, second.state);
    expect(third.state.layers.b!.boost).toBeCloseTo(Math.sqrt(10), 14);
    expect(third.state.layers.a!.boost).toBe(1);
  });

  it("invert with the raised λ", () => {
    const damped = { ...options, damping: 0.1 };
    const run = (fresh: Factors, state: KfacTrainingState) =>
      kfacTrainingStep(weights, gradients, { a: one, b: fresh }, state, damped).state;
    const negative = run({ A: scale(one.A, -3), B: one.B }, run(one, start));
    expect(negative.layers.b!.boost).toBe(10);
    // The mean of A, −3A and 5A is A again.
    const { b } = run({ A: scale(one.A, 5), B: one.B }, negative).layers;
    for (const side of ["A", "B"] as const) {
      const expected = dampedInverses(one, 1)[side].inverse;
      expect(relativeError(b!.inverses[side]!, expected)).toBeLessThan(1e-14);
      expect(relativeError(b!.inverses[side]!, dampedInverses(one, 0.1)[side].inverse)).toBeGreaterThan(0.1);
    }
  });

  it("leave out a batch that is not finite, and a gradient that is not", () => {
    const first = step({ a: one, b: broken });
    expect(first.skipped).toEqual(["b"]);
    expect(first.state.layers.b).toEqual(start.layers.b);
    const second = step({ a: broken, b: one }, first.state);
    expect(second.skipped).toEqual([]);
    expect(second.state.layers.a!.batches).toBe(1);
    const bad = { ...gradients, a: matrix(2, 2, [1, Number.POSITIVE_INFINITY, 0, 0]) };
    const third = step({ a: one, b: one }, second.state, bad);
    expect(third.skipped).toEqual(["a"]);
    expect(third.weights.a).toBe(weights.a);
    expect(third.state.layers.a!.velocity).toEqual(second.state.layers.a!.velocity);
    expect(Number.isFinite(third.gradientNorm)).toBe(true);
  });
});

describe("what a step refuses", () => {
  const weights = { w: number(1) };
  const fresh = { w: { A: number(1), B: number(1) } };
  const start = initialKfacTrainingState(weights);
  const step =
    (
      options: KfacTrainingOptions = {},
      factors: Record<string, Factors> | undefined = fresh,
      state = start,
    ) =>
    () =>
      kfacTrainingStep(weights, weights, factors, state, options);

  it("options out of range", () => {
    for (const options of [
      { learningRate: 0 },
      { damping: -1 },
      { momentum: 1 },
      { emaDecay: 1 },
      { factorEvery: 0 },
      { inverseEvery: 1.5 },
      { klClip: -1 },
      { weightDecay: Number.NaN },
    ]) {
      expect(step(options)).toThrow(ArgumentError);
    }
    expect(step()).not.toThrow();
  });

  it("factors that are missing, not due or of another size", () => {
    expect(() => kfacTrainingStep(weights, weights, undefined, start)).toThrow(
      /fresh must be given on steps/,
    );
    expect(step({ factorEvery: 2 }, fresh, { ...start, step: 1 })).toThrow(/this is step 2/);
    expect(step({}, {})).toThrow(/factors for "w"/);
    expect(step({}, { w: { A: matrix(2, 2), B: number(1) } })).toThrow(ShapeError);
    expect(step({}, fresh, { step: 0, layers: {} })).toThrow(/state.layers must hold "w"/);
  });

  it("a grouped convolution", () => {
    const graph: ReferenceGraph = {
      inputs: ["x"],
      nodes: [{ name: "z", inputs: ["x"], op: conv2dOp({ kernel: 1, groups: 2 }), weights: "W" }],
      output: "z",
    };
    const own = { W: randomMatrix(2, 2, 1) };
    const batch = { inputs: { x: tensor([1, 2, 1, 1]) }, targets: matrix(1, 2) };
    expect(() => kfacGraphStep(graph, own, "halfSquaredError", batch, initialKfacTrainingState(own))).toThrow(
      /"W" has 2 groups/,
    );
  });
});
