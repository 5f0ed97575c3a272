/** Sums and dot products: accurate, in a fixed order, over any view. */
import { ArgumentError, ShapeError } from "../../src/errors.js";
import { diagonalOf, type Reduction, reduce } from "../../src/linalg/index.js";
import { sum as exactSum } from "../../src/reference/reduce.js";
import { assert, assertEqual, kernelTest, type TestContext } from "../harness/kernel-test.js";
import {
  Arena,
  assertRefused,
  assertSameBits,
  assertWithin,
  LARGE,
  managerOf,
  run,
  type Slot,
  SMALL,
} from "./helpers.js";

/** Σ or dot product of dense numbers in f64, and the same of absolute values. */
function total(x: Float32Array, y?: Float32Array): { value: number; size: number } {
  const terms = Float64Array.from(x, (value, e) => value * (y ? y[e]! : 1));
  const of = (data: Float64Array) => exactSum({ rows: 1, cols: data.length, data });
  return { value: of(terms), size: of(terms.map(Math.abs)) };
}

/** Additions in sequence that one result of this many numbers goes through, with some to spare. */
function roundings(count: number): number {
  return Math.ceil(Math.min(count, 4096) / 64) + 8 + Math.ceil(count / 4096);
}

interface Problem extends Omit<Reduction, "x" | "y"> {
  x: Slot;
  y?: Slot;
}

async function check(
  t: TestContext,
  problems: readonly Problem[],
  arenas: readonly Arena[],
): Promise<number> {
  for (const arena of arenas) arena.upload(t, 1);
  const count = Math.max(...problems.map(({ index }) => index)) + 1;
  const into = t.poisoned(count + 3);
  const before = await t.download(into);
  const dispatches = run(managerOf(t), (recorder) => {
    reduce(
      recorder,
      into,
      problems.map(({ x, y, ...rest }) => ({ x: x.view, y: y?.view, ...rest })),
    );
  });
  const results = await t.download(into);
  const written = new Set(problems.map(({ index }) => index));
  for (let e = 0; e < count + 3; e++) {
    if (!written.has(e)) assert(Object.is(results[e], before[e]), `result ${e} was not asked for`);
  }
  for (const { x, y, index, scale = 1 } of problems) {
    const { value, size } = total(x.data, y?.data);
    const what = `${y ? "dot product" : "sum"} of ${x.rows} × ${x.cols}`;
    const bound = roundings(x.rows * x.cols) + 2;
    assertWithin([results[index]!], [scale * value], [Math.abs(scale) * size], bound, what);
  }
  return dispatches;
}

kernelTest("reduce: every combination of small sizes, sums and dot products, in one call", async (t) => {
  const random = t.random(1);
  const [xs, ys] = [new Arena(), new Arena()];
  const problems: Problem[] = [];
  for (const [i, rows] of SMALL.entries()) {
    for (const [j, cols] of SMALL.entries()) {
      const x = xs.add(rows, cols, (i + j) % 2 === 0, random.normals(rows * cols));
      const y = ys.add(rows, cols, i % 2 === 0, random.normals(rows * cols));
      const index = 2 * problems.length + 1;
      problems.push(
        [
          { x, index },
          { x, y, index, scale: -0.5 },
          { x, y: x, index, scale: 3 },
        ][(i + j) % 3]!,
      );
    }
  }
  assertEqual(await check(t, problems, [xs, ys]), 2, "dispatches: one for each pair of buffers");
  const long = xs.add(1, 4097, true, random.normals(4097));
  problems.push({ x: long, index: 2 * problems.length + 1 });
  assertEqual(await check(t, problems, [xs, ys]), 3, "dispatches with a long one: and one for all");
});

