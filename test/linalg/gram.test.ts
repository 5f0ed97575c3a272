/** Gram matrices against the f64 reference; symmetric to the last bit. */
import { ArgumentError, ShapeError } from "../../src/errors.js";
import { gram } from "../../src/linalg/index.js";
import type { PipelineManager } from "../../src/pipeline/index.js";
import { gram as exact } from "../../src/reference/gram.js";
import { assertEqual, kernelTest, type TestContext } from "../harness/kernel-test.js";
import {
  Arena,
  absolute,
  assertRefused,
  assertSameBits,
  assertSymmetric,
  assertWithin,
  COUNTS,
  LARGE,
  leaveToChromium,
  managerOf,
  onEveryTile,
  otherTiles,
  POISONED,
  reference,
  run,
  type Slot,
  SMALL,
  symmetric,
} from "./helpers.js";

interface Case {
  d: number;
  /** Examples of each Aᵢ; one number for a single A. */
  k: number | readonly number[];
  examples?: "columns" | "rows";
  biasRow?: boolean;
  alpha?: number;
  beta?: number;
  loose?: boolean;
}

class Bench {
  readonly #inputs = new Arena();
  readonly outputs = new Arena();
  readonly cases: (Case & { parts: Slot[]; S: Slot })[];

  constructor(t: TestContext, cases: readonly Case[], seed: number, tail?: number) {
    const random = t.random(seed);
    this.cases = cases.map((one) => {
      const { d, k, examples, loose = false } = one;
      const counts = typeof k === "number" ? [k] : k;
      const parts = counts.map((count) => {
        const [rows, cols] = examples === "rows" ? [count, d] : [d, count];
        return this.#inputs.add(rows, cols, loose, random.normals(d * count));
      });
      const n = d + (one.biasRow ? 1 : 0);
      return { ...one, parts, S: this.outputs.add(n, n, loose, one.beta ? symmetric(random, n) : undefined) };
    });
    this.#inputs.upload(t, tail);
    this.outputs.upload(t, tail);
  }

  operands() {
    return this.cases.map(({ parts, S, k, d, loose, ...options }) => {
      const views = parts.map(({ view }) => view);
      return { A: typeof k === "number" ? views[0]! : views, into: S.view, ...options };
    });
  }

  async check(t: TestContext): Promise<void> {
    const results = await this.outputs.download(t, "gram");
    for (const { parts, S, d, k, examples, biasRow, alpha = 1, beta = 0 } of this.cases) {
      const what = `gram ${d} × ${k}, ${JSON.stringify({ examples, biasRow, alpha, beta })}`;
      const A = parts.map(reference);
      const options = { examples, biasRow, alpha, beta };
      const value = exact({ ...options, A, into: reference(S) });
      const size = exact({
        examples,
        biasRow,
        A: A.map(absolute),
        alpha: Math.abs(alpha),
        beta: Math.abs(beta),
        into: absolute(reference(S)),
      });
      const total = A.reduce((sum, a) => sum + (examples === "rows" ? a.rows : a.cols), 0);
      assertWithin(results.get(S)!, value.data, size.data, total + 3, what);
      assertSymmetric(results.get(S)!, S.rows, what);
    }
  }
}

async function check(t: TestContext, manager: PipelineManager, cases: readonly Case[], seed: number) {
  const bench = new Bench(t, cases, seed);
  const dispatches = run(manager, (recorder) => gram(recorder, bench.operands()));
  await bench.check(t);
  return dispatches;
}

const SMALL_CASES = SMALL.flatMap((d) => SMALL.map((k) => ({ d, k })));
const LARGE_CASES: Case[] = LARGE.flatMap((d, i): Case[] => [
  { d, k: LARGE[(i + 4) % LARGE.length]! },
  { d, k: SMALL[i % SMALL.length]!, examples: "rows", biasRow: i % 2 === 0 },
]);

kernelTest("gram: every combination of small sizes", async (t) => {
  const rows = SMALL_CASES.map((one) => ({ ...one, examples: "rows" as const }));
  assertEqual(await check(t, managerOf(t), rows, 1), 1, "dispatches of aligned rows in the same buffers");
  await check(t, managerOf(t), SMALL_CASES, 2);
  await check(
    t,
    managerOf(t),
    SMALL_CASES.map((one) => ({ ...one, loose: true, biasRow: true })),
    3,
  );
});

kernelTest("gram: sizes round the edges of tiles", async (t) => {
  await check(
    t,
    managerOf(t),
    LARGE_CASES.map((one, i) => ({ ...one, loose: i % 3 === 0 })),
    4,
  );
});

