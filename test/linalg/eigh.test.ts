/** Eigen-decompositions against the f64 reference: sizes round every edge, hard spectra, failures as values. */
import { ArgumentError, ShapeError } from "../../src/errors.js";
import { type EighOptions, EighStatus, eigh } from "../../src/linalg/index.js";
import type { PipelineManager } from "../../src/pipeline/index.js";
import { eigh as exact } from "../../src/reference/eigh.js";
import { matrix } from "../../src/reference/matrix.js";
import { assert, assertEqual, assertWritten, kernelTest, type TestContext } from "../harness/kernel-test.js";
import { HARD, outer } from "./eigh-matrices.js";
import {
  Arena,
  assertRefused,
  assertSameBits,
  EPS,
  LARGE,
  managerOf,
  otherTiles,
  roughArithmetic,
  run,
  type Slot,
  SMALL,
  symmetric,
} from "./helpers.js";

interface Case {
  name: string;
  n: number;
  /** Dense and symmetric. */
  S: Float32Array;
}

interface Placed extends Case {
  S0: Slot;
  V: Slot;
  values: Slot;
}

/** Cases in three arenas, every other one at a loose place; the upper halves of the matrices are poisoned. */
class Bench {
  readonly #s = new Arena();
  readonly #v = new Arena();
  readonly #values = new Arena();
  readonly cases: Placed[];
  readonly status: GPUBuffer;

  constructor(
    readonly t: TestContext,
    cases: readonly Case[],
    status: readonly number[] = cases.map(() => 0),
  ) {
    this.cases = cases.map((one, index) => {
      const { n, S } = one;
      const loose = index % 2 === 1;
      const lower = S.map((value, e) => (e % n > Math.floor(e / n) ? Number.NaN : value));
      return {
        ...one,
        S0: this.#s.add(n, n, loose, lower),
        V: this.#v.add(n, n, loose),
        values: this.#values.add(1, n, loose),
      };
    });
    for (const arena of [this.#s, this.#v, this.#values]) arena.upload(t);
    this.status = t.upload(Uint32Array.from(status));
  }

  record(manager: PipelineManager, cases: readonly Placed[] = this.cases, options?: EighOptions): number {
    return run(manager, (recorder) => {
      const problems = cases.map(({ S0, V, values }) => {
        return { S: S0.view, vectors: V.view, values: { buffer: values.view.buffer, offset: values.offset } };
      });
      eigh(recorder, problems, this.status, options);
    });
  }

  async read(written: readonly Placed[] = this.cases) {
    await this.#s.download(this.t, "eigh", []);
    const vectors = await this.#v.download(
      this.t,
      "eigh: vectors",
      written.map(({ V }) => V),
    );
    const values = await this.#values.download(
      this.t,
      "eigh: values",
      written.map((one) => one.values),
    );
    return {
      of: (one: Placed) => ({ V: vectors.get(one.V)!, values: values.get(one.values)! }),
      status: await this.t.downloadWords(this.status, { length: this.cases.length }),
    };
  }
}

interface Result {
  V: Float32Array;
  values: Float32Array;
}

/** How many times (√n + 2) 2⁻²⁴ the residual, the departure from orthogonality and an eigenvalue may be off. */
const BOUND = { residual: 8, orthogonality: 6, value: 4 };

function norm(numbers: ArrayLike<number>): number {
  let sum = 0;
  for (let e = 0; e < numbers.length; e++) sum += numbers[e]! ** 2;
  return Math.sqrt(sum);
}

function assertOrthonormal(V: Float32Array, n: number, what: string): void {
  assertWritten(V, `${what}: vectors`);
  const rows = outer(V, undefined, n, true);
  for (let i = 0; i < n; i++) rows[i * n + i]! -= 1;
  const gap = norm(rows) / Math.sqrt(n) / ((Math.sqrt(n) + 2) * EPS);
  assert(gap <= BOUND.orthogonality, `${what}: V'V − I is ${gap.toFixed(2)} (√n + 2) ε`);
}

