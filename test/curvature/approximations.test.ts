/** Approximations of a layer's curvature on the GPU: against f64, where they are exact, how near they are, as preconditioners. */
import type { Approximation } from "../../src/curvature/approximations/approximation.js";
import { kfocFactors } from "../../src/curvature/approximations/kfoc.js";
import {
  APPROXIMATIONS,
  type ApproximationKind,
  createApproximation,
} from "../../src/curvature/approximations/kinds.js";
import { recordOneGroup } from "../../src/curvature/blocks/examples.js";
import { GgnBlock } from "../../src/curvature/exact/ggn.js";
import { denseHessian } from "../../src/curvature/exact/operator.js";
import { ArgumentError, ShapeError } from "../../src/errors.js";
import { conjugateGradients } from "../../src/linalg/cg.js";
import {
  type Approximation as Approximation64,
  eigenbasisApproximation,
  ekfac,
  expandFactors,
  kfocFactors as kfocFactors64,
  kroneckerApproximation,
  reduceFactors,
} from "../../src/reference/approximations.js";
import { identity, type Matrix, matrix } from "../../src/reference/matrix.js";
import { meanFluctuation } from "../../src/reference/mean-fluctuation.js";
import { blockJacobians, type PositionBlock } from "../../src/reference/operator.js";
import {
  assert,
  assertClose,
  assertEqual,
  assertThrows,
  assertWritten,
  type Random,
  type TestContext,
  trainingTest,
} from "../harness/kernel-test.js";
import { managerOf } from "../linalg/helpers.js";
import { matrixOf } from "../network/helpers.js";
import { download } from "./helpers.js";
import {
  blank,
  type LayerData,
  type LayerShape,
  randomData,
  store,
  submit,
  type TestLayer,
  testLayer,
} from "./layers.js";

const SHAPES: LayerShape[] = [
  { in: 7, out: 5, positions: 1, examples: 30, columns: 3 },
  { in: 6, out: 9, positions: 4, examples: 20, columns: 2 },
  { in: 11, out: 3, positions: 5, examples: 17, columns: 4 },
];

function diagonal64(block: PositionBlock): Approximation64 {
  const jacobians = blockJacobians(block);
  const { rows, cols } = jacobians[0]!;
  const S = matrix(rows, cols);
  for (const J of jacobians) {
    J.data.forEach((x, k) => {
      S.data[k]! += (x * x) / block.divisor;
    });
  }
  return eigenbasisApproximation("diagonal", identity(cols), identity(rows), S);
}

function twinOf(kind: ApproximationKind, block: PositionBlock): Approximation64 {
  switch (kind) {
    case "diagonal":
      return diagonal64(block);
    case "expand":
      return kroneckerApproximation(kind, expandFactors(block));
    case "expandFactored":
      return kroneckerApproximation(kind, expandFactors(block), "factored");
    case "reduce":
      return kroneckerApproximation(kind, reduceFactors(block));
    case "ekfac":
      return ekfac(block, expandFactors(block));
    case "kfoc":
      return kroneckerApproximation(kind, kfocFactors64(block));
    case "meanFluctuation":
      return meanFluctuation(block);
  }
}

async function withApproximation<T>(
  t: TestContext,
  layer: TestLayer,
  kind: ApproximationKind,
  damping: number,
  body: (approximation: Approximation) => Promise<T>,
): Promise<T> {
  const approximation = createApproximation(managerOf(t), layer, kind);
  try {
    submit(managerOf(t), (recorder) => {
      approximation.fit(recorder, layer);
      approximation.damp(recorder, damping);
    });
    return await body(approximation);
  } finally {
    approximation.dispose();
  }
}

async function solved(t: TestContext, approximation: Approximation, G: Matrix): Promise<Float32Array> {
  const into = blank(t, G.rows, G.cols);
  const g = store(t, G.data, G.rows, G.cols);
  submit(managerOf(t), (recorder) => approximation.solve(recorder, g, into));
  return download(t, into);
}

function normalsOf(random: Random, { out, in: inputs }: LayerShape): Matrix {
  return matrixOf(random.normals(out * inputs), out, inputs);
}

/** Mean eigenvalue of the exact block. */
function meanCurvature(block: PositionBlock): number {
  const jacobians = blockJacobians(block);
  const total = jacobians.reduce((sum, { data }) => sum + data.reduce((all, x) => all + x * x, 0), 0);
  return total / block.divisor / jacobians[0]!.data.length;
}