kernelTest("reduce: sizes round the edges of chunks", async (t) => {
  const random = t.random(2);
  const xs = new Arena();
  const shapes = [
    ...LARGE.map((rows, i) => [rows, LARGE[(i + 4) % LARGE.length]!] as const),
    ...[4095, 4096, 4097, 8192, 8193].flatMap((n) => [[1, n] as const, [n, 1] as const]),
  ];
  const problems = shapes.map(([rows, cols], index): Problem => {
    const x = xs.add(rows, cols, index % 2 === 0, random.normals(rows * cols));
    return index % 3 === 0 ? { x, y: x, index } : { x, index, scale: index };
  });
  assertEqual(await check(t, problems, [xs]), 2, "dispatches");
});

kernelTest("reduce: a million numbers, and the same bits every time", async (t) => {
  const xs = new Arena();
  const random = t.random(3);
  // All positive: naive summation in one running f32 sum would lose three digits.
  const long = xs.add(1, 1_000_003, true, random.uniforms(1_000_003, 0, 1));
  const tall = xs.add(1001, 999, true, random.normals(1001 * 999));
  await check(
    t,
    [
      { x: long, index: 0 },
      { x: long, y: long, index: 1, scale: 1e-6 },
      { x: tall, y: tall, index: 2 },
      { x: tall, index: 3 },
    ],
    [xs],
  );
  const runs: Float32Array[] = [];
  for (let i = 0; i < 3; i++) {
    const into = t.poisoned(4);
    run(managerOf(t), (recorder) => {
      const list: Reduction[] = [
        { x: long.view, index: 0 },
        { x: long.view, y: long.view, index: 1 },
        { x: tall.view, index: 2 },
        { x: tall.view, y: tall.view, index: 3 },
      ];
      // The order of the list, and so which workgroups do it, must not count.
      reduce(recorder, into, i === 1 ? list.reverse() : list);
    });
    runs.push(await t.download(into));
  }
  assertSameBits(runs[1]!, runs[0]!, "in another order");
  assertSameBits(runs[2]!, runs[0]!, "a third time");
});

kernelTest("reduce: the trace of a matrix", async (t) => {
  const xs = new Arena();
  const squares = [1, 2, 5, 64, 131].map((n) => xs.add(n, n, n % 2 === 1, t.random(n).normals(n * n)));
  xs.upload(t, 0);
  const into = t.poisoned(squares.length);
  run(managerOf(t), (recorder) => {
    reduce(
      recorder,
      into,
      squares.map(({ view }, index) => ({ x: diagonalOf(view), index })),
    );
  });
  const results = await t.download(into);
  for (const [index, { rows: n, data }] of squares.entries()) {
    const { value, size } = total(Float32Array.from({ length: n }, (_, i) => data[i * n + i]!));
    assertWithin([results[index]!], [value], [size], 12, `trace of ${n} × ${n}`);
  }
});

kernelTest("reduce: bad input is refused before anything is recorded", async (t) => {
  const xs = new Arena();
  const slot = xs.add(3, 5, true, t.random(1).normals(15));
  xs.upload(t);
  const x = slot.view;
  const results = new Arena();
  results.add(1, 4, false);
  const into = results.upload(t, 0).buffer;
  await assertRefused(
    t,
    [xs, results],
    [
      [
        (r) =>
          reduce(r, into, [
            { x, index: 0 },
            { x, y: { ...x, rows: 2 }, index: 1 },
          ]),
        ShapeError,
        /^reduce: y has shape \[2 × 5\], expected \[3 × 5\]/,
      ],
      [(r) => reduce(r, into, [{ x, index: 4 }]), ShapeError, /^reduce: into .*at most 4 elements/],
      [
        (r) => reduce(r, into, [{ x, index: 0.5 }]),
        ArgumentError,
        /^reduce: into\.offset must be a whole number/,
      ],
      [(r) => reduce(r, xs.buffer, [{ x, index: 0 }]), ArgumentError, /^reduce: into .*same buffer as x/],
      [
        (r) =>
          reduce(r, xs.buffer, [
            { x: { buffer: into, rows: 1, cols: 4 }, y: { ...x, rows: 1, cols: 4 }, index: 0 },
          ]),
        ArgumentError,
        /^reduce: into .*same buffer as y/,
      ],
    ],
  );
});