onEveryTile("gram: small sizes and sizes round the edges of tiles", async (t, manager, some) => {
  const large = some(LARGE_CASES);
  await check(t, manager, [...SMALL_CASES.filter(({ d, k }) => (d + k) % 3 === 0), ...large], 5);
  await check(
    t,
    manager,
    large.map((one, i) => ({ ...one, alpha: 0.1, beta: i % 2, loose: i % 3 === 0 })),
    6,
  );
});

onEveryTile("gram: examples of any number, with poison behind the last", async (t, manager) => {
  for (const k of COUNTS) {
    const bench = new Bench(t, [{ d: 21, k, examples: "rows", beta: -1 }], 12, POISONED);
    run(manager, (recorder) => gram(recorder, bench.operands()));
    await bench.check(t);
  }
});

/** With alpha = 0, inputs that are not finite do not matter. */
async function checkUnread(t: TestContext, manager: PipelineManager): Promise<void> {
  const [input, output] = [new Arena(), new Arena()];
  const A = input.add(200, 70, false);
  const S = output.add(70, 70, false, symmetric(t.random(13), 70));
  input.upload(t);
  output.upload(t);
  run(manager, (recorder) => {
    gram(recorder, { A: A.view, into: S.view, examples: "rows", alpha: 0, beta: 2 });
  });
  const result = (await output.download(t, "gram")).get(S)!;
  for (const [e, value] of S.data.entries()) assertEqual(result[e], 2 * value, `element ${e}`);
}

onEveryTile("gram: with alpha = 0, inputs are not read", checkUnread);

kernelTest("gram: the choice of the other kind of adapter, sums in parts where it is a GPU", async (t) => {
  leaveToChromium(t);
  const manager = otherTiles(t);
  const cases: Case[] = [
    { d: 5, k: 1000 },
    { d: 70, k: 333, examples: "rows", alpha: 0.25, beta: 0.5, loose: true },
    { d: 33, k: [100, 29], biasRow: true, beta: 1 },
    { d: 12, k: 333, examples: "rows" },
    { d: 9, k: 127 },
    { d: 129, k: 200, alpha: 0, beta: 1 },
  ];
  await check(t, manager, cases, 14);
  await checkUnread(t, manager);
  const [first, second] = [15, 15].map((seed) => new Bench(t, cases, seed));
  run(manager, (recorder) => gram(recorder, first!.operands()));
  run(manager, (recorder) => gram(recorder, second!.operands()));
  const [a, b] = [await t.download(first!.outputs.buffer), await t.download(second!.outputs.buffer)];
  assertSameBits(a, b, "second run");
  manager.dispose();
});

kernelTest("gram: alpha, beta, bias row, both orientations, aligned and loose, one call each", async (t) => {
  for (const [d, k] of [
    [6, 11],
    [66, 5],
    [1, 1],
  ] as const) {
    for (const examples of ["columns", "rows"] as const) {
      for (const loose of [false, true]) {
        const cases = [
          { alpha: 1, beta: 0 },
          { alpha: -0.25, beta: 0, biasRow: true },
          { alpha: 0.05, beta: 0.95 },
          { alpha: 0, beta: 1, biasRow: true },
        ].map((more) => ({ d, k, examples, loose, ...more }));
        const bench = new Bench(t, cases, 7, loose ? 0 : undefined);
        run(managerOf(t), (recorder) => {
          for (const operands of bench.operands()) gram(recorder, operands);
        });
        await bench.check(t);
      }
    }
  }
});

kernelTest("gram: a list of matrices, one an example", async (t) => {
  const counts = [3, 1, 7, 2];
  for (const examples of ["columns", "rows"] as const) {
    for (const biasRow of [false, true]) {
      await check(t, managerOf(t), [{ d: 9, k: counts, examples, biasRow }], 8);
      await check(
        t,
        managerOf(t),
        [
          { d: 5, k: counts, examples, biasRow, loose: true, beta: 0.5 },
          { d: 2, k: [4, 4], examples, biasRow },
          { d: 2, k: 6, examples },
        ],
        9,
      );
    }
  }
});