for (const kind of APPROXIMATIONS) {
  trainingTest(`approximations: ${kind}, products and solutions against f64`, async (t) => {
    for (const shape of SHAPES) {
      const random = t.random(shape.in);
      const layer = testLayer(t, shape, randomData(random, shape));
      const twin = twinOf(kind, layer.block);
      const V = normalsOf(random, shape);
      for (const relative of [1, 1e-2]) {
        const damping = relative * meanCurvature(layer.block);
        const what = `${kind}, T = ${shape.positions}, λ = ${relative} of the mean`;
        await withApproximation(t, layer, kind, damping, async (approximation) => {
          const into = blank(t, shape.out, shape.in);
          const v = store(t, V.data, V.rows, V.cols);
          submit(managerOf(t), (recorder) => approximation.apply(recorder, v, into));
          // The power iteration stops after a fixed number of rounds.
          const bound = kind === "kfoc" ? 2e-3 : 2e-5;
          assertClose(await download(t, into), twin.apply(V).data, bound, `${what}: H V`);
          assertClose(
            await solved(t, approximation, V),
            twin.solve(V, damping).data,
            5 * bound,
            `${what}: δ`,
          );
          assertEqual(await approximation.readStatus(), 0, `${what}: status`);
        });
      }
    }
  });
}

trainingTest("kfoc: Jacobians formed a few at a time give the same factors", async (t) => {
  const shape = { in: 6, out: 5, positions: 3, examples: 11, columns: 2 };
  const layer = testLayer(t, shape, randomData(t.random(3), shape));
  const factorsOf = async (chunkLength: number) => {
    const into = { A: blank(t, 6, 6), B: blank(t, 5, 5) };
    submit(managerOf(t), (recorder) => {
      kfocFactors(recorder, recordOneGroup(recorder, layer, layer), into, 5, chunkLength);
    });
    return [...(await download(t, into.A)), ...(await download(t, into.B))];
  };
  const whole = await factorsOf(1e6);
  // 6 × 8 numbers to a Jacobian: one at a time, and five, which does not divide the 22 there are.
  for (const length of [1, 250]) assertClose(await factorsOf(length), whole, 1e-5, `chunks of ${length}`);
  assertThrows(() => assertClose(whole, [...whole].reverse(), 0.1, "reversed"), Error, /relative error/);
});

trainingTest("approximations: without damping, directions of no curvature are left out", async (t) => {
  const shape = { in: 9, out: 4, positions: 3, examples: 2, columns: 1 };
  const random = t.random(4);
  const layer = testLayer(t, shape, randomData(random, shape));
  const G = normalsOf(random, shape);
  for (const kind of ["expand", "reduce", "ekfac", "diagonal"] as const) {
    const expected = twinOf(kind, layer.block).solve(G, 0);
    await withApproximation(t, layer, kind, 0, async (approximation) => {
      assertClose(await solved(t, approximation, G), expected.data, 2e-2, kind);
    });
  }
});

async function dense(t: TestContext, layer: TestLayer, kind: ApproximationKind): Promise<Float32Array> {
  return withApproximation(t, layer, kind, 1, async (one) => (await denseHessian(managerOf(t), one)).data);
}

async function exact(t: TestContext, layer: TestLayer): Promise<Float32Array> {
  const block = new GgnBlock(managerOf(t), layer);
  const { data } = await denseHessian(managerOf(t), block.over(layer));
  block.dispose();
  return data;
}

/** ‖X − H‖/‖H‖ */
function distance(X: ArrayLike<number>, H: Float32Array): number {
  let [gap, size] = [0, 0];
  for (const [k, h] of H.entries()) {
    gap += (X[k]! - h) ** 2;
    size += h * h;
  }
  return Math.sqrt(gap / size);
}

trainingTest("approximations: EKFAC and KFOC are nearer than KFAC, and none is exact", async (t) => {
  for (const shape of SHAPES) {
    const layer = testLayer(t, shape, randomData(t.random(shape.out), shape));
    const H = await exact(t, layer);
    const errors = {} as Record<ApproximationKind, number>;
    for (const kind of APPROXIMATIONS) {
      const X = await dense(t, layer, kind);
      errors[kind] = distance(X, H);
      assert(Math.abs(errors[kind] - distance(twinOf(kind, layer.block).dense().data, H)) < 1e-4, kind);
    }
    const text = JSON.stringify(errors);
    assert(errors.ekfac < errors.expand - 1e-3, text);
    assert(errors.kfoc < errors.expand - 1e-3, text);
    assert(errors.kfoc <= errors.reduce + 1e-6, text);
    assert(
      Object.values(errors).every((error) => error > 0.05),
      text,
    );
  }
});

