/** Newton steps computed by the GPU in f32 and refined in f64, against the f64 reference's own. */
import type { Engine } from "../../src/engine.js";
import { ArgumentError, DataError, ShapeError } from "../../src/errors.js";
import {
  convNewtonStep,
  exactNewtonStep,
  fromRows,
  leftTilingStep,
  type Matrix,
  matmul,
  matrix,
  newtonStep,
  norm,
  perPositionBlock,
  RandomStream,
  APPROXIMATIONS as REFERENCE,
  relativeError,
  scale,
  subtract,
} from "../../src/reference/index.js";
import {
  type ConvolutionProblem,
  type LinearProblem,
  type NewtonProblem,
  solveNewton,
} from "../../src/solve/index.js";
import { assert, assertEqual, assertThrows, trainingTest } from "../harness/kernel-test.js";
import { convolutionProblem, type ProblemShape } from "./convolution-problem.js";

class Source {
  readonly #random: RandomStream;

  constructor(seed: number) {
    this.#random = new RandomStream(seed);
  }

  normal(rows: number, cols: number): Matrix {
    return matrix(
      rows,
      cols,
      Float64Array.from({ length: rows * cols }, () => this.#random.normal()),
    );
  }

  example(inputs: number, out: number, n = inputs + 4, c = out + 2) {
    return { A: this.normal(inputs, n), B: this.normal(out, c), target: this.normal(c, n) };
  }
}

function assertNear(actual: Matrix | undefined, wanted: Matrix, bound: number, what: string): void {
  assert(actual, `${what}: there is one`);
  assertEqual(`${actual.rows} × ${actual.cols}`, `${wanted.rows} × ${wanted.cols}`, `${what}: shape`);
  const error = norm(wanted) > 0 ? relativeError(actual, wanted) : norm(actual);
  assert(error <= bound, `${what}: error ${error} is above ${bound}`);
}

const near = (actual: number | undefined, wanted: number, digits: number, what: string) =>
  assert(
    Math.abs((actual ?? Number.NaN) - wanted) < 0.5 * 10 ** -digits,
    `${what}: got ${actual}, expected ${wanted}`,
  );

trainingTest("solveNewton: K-FAC's step is the reference's", async (t) => {
  const engine = t.engine as Engine;
  const source = new Source(11);
  for (const [what, inputs, out, count, damping] of [
    ["one linear network", 5, 3, 1, 0],
    ["rectangles over a tile's edge, damped", 33, 18, 1, 0.5],
    ["three examples", 7, 4, 3, 0],
  ] as const) {
    const W = source.normal(out, inputs);
    const examples = Array.from({ length: count }, () => source.example(inputs, out));
    const problem: LinearProblem = { kind: "linear", W, examples, damping, method: "kfac" };
    const found = await solveNewton(engine, problem);
    const wanted = newtonStep({ examples, W, damping, scale: "note" });
    for (const key of ["gradient", "AAt", "BBt"] as const) {
      assertNear(found[key], wanted[key], 2e-6, `${what}: ${key}`);
    }
    for (const key of ["AAtInverse", "BBtInverse", "step", "W"] as const) {
      assertNear(found[key], wanted[key], 1e-8, `${what}: ${key}`);
    }
    assertEqual(`${found.method}: ${found.status}`, "kfac: ok", what);
    assertEqual(found.ranks.join(), `${inputs},${out}`, `${what}: ranks`);
    near(found.lossBefore, wanted.loss, 9, `${what}: loss before`);
    near(found.lossAfter, newtonStep({ examples, W: wanted.W }).loss, 9, `${what}: loss after`);
  }
});

trainingTest(
  "solveNewton: the exact step is the reference's, and the shortest where H is singular",
  async (t) => {
    const engine = t.engine as Engine;
    const source = new Source(12);
    for (const [what, count, damping, status] of [
      ["a sum of examples", 12, 0, /^ok$/],
      ["damped", 5, 0.5, /^ok$/],
      [
        "too few examples",
        2,
        0,
        /^minimum norm: AA' has rank 6 of 9, BB' has rank 4 of 6, H has rank 12 of 54$/,
      ],
      ["one", 1, 0, /^minimum norm: AA' has rank 3 of 9, BB' has rank 2 of 6$/],
    ] as const) {
      const W = source.normal(6, 9);
      const examples = Array.from({ length: count }, () => source.example(9, 6, 3, 2));
      const found = await solveNewton(engine, { kind: "linear", W, examples, damping });
      const wanted = exactNewtonStep({ examples, W, damping });
      assertNear(found.step, wanted.step, 1e-7, `${what}: step`);
      assertNear(found.W, wanted.W, 1e-7, `${what}: W`);
      assertEqual(found.method, "exact", `${what}: method by default`);
      assert(status.test(found.status), `${what}: status ${found.status}`);
      // One example's Hessian is the product of its factors, and is not formed.
      assertEqual(found.rank, count === 1 ? undefined : wanted.rank, `${what}: rank`);
      near(found.lossAfter, exactNewtonStep({ examples, W: wanted.W }).loss, 9, `${what}: loss after`);
      assert(found.refinement!.residual < 1e-7, `${what}: residual ${found.refinement!.residual}`);
    }
  },
);

trainingTest(
  "solveNewton: examples of different widths, and more unknowns than H is formed for",
  async (t) => {
    const engine = t.engine as Engine;
    const source = new Source(13);
    const widths = [
      [3, 2],
      [1, 5],
      [7, 1],
      [4, 4],
    ] as const;
    const W = source.normal(5, 6);
    const examples = [...widths, ...widths].map(([n, c]) => source.example(6, 5, n, c));
    const found = await solveNewton(engine, { kind: "linear", W, examples, damping: 0.1 });
    assertNear(found.step, exactNewtonStep({ examples, W, damping: 0.1 }).step, 1e-7, "different widths");

    const wide = source.normal(14, 25);
    const many = Array.from({ length: 40 }, () => source.example(25, 14, 6, 5));
    const large = await solveNewton(engine, { kind: "linear", W: wide, examples: many, damping: 3 });
    assertEqual(large.rank, undefined, "350 unknowns: no rank");
    assert((large.iterations ?? 0) > 0, "solved by conjugate gradients");
    const wanted = exactNewtonStep({ examples: many, W: wide, damping: 3, method: "cg" });
    assertNear(large.step, wanted.step, 1e-7, "350 unknowns");
  },
);

trainingTest("solveNewton: EKFAC and the nearest Kronecker product are the reference's", async (t) => {
  const engine = t.engine as Engine;
  const source = new Source(14);
  const W = source.normal(4, 5);
  const examples = Array.from({ length: 6 }, () => source.example(5, 4, 3, 2));
  for (const method of ["ekfac", "kfoc"] as const) {
    const found = await solveNewton(engine, { kind: "linear", W, examples, damping: 0.5, method });
    const { gradient } = exactNewtonStep({ examples, W });
    const wanted = scale(REFERENCE[method](perPositionBlock(examples, 1)).solve(gradient, 0.5), -1);
    assertNear(found.step, wanted, 1e-6, method);
    assertEqual(`${found.method}: ${found.status}`, `${method}: ok`, "status");
    assert(!found.adapter.includes("f64"), `${method} is computed on the GPU: ${found.adapter}`);
  }
});

trainingTest("solveNewton: a tiling's step is one of U", async (t) => {
  const engine = t.engine as Engine;
  const source = new Source(15);
  const [K, U] = [source.normal(6, 3), source.normal(3, 5)];
  const one = { A: source.normal(5, 9), B: source.normal(6, 4), target: source.normal(4, 9) };
  const found = await solveNewton(engine, { kind: "linear", W: U, tiling: K, examples: [one] });
  const wanted = leftTilingStep({ K, U, ...one });
  assertNear(found.step, wanted.step, 1e-7, "step");
  assertNear(found.U, wanted.W, 1e-7, "U");
  assertNear(found.W, matmul(K, wanted.W), 1e-7, "W");
  assertNear(found.BBt, wanted.BBt, 2e-6, "K'BB'K");
});

trainingTest("solveNewton: singular factors give the shortest step", async (t) => {
  const engine = t.engine as Engine;
  const one = (rows: number[][]) => fromRows(rows);
  const problem = (A: number[][], B: number[][], target: number[][], W: number[][]): LinearProblem => ({
    kind: "linear",
    W: one(W),
    examples: [{ A: one(A), B: one(B), target: one(target) }],
    method: "kfac",
  });
  for (const [input, status, ranks] of [
    [problem([[1], [1]], [[1]], [[1]], [[1, 2]]), "minimum norm: AA' has rank 1 of 2", "1,1"],
    [problem([[1, 2]], [[1], [1]], [[1, 3]], [[1], [2]]), "minimum norm: BB' has rank 1 of 2", "1,1"],
    [problem([[0]], [[1]], [[1]], [[1]]), "minimum norm: AA' has rank 0 of 1", "0,1"],
  ] as const) {
    const found = await solveNewton(engine, input);
    const wanted = newtonStep({ examples: input.examples, W: input.W });
    assertEqual(found.status, status, "status");
    assertEqual(found.ranks.join(), ranks, "ranks");
    for (const key of ["AAtInverse", "BBtInverse", "step", "W"] as const) {
      const gap = norm(subtract(found[key]!, wanted[key]));
      assert(gap < 1e-9 * (1 + norm(wanted[key])), `${status}: ${key} is ${gap} away`);
    }
  }
});

const conv = (change: Partial<ProblemShape>) =>
  convolutionProblem({
    ...{ N: 20, C: 2, size: [7, 6], O: 3, kernel: [3, 2], outputs: 5, seed: 8 },
    ...change,
  }).options;

trainingTest("solveNewton: a convolution's step is the least-squares minimiser", async (t) => {
  const engine = t.engine as Engine;
  for (const [what, change, status] of [
    ["with a head", {}, /^ok$/],
    ["strided, padded, dilated", { stride: [2, 1], padding: [1, 2], dilation: 2, outputs: 9 }, /^ok$/],
    ["without head and bias, damped", { outputs: 0, bias: false, damping: 0.7 }, /^ok$/],
    ["one input", { N: 1 }, /^minimum norm: H has rank 5 of 39$/],
  ] as [string, Partial<ProblemShape>, RegExp][]) {
    const options = conv(change);
    const found = await solveNewton(engine, { kind: "convolution", ...options } as ConvolutionProblem);
    const wanted = convNewtonStep(options);
    assertNear(found.step, wanted.step, 1e-6, `${what}: step`);
    assertNear(found.gradient, wanted.gradient, 1e-5, `${what}: gradient`);
    assert(status.test(found.status), `${what}: status ${found.status}`);
    assertEqual(found.rank, wanted.rank, `${what}: rank`);
    near(found.lossBefore, wanted.loss, 9, `${what}: loss before`);
    near(found.lossAfter, convNewtonStep({ ...options, W: wanted.W }).loss, 9, `${what}: loss after`);
  }
});

trainingTest("solveNewton: a convolution's approximations are the reference's", async (t) => {
  const engine = t.engine as Engine;
  const options = conv({ N: 9, size: [6, 5], outputs: 4, seed: 5, damping: 1 });
  for (const method of ["expand", "reduce", "ekfac", "kfoc", "meanFluctuation"] as const) {
    const problem: ConvolutionProblem = { kind: "convolution", ...options, method };
    const found = await solveNewton(engine, problem);
    assertNear(found.step, convNewtonStep({ ...options, method }).step, 1e-5, method);
    assertEqual(`${found.method}: ${found.status}`, `${method}: ok`, "status");
    assert(!found.adapter.includes("f64"), `${method} is computed on the GPU: ${found.adapter}`);
  }
});

trainingTest("solveNewton: what f32 cannot hold has no step and says why", async (t) => {
  const engine = t.engine as Engine;
  const huge = fromRows([[1e30]]);
  const [one, target] = [fromRows([[1]]), fromRows([[1]])];
  const examples = [{ A: huge, B: one, target }];
  const found = await solveNewton(engine, { kind: "linear", W: one, examples });
  assertEqual(found.status, "the products overflow f32; scale the data down", "status");
  assert(found.step === undefined && found.W === undefined && found.lossAfter === undefined, "no step");
});

trainingTest("solveNewton: bad problems are refused by name, and memory given back", async (t) => {
  const engine = t.engine as Engine;
  const source = new Source(16);
  const W = source.normal(3, 4);
  const example = source.example(4, 3);
  const good: LinearProblem = { kind: "linear", W, examples: [example] };
  const convolution = { kind: "convolution", ...conv({}) } as ConvolutionProblem;
  const bad = matrix(3, 4, [...W.data.slice(0, 7), Number.NaN, ...W.data.slice(8)]);
  const cases: [NewtonProblem, new (...args: never[]) => Error, RegExp][] = [
    [{ ...good, damping: -1 }, ArgumentError, /^solveNewton: damping must be a finite number .* got -1/],
    [{ ...good, method: "expand" as never }, ArgumentError, /method must be one of exact, kfac, ekfac, kfoc/],
    [{ ...good, examples: [] }, ArgumentError, /examples must be at least one/],
    [
      { ...good, W: source.normal(3, 5) },
      ShapeError,
      /examples\[0\]\.A has shape \[4 × 8\], expected \[5 × 8\]/,
    ],
    [
      { ...good, examples: [example, { ...example, B: source.normal(2, 5) }] },
      ShapeError,
      /examples\[1\]\.B has shape \[2 × 5\], expected \[3 × 5\]/,
    ],
    [
      { ...good, examples: [{ ...example, target: source.normal(5, 7) }] },
      ShapeError,
      /examples\[0\]\.target has shape \[5 × 7\], expected \[5 × 8\]/,
    ],
    [{ ...good, tiling: source.normal(3, 2) }, ShapeError, /tiling has shape \[3 × 2\], expected \[3 × 3\]/],
    [{ ...good, W: bad }, DataError, /^W: holds NaN at index 7; pass numbers that are finite in f32/],
    [{ ...good, W: scale(W, 1e39) }, DataError, /^W: holds .*e\+3\d at index/],
    [{ ...convolution, W: source.normal(3, 12) }, ShapeError, /W has shape \[3 × 12\], expected \[3 × 13\]/],
    [{ ...convolution, head: source.normal(5, 7) }, ShapeError, /head has shape \[5 × 7\]/],
    [
      { ...convolution, target: source.normal(5, 7) },
      ShapeError,
      /target has shape \[5 × 7\], expected \[20 × 5\]/,
    ],
    [{ ...convolution, method: "kfac" as never }, ArgumentError, /method must be one of exact, expand/],
  ];
  for (const [problem, type, words] of cases) {
    await assertThrows(() => solveNewton(engine, problem), type, words);
  }
  const run = async () => {
    await solveNewton(engine, good);
    await solveNewton(engine, { ...good, examples: [example, source.example(4, 3)] });
    await solveNewton(engine, { ...convolution, method: "kfoc" });
  };
  await run();
  const before = engine.manager.counts;
  await run();
  const after = engine.manager.counts;
  assertEqual(after.liveBytes, before.liveBytes, "live bytes");
  assertEqual(after.liveBuffers, before.liveBuffers, "live buffers");
});