kernelTest("gram: a list of matrices in different buffers, results in different buffers", async (t) => {
  const [first, second] = [1, 2].map(
    (seed) =>
      new Bench(
        t,
        [
          { d: 5, k: [2, 3] },
          { d: 9, k: 4 },
        ],
        seed,
      ),
  );
  run(managerOf(t), (recorder) => {
    const [a, b] = [first!.operands(), second!.operands()];
    gram(recorder, [a[0]!, b[0]!, a[1]!, b[1]!]);
  });
  await first!.check(t);
  await second!.check(t);
  // One factor from the matrices of both buffers.
  const into = t.poisoned(28);
  const [x, y] = [first!.cases[0]!.parts[1]!, second!.cases[0]!.parts[0]!];
  run(managerOf(t), (recorder) => {
    gram(recorder, { A: [x.view, y.view], into: { buffer: into, offset: 3, rows: 5, cols: 5 } });
  });
  const value = exact({ A: [reference(x), reference(y)] });
  const size = exact({ A: [absolute(reference(x)), absolute(reference(y))] });
  assertWithin(await t.download(into, { offset: 3, length: 25 }), value.data, size.data, 8, "both buffers");
});

kernelTest("gram: one example gives the rounded outer product, a repeated one its multiple", async (t) => {
  const d = 13;
  const a = t.random(10).normals(d);
  const one = t.upload(a);
  const four = t.upload(Float32Array.from({ length: 4 * d }, (_, e) => a[Math.floor(e / 4)]!));
  const into = t.poisoned(2 * d * 16);
  const view = (offset: number) => ({ buffer: into, offset, rows: d, cols: d, stride: 16 });
  run(managerOf(t), (recorder) => {
    gram(recorder, { A: { buffer: one, rows: d, cols: 1 }, into: view(0) });
    gram(recorder, { A: { buffer: four, rows: d, cols: 4 }, into: view(16 * d), alpha: 0.25 });
  });
  const result = await t.download(into);
  for (let i = 0; i < d; i++) {
    for (let j = 0; j < d; j++) {
      const product = Math.fround(a[i]! * a[j]!);
      assertEqual(result[16 * i + j], product, `(${i}, ${j}) of one example`);
      const mean = result[16 * (d + i) + j]!;
      assertEqual(Math.abs(mean - product) <= 2 ** -22 * Math.abs(product), true, `(${i}, ${j}) of four`);
    }
  }
});

kernelTest("gram: the same inputs give the same bits", async (t) => {
  const results: Float32Array[] = [];
  for (let i = 0; i < 2; i++) {
    const bench = new Bench(t, [{ d: 65, k: 129 }], 11);
    run(managerOf(t), (recorder) => gram(recorder, bench.operands()));
    results.push(await t.download(bench.outputs.buffer));
  }
  assertSameBits(results[0]!, results[1]!, "second run");
});

kernelTest("gram: bad input is refused before anything is recorded", async (t) => {
  const [input, output] = [new Arena(), new Arena()];
  const a = input.add(3, 5, true, t.random(1).normals(15));
  const s = output.add(3, 3, true);
  input.upload(t);
  output.upload(t);
  const [A, into] = [a.view, s.view];
  await assertRefused(
    t,
    [input, output],
    [
      [
        (r) => gram(r, { A, into, biasRow: true }),
        ShapeError,
        /^gram: into has shape \[3 × 3\], expected \[4 × 4\]/,
      ],
      [
        (r) => gram(r, { A, into, examples: "rows" }),
        ShapeError,
        /^gram: into has shape \[3 × 3\], expected \[5 × 5\]/,
      ],
      [
        (r) => gram(r, { A: [A, { ...A, rows: 2 }], into }),
        ShapeError,
        /^gram: A\[1\] has shape \[2 × 5\], expected \[3 × 5\]/,
      ],
      [
        (r) => gram(r, { A: [A, { ...A, cols: 2 }], into: { ...into, rows: 5, cols: 5 }, examples: "rows" }),
        ShapeError,
        /^gram: (A\[1\] has shape \[3 × 2\], expected \[3 × 5\]|into has shape)/,
      ],
      [(r) => gram(r, { A: [], into }), ArgumentError, /^gram: A must be at least one matrix/],
      [(r) => gram(r, { A, into: { ...A, cols: 3 } }), ArgumentError, /^gram: into .*same buffer as A/],
      [
        (r) => gram(r, { A: [A, { ...A, offset: 1000 }], into }),
        ShapeError,
        /^gram: A\[1\] has shape \[3 × 5\], expected at most \d+ elements/,
      ],
      [
        (r) =>
          gram(r, [
            { A, into },
            { A, into, biasRow: true },
          ]),
        ShapeError,
        /^gram: into has shape \[3 × 3\]/,
      ],
    ],
  );
});