/** Inputs that are random, derivatives made by `b` of example, column and position, out numbers each. */
function dataOf(
  t: TestContext,
  shape: LayerShape,
  b: (random: Random) => (c: number, i: number, p: number) => Float32Array,
): LayerData {
  const random = t.random(21);
  const { A } = randomData(random, shape);
  const { out, positions: T, examples: N, columns: C } = shape;
  const of = b(random);
  const B = new Float32Array(C * N * T * out);
  for (let c = 0; c < C; c++) {
    for (let i = 0; i < N; i++) for (let p = 0; p < T; p++) B.set(of(c, i, p), ((c * N + i) * T + p) * out);
  }
  return { A, B };
}

const cases: {
  name: string;
  shape: LayerShape;
  b: (shape: LayerShape) => (random: Random) => (c: number, i: number, p: number) => Float32Array;
  right: ApproximationKind[];
  wrong: ApproximationKind[];
}[] = [
  {
    name: "one example with one column",
    shape: { in: 5, out: 4, positions: 1, examples: 1, columns: 1 },
    b: (shape) => (random) => () => random.normals(shape.out),
    right: ["expand", "reduce", "ekfac", "kfoc", "meanFluctuation"],
    wrong: ["diagonal"],
  },
  {
    name: "one example with several columns",
    shape: { in: 5, out: 4, positions: 1, examples: 1, columns: 3 },
    b: (shape) => (random) => () => random.normals(shape.out),
    right: ["expand", "reduce", "ekfac", "kfoc", "meanFluctuation"],
    wrong: ["diagonal"],
  },
  {
    name: "a deep linear network, or one activation pattern for all examples: the same B for each",
    shape: { in: 5, out: 4, positions: 1, examples: 9, columns: 3 },
    b: (shape) => (random) => {
      const columns = Array.from({ length: shape.columns }, () => random.normals(shape.out));
      return (c) => columns[c]!;
    },
    right: ["expand", "reduce", "ekfac", "kfoc", "meanFluctuation"],
    wrong: ["diagonal"],
  },
  {
    name: "an activation pattern of its own for each example",
    shape: { in: 5, out: 4, positions: 1, examples: 9, columns: 3 },
    b: (shape) => (random) => () => random.normals(shape.out),
    right: [],
    wrong: [...APPROXIMATIONS],
  },
  {
    name: "a linear network with a loss at each position",
    shape: { in: 4, out: 3, positions: 3, examples: 8, columns: 6 },
    b: (shape) => (random) => {
      const columns = Array.from({ length: shape.columns }, () => random.normals(shape.out));
      return (c, _i, p) => (c % shape.positions === p ? columns[c - p]! : new Float32Array(shape.out));
    },
    right: ["expand", "ekfac", "kfoc"],
    wrong: ["diagonal", "reduce"],
  },
  {
    name: "a linear network with a sum over positions behind it",
    shape: { in: 4, out: 3, positions: 3, examples: 8, columns: 2 },
    b: (shape) => (random) => {
      const columns = Array.from({ length: shape.columns }, () => random.normals(shape.out));
      return (c) => columns[c]!;
    },
    right: ["reduce", "meanFluctuation", "kfoc"],
    wrong: ["diagonal", "expand"],
  },
];

for (const { name, shape, b, right, wrong } of cases) {
  trainingTest(`approximations: ${name}`, async (t) => {
    const layer = testLayer(t, shape, dataOf(t, shape, b(shape)));
    const H = await exact(t, layer);
    for (const kind of right) {
      const error = distance(await dense(t, layer, kind), H);
      assert(error < 1e-5, `${kind}: ${error}, but it should be exact`);
    }
    for (const kind of wrong) {
      const error = distance(await dense(t, layer, kind), H);
      assert(error > 0.05, `${kind}: ${error}, but it should not be exact`);
    }
  });
}

