/** Products of layers against the f64 reference: every function and its derivative, sizes round every tile edge, transposes. */
import { type LayerProduct, layerProducts } from "../../src/layers/layer-product.js";
import type { ActivationName } from "../../src/layers/names.js";
import type { Matrix as View } from "../../src/linalg/index.js";
import type { PipelineManager } from "../../src/pipeline/index.js";
import { activate } from "../../src/reference/activation.js";
import { matmul } from "../../src/reference/matmul.js";
import { assertEqual, kernelTest, type TestContext } from "../harness/kernel-test.js";
import {
  Arena,
  absolute,
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
} from "../linalg/helpers.js";

interface Case {
  m: number;
  /** Examples, and blocks of them; n is their product. */
  examples: number;
  blocks?: number;
  k: number;
  kind?: ActivationName;
  derivative?: boolean;
  adds?: boolean;
  turned?: boolean;
  /** Number of the first row among blocks. */
  first?: number;
}

interface Placed extends Case {
  A: Slot;
  X: Slot;
  values: Slot | undefined;
  rows: Slot;
  columns: Slot | undefined;
}

const SLOPE = 0.25;
const KINDS = ["relu", "leakyRelu", "tanh", "logistic"] as const;

/** φ' from φ's result. */
function slopeFrom(kind: ActivationName | undefined, a: number): number {
  if (kind === "tanh") return 1 - a * a;
  if (kind === "logistic") return a * (1 - a);
  return kind === undefined || a > 0 ? 1 : kind === "relu" ? 0 : SLOPE;
}

/** Matrices of the cases, all that are alike in one arena; X and the transposes in one where that is to be `inPlace`. */
class Bench {
  readonly #weights = new Arena();
  readonly #inputs = new Arena();
  readonly #values = new Arena();
  readonly #rows = new Arena();
  readonly #turned: Arena;
  readonly cases: Placed[];