/** A decomposition of S, by what defines it and by the reference's eigenvalues. */
function assertDecomposes({ S, n, name }: Case, { V, values }: Result, what: string, reference = true): void {
  const title = `${what}: ${name} (n = ${n})`;
  assertWritten(values, `${title}: values`);
  for (let j = 1; j < n; j++) assert(values[j - 1]! <= values[j]!, `${title}: value ${j} falls`);
  assertOrthonormal(V, n, title);
  const unit = (Math.sqrt(n) + 2) * EPS;
  const size = norm(S);
  const product = outer(V, values, n, false);
  const residual = norm(product.map((value, e) => value - S[e]!));
  assert(
    residual <= BOUND.residual * unit * size,
    `${title}: S − VΛV' is ${(residual / size / unit).toFixed(2)} (√n + 2) ε`,
  );
  if (!reference) return;
  const expected = exact(matrix(n, n, S)).values;
  const radius = Math.max(Math.abs(expected[0]!), Math.abs(expected[n - 1]!));
  for (let j = 0; j < n; j++) {
    const gap = Math.abs(values[j]! - expected[j]!);
    assert(
      gap <= BOUND.value * unit * radius,
      `${title}: value ${j} is ${values[j]}, expected ${expected[j]}, ${(gap / radius / unit).toFixed(2)} (√n + 2) ε off`,
    );
  }
}

async function assertAll(
  t: TestContext,
  manager: PipelineManager,
  cases: readonly Case[],
  what: string,
): Promise<void> {
  const bench = new Bench(t, cases);
  bench.record(manager);
  const result = await bench.read();
  for (const [index, one] of bench.cases.entries()) {
    assertEqual(result.status[index], 0, `${what}: status of ${one.name} (n = ${one.n})`);
    assertDecomposes(one, result.of(one), what);
  }
}

function randomCases(t: TestContext, sizes: readonly number[], seed: number): Case[] {
  const random = t.random(seed);
  return sizes.map((n) => ({ name: "random", n, S: symmetric(random, n) }));
}

const EDGES = [...SMALL, 15, 16, 17, ...LARGE];

kernelTest("eigh: sizes round every edge, in one batch", async (t) => {
  await assertAll(t, managerOf(t), randomCases(t, EDGES, 1), "eigh");
});

kernelTest("eigh: sizes round every edge, workgroups of the other kind of adapter", async (t) => {
  const manager = otherTiles(t);
  try {
    await assertAll(t, manager, randomCases(t, EDGES, 2), "eigh");
  } finally {
    manager.dispose();
  }
});

kernelTest("eigh: as accurate where the adapter divides and takes roots roughly", async (t) => {
  const manager = roughArithmetic(t);
  try {
    await assertAll(t, manager, randomCases(t, [2, 3, 13, 40, 127], 12), "eigh");
  } finally {
    manager.dispose();
  }
});

for (const { name, make } of HARD) {
  kernelTest(`eigh: ${name}`, async (t) => {
    const random = t.random(3);
    const cases = [2, 3, 13, 40, 65].map((n) => ({ name, n, S: make(n, random) }));
    await assertAll(t, managerOf(t), cases, "eigh");
  });
}

kernelTest("eigh: any scale", async (t) => {
  const random = t.random(4);
  const base = symmetric(random, 20);
  const cases = [1e-30, 1e-12, 1e12, 1e37].map((scale) => {
    return { name: `scale ${scale}`, n: 20, S: base.map((value) => value * scale) };
  });
  const bench = new Bench(t, [{ name: "scale 1", n: 20, S: base }, ...cases]);
  bench.record(managerOf(t));
  const result = await bench.read();
  for (const [index, one] of bench.cases.entries()) {
    assertEqual(result.status[index], 0, `status at ${one.name}`);
    // The reference and the norms are f64 and may square these.
    assertDecomposes(one, result.of(one), "eigh");
  }
});

kernelTest("eigh: a power of two changes nothing but the eigenvalues", async (t) => {
  const S = symmetric(t.random(5), 33);
  const factors = [1, 2 ** -90, 2 ** 100];
  const bench = new Bench(
    t,
    factors.map((factor) => ({ name: `${factor}`, n: 33, S: S.map((value) => value * factor) })),
  );
  bench.record(managerOf(t));
  const result = await bench.read();
  const first = result.of(bench.cases[0]!);
  for (const [index, factor] of factors.entries()) {
    const { V, values } = result.of(bench.cases[index]!);
    assertSameBits(V, first.V, `vectors at scale ${factor}`);
    assertSameBits(
      values,
      first.values.map((value) => value * factor),
      `values at scale ${factor}`,
    );
  }
});