trainingTest(
  "approximations: preconditioned CG lands where plain CG does; an exact one needs two steps",
  async (t) => {
    const shape = { in: 6, out: 5, positions: 3, examples: 12, columns: 2 };
    const random = t.random(8);
    for (const sum of [false, true]) {
      const data = sum ? dataOf(t, shape, cases[5]!.b(shape)) : randomData(random, shape);
      const layer = testLayer(t, shape, data);
      const damping = 1e-2 * meanCurvature(layer.block);
      const G = normalsOf(random, shape);
      const operands = () => ({ G: store(t, G.data, G.rows, G.cols), into: blank(t, G.rows, G.cols) });
      const block = new GgnBlock(managerOf(t), layer);
      const H = block.over(layer);
      const plain = operands();
      const options = { damping, tolerance: 1e-5, maxIterations: 300 };
      const result = await conjugateGradients(managerOf(t), H, plain, options);
      assertEqual(result.status, "converged", "plain CG");
      const expected = await download(t, plain.into);
      for (const kind of APPROXIMATIONS) {
        await withApproximation(t, layer, kind, damping, async ({ preconditioner }) => {
          const own = operands();
          const outcome = await conjugateGradients(managerOf(t), H, own, { ...options, preconditioner });
          assertEqual(outcome.status, "converged", kind);
          assertClose(await download(t, own.into), expected, 1e-2, kind);
          if (sum && kind === "reduce") assert(outcome.iterations <= 2, `${kind}: ${outcome.iterations}`);
          if (!sum) assert(outcome.iterations > 3, `${kind}: ${outcome.iterations} iterations`);
        });
      }
      block.dispose();
    }
  },
);

trainingTest(
  "approximations: numbers that are not finite give zero and a status, and the next fit is well",
  async (t) => {
    const shape = { in: 6, out: 4, positions: 2, examples: 9, columns: 2 };
    const random = t.random(9);
    const good = randomData(random, shape);
    const G = normalsOf(random, shape);
    for (const kind of APPROXIMATIONS) {
      for (const side of ["A", "B"] as const) {
        const sick = { ...good, [side]: good[side].slice() };
        sick[side][7] = kind === "ekfac" ? Number.POSITIVE_INFINITY : Number.NaN;
        const [bad, well] = [testLayer(t, shape, sick), testLayer(t, shape, good)];
        await withApproximation(t, bad, kind, 0.1, async (approximation) => {
          const zero = await solved(t, approximation, G);
          assertWritten(zero, `${kind}: δ`);
          assert(
            zero.every((x) => x === 0),
            `${kind}: δ is not zero`,
          );
          assert(((await approximation.readStatus()) & 2) === 2, `${kind}: status`);
          submit(managerOf(t), (recorder) => {
            approximation.fit(recorder, well);
            approximation.damp(recorder, 0.1);
          });
          assertEqual(await approximation.readStatus(), 0, `${kind}: status afterwards`);
          assert(
            (await solved(t, approximation, G)).some((x) => x !== 0),
            `${kind}: δ afterwards is zero`,
          );
        });
      }
    }
  },
);

trainingTest(
  "approximations: no growth after warm-up, memory given back, bad arguments refused",
  async (t) => {
    const shape = { in: 6, out: 4, positions: 3, examples: 5, columns: 2 };
    const layer = testLayer(t, shape, randomData(t.random(10), shape));
    const wider = { ...shape, in: 7 };
    const other = testLayer(t, wider, randomData(t.random(10), wider));
    const manager = managerOf(t);
    const [g, into] = [store(t, new Float32Array(24).fill(1), 4, 6), blank(t, 4, 6)];
    for (const kind of APPROXIMATIONS) {
      const approximation = createApproximation(manager, layer, kind);
      const once = () =>
        submit(manager, (recorder) => {
          approximation.fit(recorder, layer);
          approximation.damp(recorder, 0.1);
          approximation.solve(recorder, g, into);
        });
      for (let k = 0; k < 6; k++) once();
      const { counts } = manager;
      for (let k = 0; k < 4; k++) once();
      for (const key of ["buffers", "tables", "pipelines"] as const) {
        assertEqual(manager.counts[key], counts[key], `${kind}: ${key} after warm-up`);
      }
      const recorder = manager.record();
      assertThrows(() => approximation.damp(recorder, -1), ArgumentError, /damping must be a finite number/);
      assertThrows(() => approximation.fit(recorder, other), ShapeError, /the layer/);
      assertEqual(recorder.dispatches, 0, `${kind}: dispatches`);
      recorder.submit();
      approximation.dispose();
    }
    const before = manager.counts.liveBuffers;
    for (const kind of APPROXIMATIONS) createApproximation(manager, layer, kind).dispose();
    assertEqual(manager.counts.liveBuffers, before, "buffers");
    const unknown = "kfac" as ApproximationKind;
    assertThrows(() => createApproximation(manager, layer, unknown), ArgumentError, /must be one of/);
  },
);
