/** Matrix products against the f64 reference: sizes round every tile edge, any place in a buffer, all transposes. */
import { ArgumentError, ShapeError } from "../../src/errors.js";
import { matmul } from "../../src/linalg/index.js";
import { tileShape } from "../../src/linalg/products/choice.js";
import type { PipelineManager } from "../../src/pipeline/index.js";
import { matmul as exact } from "../../src/reference/matmul.js";
import { assertEqual, kernelTest, type TestContext } from "../harness/kernel-test.js";
import {
  Arena,
  absolute,
  assertRefused,
  assertSameBits,
  assertWithin,
  COUNTS,
  LARGE,
  managerOf,
  onEveryTile,
  POISONED,
  reference,
  run,
  type Slot,
  SMALL,
} from "./helpers.js";

interface Case {
  m: number;
  n: number;
  k: number;
  transposeA?: boolean;
  transposeB?: boolean;
  alpha?: number;
  beta?: number;
  loose?: boolean;
}

interface Placed extends Case {
  A: Slot;
  B: Slot;
  C: Slot;
}

/** Matrices of the cases, in three arenas that all of them share. */
class Bench {
  readonly #arenas = [new Arena(), new Arena(), new Arena()] as const;
  readonly cases: Placed[];

  constructor(t: TestContext, cases: readonly Case[], seed: number, tail?: number) {
    const random = t.random(seed);
    const [a, b, c] = this.#arenas;
    this.cases = cases.map((one) => {
      const { m, n, k, loose = false } = one;
      const [aRows, aCols] = one.transposeA ? [k, m] : [m, k];
      const [bRows, bCols] = one.transposeB ? [n, k] : [k, n];
      return {
        ...one,
        A: a.add(aRows, aCols, loose, random.normals(m * k)),
        B: b.add(bRows, bCols, loose, random.normals(k * n)),
        C: c.add(m, n, loose, one.beta ? random.normals(m * n) : undefined),
      };
    });
    for (const arena of this.#arenas) arena.upload(t, tail);
  }

  operands() {
    return this.cases.map(({ A, B, C, ...options }) => {
      const { transposeA, transposeB, alpha, beta } = options;
      return { A: A.view, B: B.view, into: C.view, transposeA, transposeB, alpha, beta };
    });
  }

  async check(t: TestContext): Promise<void> {
    const outputs = await this.#arenas[2].download(t, "matmul");
    for (const { A, B, C, m, n, k, transposeA, transposeB, alpha = 1, beta = 0 } of this.cases) {
      const [a, b, c] = [reference(A), reference(B), reference(C)];
      const value = exact(a, b, { transposeA, transposeB, alpha });
      const size = exact(absolute(a), absolute(b), { transposeA, transposeB, alpha: Math.abs(alpha) });
      if (beta !== 0) {
        for (let e = 0; e < m * n; e++) {
          value.data[e]! += beta * c.data[e]!;
          size.data[e]! += Math.abs(beta * c.data[e]!);
        }
      }
      const what = `matmul ${m} × ${k} by ${k} × ${n}, ${JSON.stringify({ transposeA, transposeB, alpha, beta })}`;
      assertWithin(outputs.get(C)!, value.data, size.data, k + 3, what);
    }
  }
}

async function check(
  t: TestContext,
  manager: PipelineManager,
  cases: readonly Case[],
  seed: number,
): Promise<number> {
  const bench = new Bench(t, cases, seed);
  const dispatches = run(manager, (recorder) => matmul(recorder, bench.operands()));
  await bench.check(t);
  return dispatches;
}

/** Every combination of small sizes; a swap of sizes or operands cannot hide. */
function smallCases(more: Omit<Case, "m" | "n" | "k">): Case[] {
  return SMALL.flatMap((m) => SMALL.flatMap((n) => SMALL.map((k) => ({ m, n, k, ...more }))));
}

/** Rectangular sizes round the edges of tiles. */
const LARGE_CASES: Case[] = LARGE.flatMap((m, i) => {
  const [n, k] = [LARGE[(i + 4) % LARGE.length]!, LARGE[(i + 7) % LARGE.length]!];
  return [
    { m, n, k },
    { m, n: SMALL[i % SMALL.length]!, k: n },
    { m: SMALL[(i + 3) % SMALL.length]!, n, k: m },
  ];
});

kernelTest("matmul: every combination of small sizes, in one dispatch", async (t) => {
  const dispatches = await check(t, managerOf(t), smallCases({ transposeA: true }), 1);
  assertEqual(dispatches, 1, "dispatches of aligned operands in the same buffers");
});

kernelTest("matmul: every combination of small sizes, packed", async (t) => {
  const cases = smallCases({}).filter(({ m, n, k }) => (m + n + k) % 3 === 0);
  await check(
    t,
    managerOf(t),
    cases.map((one, i) => ({ ...one, loose: i % 2 === 0, transposeB: i % 4 < 2 })),
    2,
  );
});

kernelTest("matmul: sizes round the edges of tiles", async (t) => {
  await check(
    t,
    managerOf(t),
    LARGE_CASES.map((one, i) => ({ ...one, transposeA: i % 2 === 0, loose: i % 3 === 0 })),
    3,
  );
});

onEveryTile("matmul: small sizes and sizes round the edges of tiles", async (t, manager, some) => {
  const large = some(LARGE_CASES);
  const small = smallCases({ transposeA: true }).filter(({ m, n, k }) => (m + 2 * n + k) % 5 === 0);
  await check(t, manager, [...small, ...large.map((one) => ({ ...one, transposeA: true }))], 4);
  await check(
    t,
    manager,
    large.map((one, i) => ({ ...one, beta: i % 2, alpha: 0.5, loose: i % 3 === 0 })),
    5,
  );
});

onEveryTile("matmul: sums of any length, with poison behind the last", async (t, manager) => {
  for (const k of COUNTS) {
    const bench = new Bench(t, [{ m: 21, n: 34, k, transposeA: true, beta: -1 }], 9, POISONED);
    run(manager, (recorder) => matmul(recorder, bench.operands()));
    await bench.check(t);
  }
});

kernelTest("matmul: all transposes, alpha and beta, aligned and loose, one call each", async (t) => {
  const sizes = [
    { m: 5, n: 7, k: 9 },
    { m: 33, n: 65, k: 17 },
    { m: 1, n: 1, k: 1 },
  ];
  const flags = [false, true];
  const factors = [
    { alpha: 1, beta: 0 },
    { alpha: -2.5, beta: 0 },
    { alpha: 0.75, beta: 1 },
    { alpha: 0, beta: -0.5 },
  ];
  for (const size of sizes) {
    for (const transposeA of flags) {
      for (const transposeB of flags) {
        for (const loose of flags) {
          const bench = new Bench(
            t,
            factors.map((more) => ({ ...size, transposeA, transposeB, loose, ...more })),
            6,
            loose ? 0 : undefined,
          );
          run(managerOf(t), (recorder) => {
            for (const operands of bench.operands()) matmul(recorder, operands);
          });
          await bench.check(t);
        }
      }
    }
  }
});

kernelTest("matmul: problems of mixed sizes in different buffers", async (t) => {
  const cases: Case[] = [
    { m: 3, n: 70, k: 2, transposeA: true },
    { m: 65, n: 4, k: 30, beta: 2 },
    { m: 8, n: 8, k: 1, loose: true },
  ];
  const benches = cases.map((one, seed) => new Bench(t, [one, { ...one, m: one.m + 1 }], 10 + seed));
  run(managerOf(t), (recorder) => {
    // Interleaved, so that neighbours in the list do not share their buffers.
    const lists = benches.map((bench) => bench.operands());
    matmul(
      recorder,
      [0, 1].flatMap((index) => lists.map((list) => list[index]!)),
    );
  });
  for (const bench of benches) await bench.check(t);
});

kernelTest("matmul: more workgroups than one dimension takes", async (t) => {
  const { rows } = tileShape(managerOf(t).handle.capabilities, [{ m: 1 << 22, n: 1, k: 1 }]);
  const m = rows * 65536 + 5;
  const A = t.upload(t.random(7).normals(m));
  const B = t.upload(Float32Array.of(3, 0, 0, 0));
  const C = t.poisoned(4 * m);
  run(managerOf(t), (recorder) => {
    const a = { buffer: A, rows: m, cols: 1 };
    matmul(recorder, {
      A: a,
      B: { buffer: B, rows: 1, cols: 1 },
      into: { buffer: C, rows: m, cols: 1, stride: 4 },
    });
  });
  const [a, c] = [await t.download(A), await t.download(C)];
  for (let i = 0; i < m; i++) {
    if (c[4 * i] !== Math.fround(3 * a[i]!)) throw new Error(`row ${i} is ${c[4 * i]}, not ${3 * a[i]!}`);
  }
});

kernelTest("matmul: the same inputs give the same bits", async (t) => {
  const results: Float32Array[] = [];
  for (let i = 0; i < 2; i++) {
    const bench = new Bench(t, [{ m: 65, n: 33, k: 129 }], 8);
    run(managerOf(t), (recorder) => matmul(recorder, bench.operands()));
    const { buffer } = bench.operands()[0]!.into;
    results.push(await t.download(buffer));
  }
  assertSameBits(results[0]!, results[1]!, "second run");
});

kernelTest("matmul: bad input is refused before anything is recorded", async (t) => {
  const input = new Arena();
  const output = new Arena();
  const A = input.add(3, 5, true, t.random(1).normals(15));
  const B = input.add(5, 2, true, t.random(2).normals(10));
  const C = output.add(3, 2, true);
  input.upload(t);
  output.upload(t, 40);
  const good = { A: A.view, B: B.view, into: C.view };
  const unusable = t.buffer({ size: 256, usage: GPUBufferUsage.COPY_DST });
  await assertRefused(
    t,
    [input, output],
    [
      [
        (r) => matmul(r, { ...good, B: { ...B.view, rows: 4 } }),
        ShapeError,
        /^matmul: B has shape \[4 × 2\], expected \[5 × 2\]; A is \[3 × 5\]/,
      ],
      [
        (r) => matmul(r, { ...good, transposeB: true }),
        ShapeError,
        /^matmul: B has shape \[5 × 2\], expected \[5 × 5\]/,
      ],
      [
        (r) => matmul(r, { ...good, transposeA: true }),
        ShapeError,
        /^matmul: B has shape \[5 × 2\], expected \[3 × 2\]; A is \[3 × 5\]/,
      ],
      [
        (r) => matmul(r, { ...good, into: { ...C.view, cols: 1 } }),
        ShapeError,
        /^matmul: into has shape \[3 × 1\], expected \[3 × 2\]/,
      ],
      [
        (r) => matmul(r, { ...good, into: { ...A.view, cols: 2 } }),
        ArgumentError,
        /^matmul: into .*same buffer as A/,
      ],
      [
        (r) => matmul(r, { A: { ...A.view, buffer: output.buffer, offset: 0 }, B: B.view, into: C.view }),
        ArgumentError,
        /^matmul: into .*same buffer as A/,
      ],
      [
        (r) => matmul(r, { ...good, A: { ...A.view, buffer: unusable, offset: 0, stride: 5 } }),
        ArgumentError,
        /^matmul: A\.buffer needs the usage GPUBufferUsage\.STORAGE/,
      ],
      // The first problem is in order, and even needs packing.
      [
        (r) => matmul(r, [good, { ...good, B: { ...B.view, rows: 4 } }]),
        ShapeError,
        /^matmul: B has shape \[4 × 2\]/,
      ],
    ],
  );
});