kernelTest("eigh: eigenvalues beyond f32 are cut off, not infinite", async (t) => {
  const bench = new Bench(t, [{ name: "huge", n: 8, S: new Float32Array(64).fill(3e38) }]);
  bench.record(managerOf(t));
  const result = await bench.read();
  const { V, values } = result.of(bench.cases[0]!);
  assertOrthonormal(V, 8, "huge");
  assert(values[7]! > 3.4e38 && Number.isFinite(values[7]!), `the largest is ${values[7]}`);
  assertEqual(result.status[0], 0, "status");
});

kernelTest("eigh: large matrices", async (t) => {
  const sizes = t.driver === "lavapipe" || t.driver === "gpu" ? [256, 512] : [256];
  const cases = randomCases(t, sizes, 6);
  const bench = new Bench(t, cases);
  bench.record(managerOf(t));
  const result = await bench.read();
  for (const [index, one] of bench.cases.entries()) {
    assertEqual(result.status[index], 0, `status at ${one.n}`);
    assertDecomposes(one, result.of(one), "eigh", one.n < 512);
  }
});

kernelTest("eigh: numbers that are not finite fail alone and leave the outputs as they were", async (t) => {
  const random = t.random(7);
  const cases = [5, 33, 64, 20, 1].map((n) => ({ name: "random", n, S: symmetric(random, n) }));
  cases[1]!.S[32 * 33 + 1] = Number.NaN;
  cases[3]!.S[19 * 20 + 19] = Number.NEGATIVE_INFINITY;
  cases[4]!.S[0] = Number.POSITIVE_INFINITY;
  const bench = new Bench(t, cases, [0, 16, 0, 16, 0]);
  bench.record(managerOf(t));
  const good = bench.cases.filter((_, index) => index === 0 || index === 2);
  const result = await bench.read(good);
  const { nonFinite } = EighStatus;
  assertEqual([...result.status].join(), [0, 16 | nonFinite, 0, 16 | nonFinite, nonFinite].join(), "status");
  for (const one of good) assertDecomposes(one, result.of(one), "beside a failure");
});

kernelTest("eigh: rounds that run out are reported; the vectors are still orthonormal", async (t) => {
  const cases = randomCases(t, [2, 48, 100], 8);
  const bench = new Bench(t, cases, [16, 16, 16]);
  bench.record(managerOf(t), bench.cases, { rounds: 1 });
  const result = await bench.read();
  const { notConverged } = EighStatus;
  assertEqual([...result.status].join(), [16, 16 | notConverged, 16 | notConverged].join(), "status");
  assertDecomposes(bench.cases[0]!, result.of(bench.cases[0]!), "one round");
  for (const one of bench.cases) {
    const { V, values } = result.of(one);
    assertOrthonormal(V, one.n, "one round");
    assertWritten(values, "one round: values");
  }
});

kernelTest("eigh: half the rounds suffice for random matrices", async (t) => {
  const cases = randomCases(t, [2, 3, 4, 5, 10, 64, 129], 9);
  const bench = new Bench(t, cases);
  bench.record(managerOf(t), bench.cases, { rounds: 3 });
  const result = await bench.read();
  assertEqual([...result.status].join(), cases.map(() => 0).join(), "status");
});

kernelTest("eigh: the same bits alone, in a batch and again", async (t) => {
  const cases = randomCases(t, [7, 50, 64, 31, 3, 12, 90, 21, 4], 10);
  const manager = managerOf(t);
  const results = [];
  for (const alone of [false, false, true]) {
    const bench = new Bench(t, cases);
    if (alone) for (const one of bench.cases) bench.record(manager, [one]);
    else bench.record(manager);
    const result = await bench.read();
    results.push(bench.cases.map((one) => result.of(one)));
  }
  const [first, again, alone] = results as [Result[], Result[], Result[]];
  for (const [index, { n }] of cases.entries()) {
    for (const [how, other] of [
      ["again", again],
      ["alone", alone],
    ] as const) {
      assertSameBits(other[index]!.V, first[index]!.V, `vectors ${how} (n = ${n})`);
      assertSameBits(other[index]!.values, first[index]!.values, `values ${how} (n = ${n})`);
    }
  }
});