  constructor(t: TestContext, cases: readonly Case[], seed: number, inPlace: boolean, tail?: number) {
    const random = t.random(seed);
    this.#turned = inPlace ? this.#inputs : new Arena();
    this.cases = cases.map((one) => {
      const { m, examples, blocks = 1, k, kind, derivative, adds, turned } = one;
      const n = blocks * examples;
      const results = random.normals(examples * m).map((z) => (kind ? activate({ kind }, z) : z));
      return {
        ...one,
        A: this.#weights.add(k, m, false, random.normals(k * m)),
        X: this.#inputs.add(k, n, false, random.normals(k * n)),
        values: derivative ? this.#values.add(examples, m, false, results) : undefined,
        rows: this.#rows.add(n, m, false, adds ? random.normals(n * m) : undefined),
        columns: turned ? this.#turned.add(m, n, false) : undefined,
      };
    });
    const arenas = new Set([this.#weights, this.#inputs, this.#rows, this.#turned]);
    if (this.cases.some(({ values }) => values)) arenas.add(this.#values);
    for (const arena of arenas) arena.upload(t, tail);
  }

  products(): LayerProduct[] {
    return this.cases.map(({ A, X, values, rows, columns, kind, adds, first = 0 }) => ({
      first,
      weights: A.view as View,
      inputs: X.view as View,
      rows: rows.view as View,
      turned: columns?.view as View | undefined,
      ...(adds !== undefined && { adds }),
      activation: kind && { kind, slope: SLOPE },
      values: values?.view as View | undefined,
    }));
  }

  async check(t: TestContext): Promise<void> {
    const written = this.cases.flatMap(({ columns }) => columns ?? []);
    const [rows, turned] = [
      await this.#rows.download(t, "rows"),
      await this.#turned.download(t, "transposes", written),
    ];
    for (const one of this.cases) {
      const { m, examples, blocks = 1, k, kind, derivative, adds = false, first = 0 } = one;
      const n = blocks * examples;
      const [a, x, old] = [reference(one.A), reference(one.X), reference(one.rows).data];
      const value = matmul(x, a, { transposeA: true }).data;
      const size = matmul(absolute(x), absolute(a), { transposeA: true }).data;
      for (let e = 0; e < n * m; e++) {
        if (adds) {
          value[e]! += old[e]!;
          size[e]! += Math.abs(old[e]!);
        }
        if (derivative) {
          const [row, column] = [Math.floor(e / m), e % m];
          const slope = slopeFrom(kind, one.values!.data[((first + row) % examples) * m + column]!);
          value[e]! *= slope;
          size[e]! *= slope;
        } else if (kind) {
          value[e] = activate({ kind, slope: SLOPE }, value[e]!);
          size[e]! += 1;
        }
      }
      const what = `layer product ${m} × ${k} by ${k} × ${n}, ${JSON.stringify({ kind, derivative, adds })}`;
      const found = rows.get(one.rows)!;
      assertWithin(found, value, size, k + 12, what);
      if (!one.columns) continue;
      const columns = turned.get(one.columns)!;
      const back = found.map((_, e) => columns[(e % m) * n + Math.floor(e / m)]!);
      assertSameBits(back, found, `${what}, its transpose`);
    }
  }
}

/** Sizes with what becomes of the product in turn: all pairs of the two come within a few dozen. */
function varied(sizes: readonly Pick<Case, "m" | "examples" | "k">[]): Case[] {
  return sizes.map((size, i) => ({
    ...size,
    kind: i % 5 === 4 ? undefined : KINDS[i % 5],
    derivative: i % 3 === 1,
    blocks: i % 3 === 1 ? 1 + (i % 4) : 1,
    adds: i % 7 < 3,
    turned: i % 4 !== 3,
    first: i % 2 === 0 ? 0 : i,
  }));
}

const SMALL_SIZES = SMALL.flatMap((m) =>
  SMALL.flatMap((examples) => SMALL.map((k) => ({ m, examples, k }))),
).filter(({ m, examples, k }) => (m + 2 * examples + k) % 5 === 0);

const LARGE_SIZES = LARGE.flatMap((m, i) => {
  const [examples, k] = [LARGE[(i + 4) % LARGE.length]!, LARGE[(i + 7) % LARGE.length]!];
  return [
    { m, examples, k },
    { m, examples: SMALL[i % SMALL.length]!, k: examples },
    { m: SMALL[(i + 3) % SMALL.length]!, examples, k: m },
  ];
});

async function check(t: TestContext, manager: PipelineManager, bench: Bench, expected = 1): Promise<void> {
  const dispatches = run(manager, (recorder) => layerProducts(recorder, bench.products()));
  await bench.check(t);
  assertEqual(dispatches, expected, "dispatches");
}

onEveryTile(
  "layer product: sizes round the edges of tiles, with all that becomes of a product",
  async (t, manager, some) => {
    await check(t, manager, new Bench(t, varied([...SMALL_SIZES, ...some(LARGE_SIZES)]), 1, true));
    for (const [i, k] of COUNTS.entries()) {
      const one: Case = { m: 21, examples: 17, blocks: 2, k, kind: KINDS[i % 4]!, derivative: i % 2 === 0 };
      // Poison behind the last.
      await check(t, manager, new Bench(t, [{ ...one, turned: true }], 2 + i, true, POISONED));
    }
  },
);

kernelTest("layer product: transposes in a buffer of their own, or none", async (t) => {
  const cases = varied([...SMALL_SIZES, ...LARGE_SIZES]);
  await check(t, managerOf(t), new Bench(t, cases, 20, false));
  const without = cases.map((one) => ({ ...one, turned: false }));
  await check(t, managerOf(t), new Bench(t, without, 21, false));
});

kernelTest("layer product: products in other buffers are dispatches of their own", async (t) => {
  const benches = [3, 4].map((seed) => new Bench(t, [{ m: 6, examples: 5, k: 7, kind: "relu" }], seed, true));
  const dispatches = run(managerOf(t), (recorder) => {
    layerProducts(
      recorder,
      benches.flatMap((bench) => bench.products()),
    );
  });
  assertEqual(dispatches, 2, "dispatches");
  for (const bench of benches) await bench.check(t);
});
