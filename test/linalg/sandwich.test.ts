/** P G Q against the f64 reference. */
import { ArgumentError, ShapeError } from "../../src/errors.js";
import { sandwich } from "../../src/linalg/index.js";
import type { PipelineManager } from "../../src/pipeline/index.js";
import { sandwich as exact } from "../../src/reference/sandwich.js";
import { assertEqual, kernelTest, type TestContext } from "../harness/kernel-test.js";
import {
  Arena,
  absolute,
  assertRefused,
  assertWithin,
  LARGE,
  managerOf,
  onEveryTile,
  reference,
  run,
  type Slot,
  SMALL,
  symmetric,
} from "./helpers.js";

interface Case {
  m: number;
  n: number;
  alpha?: number;
  loose?: boolean;
}

class Bench {
  readonly #arenas = [new Arena(), new Arena(), new Arena(), new Arena()] as const;
  readonly cases: (Case & { P: Slot; G: Slot; Q: Slot; U: Slot })[];

  constructor(t: TestContext, cases: readonly Case[], seed: number, tail?: number) {
    const random = t.random(seed);
    const [p, g, q, u] = this.#arenas;
    this.cases = cases.map((one) => {
      const { m, n, loose = false } = one;
      return {
        ...one,
        P: p.add(m, m, loose, symmetric(random, m)),
        G: g.add(m, n, loose, random.normals(m * n)),
        Q: q.add(n, n, loose, symmetric(random, n)),
        U: u.add(m, n, loose),
      };
    });
    for (const arena of this.#arenas) arena.upload(t, tail);
  }

  operands() {
    return this.cases.map(({ P, G, Q, U, alpha }) => {
      return { P: P.view, G: G.view, Q: Q.view, into: U.view, alpha };
    });
  }

  async check(t: TestContext): Promise<void> {
    const results = await this.#arenas[3].download(t, "sandwich");
    for (const { P, G, Q, U, m, n, alpha = 1 } of this.cases) {
      const [p, g, q] = [reference(P), reference(G), reference(Q)];
      const value = exact(p, g, q, alpha);
      const size = exact(absolute(p), absolute(g), absolute(q), Math.abs(alpha));
      assertWithin(results.get(U)!, value.data, size.data, m + n + 4, `sandwich ${m} × ${n}, alpha ${alpha}`);
    }
  }
}

async function check(t: TestContext, manager: PipelineManager, cases: readonly Case[], seed: number) {
  const bench = new Bench(t, cases, seed);
  const dispatches = run(manager, (recorder) => sandwich(recorder, bench.operands()));
  await bench.check(t);
  return dispatches;
}

const SMALL_CASES: Case[] = SMALL.flatMap((m) => SMALL.map((n) => ({ m, n })));
const LARGE_CASES: Case[] = LARGE.flatMap((m, i) => [
  { m, n: LARGE[(i + 4) % LARGE.length]! },
  { m: SMALL[i % SMALL.length]!, n: m },
]);

kernelTest("sandwich: every combination of small sizes, in two dispatches", async (t) => {
  assertEqual(await check(t, managerOf(t), SMALL_CASES, 1), 2, "dispatches");
});

kernelTest("sandwich: loose and aligned operands, alpha", async (t) => {
  await check(
    t,
    managerOf(t),
    SMALL_CASES.map((one, i) => ({ ...one, loose: i % 3 > 0, alpha: [1, -0.1, 0, 40][i % 4]! })),
    2,
  );
  const bench = new Bench(
    t,
    [
      { m: 3, n: 10, loose: true },
      { m: 10, n: 3, loose: true, alpha: 2 },
    ],
    3,
    0,
  );
  run(managerOf(t), (recorder) => {
    for (const operands of bench.operands()) sandwich(recorder, operands);
  });
  await bench.check(t);
});

kernelTest("sandwich: sizes round the edges of tiles", async (t) => {
  await check(t, managerOf(t), LARGE_CASES, 4);
});

onEveryTile("sandwich: sizes round the edges of tiles", async (t, manager) => {
  await check(
    t,
    manager,
    LARGE_CASES.map((one, i) => ({ ...one, loose: i % 2 === 0 })),
    5,
  );
});

kernelTest("sandwich: problems in different buffers", async (t) => {
  const benches = [6, 7].map(
    (seed) =>
      new Bench(
        t,
        [
          { m: 5, n: 12 },
          { m: 70, n: seed },
        ],
        seed,
      ),
  );
  run(managerOf(t), (recorder) => {
    const [a, b] = benches.map((bench) => bench.operands());
    sandwich(recorder, [a![0]!, b![0]!, a![1]!, b![1]!]);
  });
  for (const bench of benches) await bench.check(t);
});

kernelTest("sandwich: bad input is refused before anything is recorded", async (t) => {
  const [input, output] = [new Arena(), new Arena()];
  const [p, g, q] = [
    [3, 3],
    [3, 5],
    [5, 5],
  ].map(([rows, cols], seed) => input.add(rows!, cols!, true, t.random(seed).normals(rows! * cols!)));
  const u = output.add(3, 5, true);
  input.upload(t);
  output.upload(t, 40);
  const good = { P: p!.view, G: g!.view, Q: q!.view, into: u.view };
  await assertRefused(
    t,
    [input, output],
    [
      [
        (r) => sandwich(r, { ...good, P: good.Q }),
        ShapeError,
        /^sandwich: P has shape \[5 × 5\], expected \[3 × 3\]; G is \[3 × 5\]/,
      ],
      [
        (r) => sandwich(r, { ...good, Q: good.P }),
        ShapeError,
        /^sandwich: Q has shape \[3 × 3\], expected \[5 × 5\]; G is \[3 × 5\]/,
      ],
      [
        (r) => sandwich(r, { ...good, into: { ...good.into, rows: 2 } }),
        ShapeError,
        /^sandwich: into has shape \[2 × 5\], expected \[3 × 5\]/,
      ],
      [
        (r) => sandwich(r, { ...good, into: good.G }),
        ArgumentError,
        /^sandwich: into .*same buffer as (P|G|Q)/,
      ],
      [
        (r) => sandwich(r, { ...good, G: { ...good.G, buffer: output.buffer } }),
        ArgumentError,
        /^sandwich: into .*same buffer as G/,
      ],
      [(r) => sandwich(r, [good, { ...good, Q: good.P }]), ShapeError, /^sandwich: Q has shape \[3 × 3\]/],
    ],
  );
});
