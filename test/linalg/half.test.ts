/** Products of numbers rounded to f16, against the f64 reference of the rounded numbers and of the given ones. */
import { createEngine } from "../../src/engine.js";
import { FeatureError } from "../../src/errors.js";
import { gram, gramPacked, matmul, paddedView } from "../../src/linalg/index.js";
import type { PipelineManager } from "../../src/pipeline/index.js";
import { gram as exactGram } from "../../src/reference/gram.js";
import { matmul as exactMatmul } from "../../src/reference/matmul.js";
import { type Matrix, matrix } from "../../src/reference/matrix.js";
import { Skipped } from "../harness/context.js";
import { assert, assertEqual, assertThrows, kernelTest, type TestContext } from "../harness/kernel-test.js";
import {
  Arena,
  absolute,
  assertSameBits,
  assertSymmetric,
  assertWithin,
  managerOf,
  onEveryTile,
  reference,
  run,
} from "./helpers.js";

/** Two roundings of 11 bits, in roundings of f32. */
const HALF = 2 ** 14 + 4;

/** |x|, and 2⁻¹⁷ of the largest: 2⁻¹¹ of that is what is flushed to zero. */
function bounded(m: Matrix): Matrix {
  const sizes = absolute(m).data;
  const largest = sizes.reduce((most, x) => Math.max(most, x), 0);
  return { ...m, data: sizes.map((x) => x + 2 ** -17 * largest) };
}

/** What the GPU is to round a matrix to: 11 bits, ties to even, and zero for what is 2^-28 times as small as 2^⌊log₂ max⌋. */
function rounded(m: Matrix): Matrix {
  const largest = m.data.reduce((most, x) => Math.max(most, Math.abs(x)), 0);
  const scale = 2 ** (14 - Math.floor(Math.log2(largest)));
  const round = (x: number) => {
    const size = Math.abs(x * scale);
    if (!(size >= 2 ** -14)) return 0;
    const unit = 2 ** (Math.floor(Math.log2(size)) - 10);
    const below = Math.floor(size / unit);
    const rest = size / unit - below;
    const up = rest > 0.5 || (rest === 0.5 && below % 2 === 1);
    return (Math.sign(x) * (below + (up ? 1 : 0)) * unit) / scale;
  };
  return { ...m, data: m.data.map(round) };
}

interface Case {
  m: number;
  n: number;
  k: number;
  /** A Gram matrix, m × m; otherwise a product, m × n. */
  lower?: boolean;
  transposeA?: boolean;
  transposeB?: boolean;
  alpha?: number;
  beta?: number;
  loose?: boolean;
  /** What the numbers of A and B are multiplied by; a third of them by 1e-6 more. */
  sizes?: readonly [number, number];
}

async function check(t: TestContext, manager: PipelineManager, cases: readonly Case[], seed: number) {
  const random = t.random(seed);
  const [a, b, c] = [new Arena(), new Arena(), new Arena()];
  const numbers = (count: number, size: number) =>
    random.normals(count).map((x, i) => x * size * (i % 3 === 0 ? 1e-6 : 1));
  const placed = cases.map((one) => {
    const { m, n, k, lower, transposeA, transposeB, beta, loose = false, sizes = [1, 1] } = one;
    const [rows, cols] = transposeA ? [k, m] : [m, k];
    const [bRows, bCols] = transposeB ? [n, k] : [k, n];
    const A = a.add(rows, cols, loose, numbers(m * k, sizes[0]));
    const B = lower ? undefined : b.add(bRows, bCols, loose, numbers(k * n, sizes[1]));
    const size = m * (lower ? m : n);
    // Symmetric, all the same.
    return { ...one, A, B, C: c.add(m, lower ? m : n, loose, beta ? Array(size).fill(0.5) : undefined) };
  });
  for (const arena of [a, b, c]) arena.upload(t);
  run(manager, (recorder) => {
    const precision = "f16";
    gram(
      recorder,
      placed.flatMap(({ A, B, C, transposeA, alpha, beta }) => {
        if (B) return [];
        const examples = transposeA ? ("rows" as const) : ("columns" as const);
        return [{ A: A.view, into: C.view, examples, alpha, beta, precision }];
      }),
    );
    matmul(
      recorder,
      placed.flatMap(({ A, B, C, transposeA, transposeB, alpha, beta }) => {
        if (!B) return [];
        return [{ A: A.view, B: B.view, into: C.view, transposeA, transposeB, alpha, beta, precision }];
      }),
    );
  });
  const results = await c.download(t, "half");
  for (const { A, B, C, k, alpha = 1, beta = 0, transposeA = false, transposeB = false, ...more } of placed) {
    const what = `${B ? "matmul" : "gram"} ${JSON.stringify({ k, alpha, beta, ...more })}`;
    const exact = (of: (m: Matrix) => Matrix) => {
      const examples = transposeA ? "rows" : "columns";
      const product = B
        ? exactMatmul(of(reference(A)), of(reference(B)), { transposeA, transposeB, alpha: 1 })
        : exactGram({ A: of(reference(A)), examples });
      return product.data;
    };
    const result = results.get(C)!;
    const blended = (numbers: ArrayLike<number>) => Array.from(numbers, (x) => alpha * x + beta * 0.5);
    const size = (of: (m: Matrix) => Matrix) =>
      Array.from(exact(of), (x) => Math.abs(alpha) * x + Math.abs(beta) * 0.5);
    assertWithin(result, blended(exact(rounded)), size(absolute), k + 6, `${what}, of rounded numbers`);
    assertWithin(result, blended(exact((m) => m)), size(bounded), HALF + k + 6, what);
    if (!B) assertSymmetric(result, C.rows, what);
  }
}