kernelTest("eigh: vectors and values may take the place of the matrices", async (t) => {
  const n = 24;
  const cases = randomCases(t, [n, n], 11);
  const buffer = t.upload([...cases[0]!.S, ...cases[1]!.S, ...new Float32Array(2 * n)]);
  const status = t.upload(new Uint32Array(2));
  run(managerOf(t), (recorder) => {
    const problems = cases.map((_, index) => ({
      S: { buffer, offset: index * n * n, rows: n, cols: n },
      // Each where the other was.
      vectors: { buffer, offset: (1 - index) * n * n, rows: n, cols: n },
      values: { buffer, offset: 2 * n * n + index * n },
    }));
    eigh(recorder, problems, status);
  });
  const all = await t.download(buffer);
  for (const [index, one] of cases.entries()) {
    const V = all.subarray((1 - index) * n * n, (2 - index) * n * n);
    const values = all.subarray(2 * n * n + index * n, 2 * n * n + (index + 1) * n);
    assertDecomposes(one, { V, values }, "in place");
  }
});

kernelTest("eigh: dispatches do not grow with the matrices, and a second time creates nothing", async (t) => {
  const manager = managerOf(t);
  const few = new Bench(t, randomCases(t, [3], 12));
  const many = new Bench(t, randomCases(t, [70, 3, 20, 5, 6, 7, 8, 9, 10], 13));
  assertEqual(many.record(manager), few.record(manager), "dispatches");
  await many.read();
  many.record(manager);
  await many.read();
  const before = JSON.stringify(manager.counts);
  many.record(manager);
  await many.read();
  assertEqual(JSON.stringify(manager.counts), before, "what the manager has made");
});

kernelTest("eigh: bad arguments are refused before anything is recorded", async (t) => {
  const out = new Arena();
  const V = out.add(3, 3, false);
  const wide = out.add(3, 4, false);
  out.upload(t);
  const buffer = t.upload(new Float32Array(12));
  const status = t.upload([0]);
  const S = { buffer, rows: 3, cols: 3 };
  const good = { S, vectors: V.view, values: { buffer } };
  await assertRefused(
    t,
    [out],
    [
      [(r) => eigh(r, [], status), ArgumentError, /problems/],
      [
        (r) => eigh(r, [{ ...good, S: { buffer, rows: 3, cols: 4 } }], status),
        ShapeError,
        /S has shape \[3 × 4\]/,
      ],
      [(r) => eigh(r, [{ ...good, vectors: wide.view }], status), ShapeError, /vectors has shape \[3 × 4\]/],
      [(r) => eigh(r, [{ ...good, values: { buffer, offset: 10 } }], status), ShapeError, /values/],
      [(r) => eigh(r, [good, good], status), ShapeError, /status/],
      [(r) => eigh(r, [good], status, { rounds: 0 }), ArgumentError, /rounds/],
      [(r) => eigh(r, [good], status, { rounds: 1.5 }), ArgumentError, /rounds/],
    ],
  );
});

kernelTest("eigh: of matrices in main memory", async (t) => {
  const engine = t.engine as import("../../src/engine.js").Engine;
  const [a, b] = randomCases(t, [6, 30], 14) as [Case, Case];
  const bad = { rows: 2, cols: 2, data: Float32Array.of(1, 0, Number.NaN, 1) };
  const results = await engine.eighAll([
    { rows: a.n, cols: a.n, data: a.S },
    bad,
    { rows: b.n, cols: b.n, data: b.S },
  ]);
  assertEqual(results.map(({ status }) => status).join(), [0, EighStatus.nonFinite, 0].join(), "status");
  assertDecomposes(a, { V: results[0]!.vectors.data, values: results[0]!.values }, "eighAll");
  assertDecomposes(b, { V: results[2]!.vectors.data, values: results[2]!.values }, "eighAll");
  assert(
    results[1]!.vectors.data.every((value) => value === 0),
    "a failure leaves zeros",
  );
  const one = await engine.eigh({ rows: a.n, cols: a.n, data: a.S });
  assertSameBits(one.values, results[0]!.values, "values of one");
});