const CASES: Case[] = [
  { m: 1, n: 1, k: 1 },
  { m: 5, n: 9, k: 3, transposeA: true },
  { m: 33, n: 7, k: 65, transposeB: true, loose: true, alpha: 0.3, beta: 2 },
  { m: 70, n: 130, k: 40, transposeA: true, beta: -1 },
  { m: 1, n: 1, k: 1, lower: true },
  { m: 9, n: 9, k: 200, lower: true, transposeA: true },
  { m: 34, n: 34, k: 17, lower: true, loose: true, alpha: 0.3, beta: 2 },
  { m: 129, n: 129, k: 65, lower: true, transposeA: true, alpha: -2 },
];

// What takes seconds to compile on a CPU is compiled once there: the kernels of a form have one body.
const LEFT_OUT: Readonly<Record<string, "gram" | "matmul">> = { workgroup64: "matmul", sliced: "gram" };

onEveryTile("half: Gram matrices and products", async (t, manager, _, tile) => {
  t.requires("shader-f16");
  if (t.driver === "deno" && LEFT_OUT[tile ?? ""])
    throw new Skipped("takes long to compile; lavapipe and cards run it");
  const left = t.driver === "gpu" ? undefined : LEFT_OUT[tile ?? ""];
  await check(
    t,
    manager,
    CASES.filter(({ lower }) => left !== (lower ? "gram" : "matmul")),
    1,
  );
});

kernelTest("half: numbers of any size", async (t) => {
  t.requires("shader-f16");
  const sizes: [number, number][] = [
    [1e6, 1e-6],
    [1e-9, 1e-8],
    [3e-15, 1e-20],
    [1e25, 1e-30],
    [2e-30, 1e30],
    [1e12, 1e18],
  ];
  const products = sizes.map((sizes): Case => ({ m: 9, n: 6, k: 21, transposeA: true, sizes }));
  const grams = sizes.map(([size]): Case => {
    const own = Math.min(Math.max(size, 1e-15), 1e17);
    return { m: 7, n: 7, k: 21, transposeA: true, lower: true, sizes: [own, 0] };
  });
  await check(t, managerOf(t), [...products, ...grams], 2);
});

kernelTest("half: the same bits twice, and zero from zeros", async (t) => {
  t.requires("shader-f16");
  const A = matrix(40, 50, t.random(3).normals(2000));
  const f32 = { ...A, data: Float32Array.from(A.data) };
  const [one, two] = [
    await t.engine.gram({ A: f32, precision: "f16" }),
    await t.engine.gram({ A: f32, precision: "f16" }),
  ];
  assertSameBits(one.data, two.data, "gram");
  const zeros = { rows: 3, cols: 8, data: new Float32Array(24) };
  const product = await t.engine.matmul(zeros, f32AsRows(f32, 8), { precision: "f16" });
  assertSameBits(product.data, new Float32Array(product.data.length), "matmul of zeros");
});

function f32AsRows({ data }: { data: Float32Array }, rows: number) {
  return { rows, cols: 5, data: data.slice(0, rows * 5) };
}

kernelTest("half: what is not finite is not hidden, and with α = 0 not read", async (t) => {
  t.requires("shader-f16");
  const manager = managerOf(t);
  for (const bad of [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, Number.NaN]) {
    const numbers = t.random(4).normals(40);
    numbers[13] = bad;
    const [x, s, scales] = [
      t.upload(numbers),
      t.upload(new Float32Array(128).fill(3)),
      t.upload([1, 0, 0, 2]),
    ];
    const [A, S] = [paddedView(x, 0, 5, 8), paddedView(s, 0, 8, 8)];
    const skipped = { ...S, offset: 64 };
    run(manager, (recorder) => {
      gramPacked(
        recorder,
        [
          { A, S, scale: 0 },
          { A, S: skipped, scale: 1 },
        ],
        scales,
        "f16",
      );
    });
    const result = await t.download(s);
    assert(
      result.subarray(0, 64).every((value) => !Number.isFinite(value)),
      `not all are lost to ${bad}`,
    );
    assert(
      result.subarray(64).every((value) => value === 6),
      `with α = 0, ${bad} was read`,
    );
  }
});

kernelTest("half: refused where the device has no f16, before anything is recorded", async (t) => {
  const device = await t.freshDevice({ plain: true });
  const engine = await createEngine({ device });
  try {
    const A = { rows: 2, cols: 2, data: new Float32Array(4) };
    const message = /precision "f16" needs the device feature shader-f16, which this device has not/;
    for (const call of [
      () => engine.gram({ A, precision: "f16" }),
      () => engine.matmul(A, A, { precision: "f16" }),
    ]) {
      const error = await call().then(
        () => undefined,
        (error: unknown) => error,
      );
      assert(error instanceof FeatureError && message.test(error.message), `refused by ${error}`);
      assertEqual(error.feature, "shader-f16", "feature");
    }
    const buffers = [0, 1].map(() => device.createBuffer({ size: 64, usage: GPUBufferUsage.STORAGE }));
    const [view, into] = buffers.map((buffer) => ({ buffer, rows: 2, cols: 2 }));
    const recorder = engine.manager.record();
    const precision = "f16";
    assertThrows(() => gram(recorder, { A: view!, into: into!, precision }), FeatureError, message);
    assertThrows(
      () => matmul(recorder, { A: view!, B: view!, into: into!, precision }),
      FeatureError,
      message,
    );
    assertEqual(recorder.dispatches, 0, "dispatches");
    recorder.end();
    for (const buffer of buffers) buffer.destroy();
  } finally {
    engine.dispose();
  }
});
