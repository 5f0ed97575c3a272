/** Damped inverses: accuracy over sizes, condition numbers and scales; failures as data; symmetric to the last bit. */
import { ArgumentError, ShapeError } from "../../src/errors.js";
import { type InvertBuffers, InvertStatus, invert } from "../../src/linalg/index.js";
import type { PipelineManager } from "../../src/pipeline/index.js";
import { eigh } from "../../src/reference/eigh.js";
import { gram } from "../../src/reference/gram.js";
import { invert as exactInverse } from "../../src/reference/invert.js";
import { matmul } from "../../src/reference/matmul.js";
import { type Matrix, matrix } from "../../src/reference/matrix.js";
import { relativeError } from "../../src/reference/reduce.js";
import {
  assert,
  assertEqual,
  assertWritten,
  kernelTest,
  type Random,
  type TestContext,
} from "../harness/kernel-test.js";
import {
  Arena,
  assertRefused,
  assertSameBits,
  assertSymmetric,
  EPS,
  leaveToChromium,
  managerOf,
  onEveryTile,
  otherTiles,
  run,
  type Slot,
  type Some,
  symmetric,
} from "./helpers.js";

const { notPositiveDefinite, nonFinite, dampingBelowFloor } = InvertStatus;

/** f32 numbers of a symmetric matrix, n × n. */
type Square = Float32Array;

function well(random: Random, n: number): Square {
  const k = Math.ceil(2.5 * n) + 2;
  return Float32Array.from(gram({ A: matrix(n, k, random.normals(n * k)), alpha: 1 / k }).data);
}

/** Orthogonal columns: the eigenvectors of a random symmetric matrix. */
function orthogonal(random: Random, n: number): Matrix {
  return eigh(matrix(n, n, symmetric(random, n))).vectors;
}

/** V diag(λ) V', λ log-uniform from 1 down to 1/κ, rounded to f32. */
function withSpectrum(V: Matrix, kappa: number): Square {
  const n = V.rows;
  const scaled = matrix(n, n);
  for (let j = 0; j < n; j++) {
    const root = kappa ** (-j / Math.max(1, n - 1) / 2);
    for (let i = 0; i < n; i++) scaled.data[i * n + j] = V.data[i * n + j]! * root;
  }
  return Float32Array.from(gram({ A: scaled }).data);
}

interface Case {
  n: number;
  S: Square;
  damping?: number;
  /** What `into` holds before; defaults to poison. */
  old?: Float32Array;
  loose?: boolean;
}

interface Outcome {
  inverses: Float32Array[];
  statuses: number[];
  dispatches: number;
}

async function inversesOf(
  t: TestContext,
  manager: PipelineManager,
  cases: readonly Case[],
): Promise<Outcome> {
  const [sources, targets] = [new Arena(), new Arena()];
  const slots: [Slot, Slot][] = cases.map(({ n, S, old, loose = false }) => [
    sources.add(n, n, loose, S),
    targets.add(n, n, loose, old),
  ]);
  sources.upload(t, 0);
  targets.upload(t, 0);
  const dampings = t.upload(Float32Array.from(cases, ({ damping = 0 }) => damping));
  const status = t.upload(new Uint32Array(cases.length));
  const dispatches = run(manager, (recorder) => {
    const list = slots.map(([S, into]) => ({ S: S.view, into: into.view }));
    invert(recorder, list, { dampings, status });
  });
  const results = await targets.download(t, "invert");
  const statuses = [...(await t.downloadWords(status))];
  return { inverses: slots.map(([, into]) => results.get(into)!), statuses, dispatches };
}

function exact({ n, S, damping }: Case): Matrix {
  return exactInverse(matrix(n, n, S), { damping }).inverse;
}

/** ‖(S + λI) X − I‖ / √n. */
function residualOf({ n, S, damping = 0 }: Case, X: Float32Array): number {
  const product = matmul(matrix(n, n, S), matrix(n, n, X));
  let sum = 0;
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < n; j++) {
      const value = product.data[i * n + j]! + damping * X[i * n + j]! - (i === j ? 1 : 0);
      sum += value * value;
    }
  }
  return Math.sqrt(sum / n);
}

/** Accepts by c ε κ, whatever n is: both the error against f64 and the residual. A failure tells both. */
function assertInverse(one: Case, X: Float32Array, kappa: number, what: string): void {
  assertWritten(X, what);
  assertSymmetric(X, one.n, what);
  const error = relativeError(matrix(one.n, one.n, X), exact(one));
  const residual = residualOf(one, X);
  const bound = 4 * EPS * kappa;
  const told = `relative error ${error.toExponential(2)}, residual ${residual.toExponential(2)}`;
  assert(
    error <= bound && residual <= bound,
    `${what}: ${told}; the bound is ${bound.toExponential(2)} at κ = ${kappa}`,
  );
}

/** 0, or the warning that no damping is little damping. */
function assertWell(status: number, what: string): void {
  assertEqual(status & ~dampingBelowFloor, 0, `${what}: status`);
}

kernelTest("invert: all sizes from 1 to 160 in one call, inside larger buffers", async (t) => {
  const size = 200;
  const whole = well(t.random(1), size);
  // Principal minors of a positive definite matrix, each from another place.
  const cases = Array.from({ length: 160 }, (_, index): Case => {
    const n = index + 1;
    const start = (7 * n) % (size - n + 1);
    const S = new Float32Array(n * n);
    for (let i = 0; i < n; i++) {
      for (let j = 0; j < n; j++) S[i * n + j] = whole[(start + i) * size + start + j]!;
    }
    return { n, S, loose: n % 2 === 0 };
  });
  const { inverses, statuses } = await inversesOf(t, managerOf(t), cases);
  for (const [i, one] of cases.entries()) {
    assertWell(statuses[i]!, `n = ${one.n}`);
    assertInverse(one, inverses[i]!, 40, `n = ${one.n}`);
  }
});

kernelTest(
  "invert: mixed sizes share their dispatches, and give the bits that each gives alone",
  async (t) => {
    const random = t.random(2);
    const cases = [1, 129, 32, 33, 5, 64].map((n): Case => ({ n, S: well(random, n), damping: 0.01 }));
    const together = await inversesOf(t, managerOf(t), cases);
    const largest = await inversesOf(t, managerOf(t), [cases[1]!]);
    assertEqual(together.dispatches, largest.dispatches, "dispatches of the largest alone");
    for (const [i, one] of cases.entries()) {
      const alone = await inversesOf(t, managerOf(t), [one]);
      assertEqual(together.statuses[i], 0, `status of n = ${one.n}`);
      assertSameBits(alone.inverses[0]!, together.inverses[i]!, `n = ${one.n}, alone and in company`);
      assertInverse(one, together.inverses[i]!, 30, `n = ${one.n}`);
    }
  },
);

/** Sizes round the edges of tiles and blocks. */
async function checkSizes(
  t: TestContext,
  manager: PipelineManager,
  some: Some = (cases) => cases,
): Promise<void> {
  const random = t.random(3);
  const sizes = [1, 7, 8, 9, 31, 32, 33, 63, 64, 65, 96, 127, 128, 129, 160, 193];
  const cases = some(sizes).map((n): Case => ({ n, S: well(random, n), loose: n === 65 }));
  const { inverses, statuses } = await inversesOf(t, manager, cases);
  for (const [i, one] of cases.entries()) {
    assertWell(statuses[i]!, `n = ${one.n}`);
    assertInverse(one, inverses[i]!, 40, `n = ${one.n}`);
  }
}

onEveryTile("invert: sizes round the edges of tiles and blocks", checkSizes);

kernelTest("invert: sizes round the edges, by the kernels of the other kind of adapter", async (t) => {
  leaveToChromium(t);
  const manager = otherTiles(t);
  await checkSizes(t, manager);
  manager.dispose();
});

kernelTest("invert: condition numbers from 10 to a million, up to 256 rows", async (t) => {
  const random = t.random(4);
  const kappas = [1e1, 1e2, 1e3, 1e4, 1e5, 1e6];
  const cases = [8, 33, 96, 256].flatMap((n) => {
    const V = orthogonal(random, n);
    return kappas.map((kappa) => ({ n, kappa, S: withSpectrum(V, kappa) }));
  });
  const { inverses, statuses } = await inversesOf(t, managerOf(t), cases);
  for (const [i, one] of cases.entries()) {
    const what = `n = ${one.n}, κ = ${one.kappa}`;
    assertWell(statuses[i]!, what);
    assertInverse(one, inverses[i]!, one.kappa, what);
  }
});

kernelTest("invert: the scale of a matrix does not matter", async (t) => {
  const n = 40;
  const S = withSpectrum(orthogonal(t.random(5), n), 100);
  const cases = [1e-12, 1e-6, 1, 1e6, 1e12].map((scale): Case => {
    return { n, S: S.map((value) => value * scale), damping: 1e-3 * scale };
  });
  const { inverses, statuses } = await inversesOf(t, managerOf(t), cases);
  for (const [i, one] of cases.entries()) {
    assertEqual(statuses[i], 0, `status of case ${i}`);
    assertInverse(one, inverses[i]!, 100, `scale ${one.damping! / 1e-3}`);
  }
});

kernelTest("invert: diagonals that span twelve orders of magnitude", async (t) => {
  const n = 50;
  const S = well(t.random(6), n);
  // From 1e-3 to 1e3 in no order, so the diagonal runs over 1e12.
  const D = Float64Array.from({ length: n }, (_, i) => 10 ** ((6 * ((17 * i) % n)) / (n - 1) - 3));
  const scaled = S.map((value, e) => value * D[Math.floor(e / n)]! * D[e % n]!);
  const { inverses, statuses } = await inversesOf(t, managerOf(t), [{ n, S: scaled }]);
  assertWell(statuses[0]!, "status");
  // Compared after the scaling is taken out, so that the small entries count as much as the large ones.
  const balance = (X: ArrayLike<number>) =>
    matrix(
      n,
      n,
      Float64Array.from(X, (value, e) => value * D[Math.floor(e / n)]! * D[e % n]!),
    );
  const error = relativeError(balance(inverses[0]!), balance(exact({ n, S: scaled }).data));
  assert(error <= 40 * 4 * EPS, `relative error ${error}`);
});

kernelTest("invert: the damping is added, each matrix its own, and makes up for a low rank", async (t) => {
  const random = t.random(7);
  // Without damping there is no inverse, and what remains after the first `rank` rows is rounding: a block's inverse,
  // were it used, would lose the square of the condition number.
  const cases = [
    { n: 37, rank: 10 },
    { n: 64, rank: 3 },
    { n: 129, rank: 20 },
  ].flatMap(({ n, rank }) => {
    const S = Float32Array.from(gram({ A: matrix(n, rank, random.normals(rank * n)), alpha: 1 / rank }).data);
    return [1, 0.1, 1e-2, 1e-3, 2e-4].map((damping) => ({ n, rank, S, damping }));
  });
  const { inverses, statuses } = await inversesOf(t, managerOf(t), cases);
  for (const [i, one] of cases.entries()) {
    const what = `n = ${one.n}, rank ${one.rank}, damping ${one.damping}`;
    assertEqual(statuses[i], 0, `${what}: status`);
    const largest = (1 + Math.sqrt(one.n / one.rank)) ** 2;
    assertInverse(one, inverses[i]!, largest / one.damping + 1, what);
  }
});

kernelTest("invert: of nothing but damping, I/λ", async (t) => {
  const cases = [1, 3, 33].map(
    (n, i): Case => ({ n, S: new Float32Array(n * n), damping: [4, 1e-8, 1e8][i]! }),
  );
  const { inverses, statuses } = await inversesOf(t, managerOf(t), cases);
  for (const [i, { n, damping }] of cases.entries()) {
    assertEqual(statuses[i], 0, `status at n = ${n}`);
    for (let e = 0; e < n * n; e++) {
      const expected = e % (n + 1) === 0 ? 1 / damping! : 0;
      const value = inverses[i]![e]!;
      assert(Math.abs(value - expected) <= 8 * EPS * expected, `n = ${n}: element ${e} is ${value}`);
    }
  }
});

kernelTest("invert: only the lower half counts, and S may be overwritten", async (t) => {
  const n = 45;
  const S = well(t.random(8), n);
  const { inverses } = await inversesOf(t, managerOf(t), [{ n, S }]);
  const lower = S.map((value, e) => (e % n > Math.floor(e / n) ? 0.25 : value));
  const other = await inversesOf(t, managerOf(t), [{ n, S: lower }]);
  assertSameBits(other.inverses[0]!, inverses[0]!, "with another upper half");
  const arena = new Arena();
  const slot = arena.add(n, n, true, S);
  arena.upload(t, 0);
  const buffers = { dampings: t.upload(Float32Array.of(0)), status: t.upload(new Uint32Array(1)) };
  run(managerOf(t), (recorder) => invert(recorder, [{ S: slot.view, into: slot.view }], buffers));
  assertSameBits((await arena.download(t, "in place")).get(slot)!, inverses[0]!, "in place");
});

kernelTest("invert: matrices in buffers of their own", async (t) => {
  const random = t.random(9);
  const cases = [3, 40, 3].map((n): Case => ({ n, S: well(random, n) }));
  const sources = cases.map(({ S }) => t.upload(S));
  // The first and the last share their target.
  const shared = t.poisoned(30);
  const targets = [
    { buffer: shared, offset: 20, rows: 3, cols: 3 },
    { buffer: t.poisoned(1600), rows: 40, cols: 40 },
    { buffer: shared, offset: 1, rows: 3, cols: 3, stride: 5 },
  ];
  const buffers = { dampings: t.upload(new Float32Array(3)), status: t.upload(new Uint32Array(3)) };
  run(managerOf(t), (recorder) => {
    const list = cases.map(({ n }, i) => ({
      S: { buffer: sources[i]!, rows: n, cols: n },
      into: targets[i]!,
    }));
    invert(recorder, list, buffers);
  });
  for (const [i, { buffer, offset = 0, rows, stride = rows }] of targets.entries()) {
    const all = await t.download(buffer);
    const X = new Float32Array(rows * rows);
    for (let r = 0; r < rows; r++)
      X.set(all.subarray(offset + r * stride, offset + r * stride + rows), r * rows);
    assertInverse(cases[i]!, X, 40, `matrix ${i}`);
  }
});

/** Matrices that have no inverse, n × n. */
function failures(
  random: Random,
): { name: string; n: number; S: Square; damping?: number; status: number }[] {
  const changed = (n: number, change: (S: Square) => void) => {
    const S = well(random, n);
    change(S);
    return { n, S };
  };
  const last = (n: number, value: number) => changed(n, (S) => S.fill(value, n * n - 1));
  const pair = (n: number, i: number, j: number, value: number) =>
    changed(n, (S) => {
      S[i * n + j] = value;
      S[j * n + i] = value;
    });
  const notPd = notPositiveDefinite;
  return [
    { name: "a negative number, 1 × 1", n: 1, S: Float32Array.of(-1), status: notPd },
    { name: "zero, 1 × 1", n: 1, S: Float32Array.of(0), status: notPd },
    { name: "a subnormal number", n: 1, S: Float32Array.of(1e-40), status: notPd },
    { name: "a negative diagonal number in the last block", ...last(100, -1), status: notPd },
    { name: "a zero on the diagonal", ...last(33, 0), status: notPd },
    { name: "an off-diagonal number that is too large", ...pair(5, 3, 1, 50), status: notPd },
    { name: "one between two blocks", ...pair(70, 69, 2, -50), status: notPd },
    { name: "rank one", n: 2, S: Float32Array.of(1, 1, 1, 1), status: notPd },
    { name: "barely indefinite", n: 2, S: Float32Array.of(1, 1.0001, 1.0001, 1), status: notPd },
    { name: "somewhat indefinite", n: 2, S: Float32Array.of(1, 1.2, 1.2, 1), status: notPd },
    {
      name: "off-diagonal numbers that overflow",
      n: 2,
      S: Float32Array.of(1e-30, 1e10, 1e10, 1e-30),
      status: notPd,
    },
    { name: "overflow between blocks", ...pair(64, 60, 3, 1e30), status: notPd },
    { name: "a damping that is no number", n: 3, S: well(random, 3), damping: Number.NaN, status: nonFinite },
    { name: "NaN, 1 × 1", n: 1, S: Float32Array.of(Number.NaN), status: nonFinite },
    { name: "infinity, 1 × 1", n: 1, S: Float32Array.of(Number.POSITIVE_INFINITY), status: nonFinite },
    { name: "NaN on the diagonal", ...last(40, Number.NaN), status: nonFinite },
    { name: "minus infinity on the diagonal", ...last(40, Number.NEGATIVE_INFINITY), status: nonFinite },
    {
      name: "NaN below the diagonal",
      ...changed(65, (S) => S.fill(Number.NaN, 64 * 65, 64 * 65 + 1)),
      status: nonFinite,
    },
    {
      name: "infinity above",
      ...changed(33, (S) => S.fill(Number.POSITIVE_INFINITY, 32, 33)),
      status: nonFinite,
    },
    { name: "nothing but NaN", ...changed(34, (S) => S.fill(Number.NaN)), status: nonFinite },
  ];
}

kernelTest(
  "invert: what fails keeps its old inverse bit for bit, and its neighbours do not notice",
  async (t) => {
    const random = t.random(10);
    const bad = failures(random);
    const good = bad.map((_, i): Case => {
      const n = [1, 20, 33, 129][i % 4]!;
      return { n, S: well(random, n), damping: 0.01 };
    });
    const alone = await inversesOf(t, managerOf(t), good);
    // Good and bad in turn. What a failure must keep are numbers for some and poison, NaN included, for others.
    const mixed = bad.flatMap((one, i): Case[] => {
      const old = i % 3 === 0 ? undefined : random.normals(one.n * one.n);
      return [good[i]!, { ...one, old, loose: i % 2 === 0 }];
    });
    const { inverses, statuses } = await inversesOf(t, managerOf(t), mixed);
    for (const [i, { name, n, status }] of bad.entries()) {
      assertEqual(statuses[2 * i + 1]! & status, status, `status bit of ${name}`);
      if (status === notPositiveDefinite) {
        assertEqual(statuses[2 * i + 1]! & nonFinite, 0, `${name} is finite`);
      }
      const old = mixed[2 * i + 1]!.old ?? new Arena().add(n, n, false).data;
      assertSameBits(inverses[2 * i + 1]!, old, `old contents: ${name}`);
      assertEqual(statuses[2 * i], 0, `status of the neighbour of ${name}`);
      assertSameBits(inverses[2 * i]!, alone.inverses[i]!, `the neighbour of ${name}`);
    }
  },
);

kernelTest("invert: what is barely definite is no failure", async (t) => {
  const one = { n: 2, S: Float32Array.of(1, 0.999999, 0.999999, 1) };
  const { inverses, statuses } = await inversesOf(t, managerOf(t), [one]);
  assertWell(statuses[0]!, "status");
  assertInverse(one, inverses[0]!, 2e6, "pivot 2e-6");
});

kernelTest("invert: NaN at any place of a matrix is seen", async (t) => {
  const n = 6;
  const S = well(t.random(11), n);
  const cases = Array.from({ length: n * n }, (_, place): Case => {
    const poisoned = S.slice();
    poisoned[place] = Number.NaN;
    return { n, S: poisoned, damping: 0.1 };
  });
  const { statuses } = await inversesOf(t, managerOf(t), cases);
  for (const [place, status] of statuses.entries()) {
    assertEqual(status & nonFinite, nonFinite, `NaN at (${Math.floor(place / n)}, ${place % n})`);
  }
});

kernelTest("invert: a damping below the floor is honoured with a warning", async (t) => {
  const n = 30;
  const S = well(t.random(12), n);
  // λ_max is about 2.5; the shader's estimate is from below, within a factor of n.
  const cases = [0, 1e-8, 1e-3].map((damping): Case => ({ n, S, damping }));
  const { inverses, statuses } = await inversesOf(t, managerOf(t), cases);
  assertEqual(statuses.join(), `${dampingBelowFloor},${dampingBelowFloor},0`, "statuses");
  for (const [i, one] of cases.entries()) assertInverse(one, inverses[i]!, 40, `damping ${one.damping}`);
});

kernelTest("invert: status bits are added to what is there", async (t) => {
  const S = t.upload(Float32Array.of(4, -1));
  const into = t.poisoned(2);
  const status = t.upload(Uint32Array.of(64, 128));
  const buffers = { dampings: t.upload(Float32Array.of(1, 0)), status };
  const at = (buffer: GPUBuffer, offset: number) => ({ buffer, offset, rows: 1, cols: 1 });
  run(managerOf(t), (recorder) => {
    invert(
      recorder,
      [0, 1].map((i) => ({ S: at(S, i), into: at(into, i) })),
      buffers,
    );
  });
  assertEqual([...(await t.downloadWords(status))].map((word) => word & ~4).join(), "64,129", "status");
  const [first, second] = await t.download(into);
  assert(Math.abs(first! - 0.2) < 1e-7, `the first is ${first}`);
  assertEqual(second, Math.fround(1e30), "the second keeps its poison");
});

kernelTest("invert: the same inputs give the same bits", async (t) => {
  const one = { n: 129, S: well(t.random(13), 129), damping: 1e-4 };
  const [first, second] = [
    await inversesOf(t, managerOf(t), [one]),
    await inversesOf(t, managerOf(t), [one]),
  ];
  assertSameBits(second.inverses[0]!, first.inverses[0]!, "second run");
});

kernelTest("invert: bad input is refused before anything is recorded", async (t) => {
  const [input, output, words] = [new Arena(), new Arena(), new Arena()];
  const s = input.add(3, 5, true, t.random(1).normals(15));
  const x = output.add(3, 3, true);
  words.add(1, 4, false, [0, 0, 0, 0]);
  input.upload(t);
  output.upload(t);
  words.upload(t, 0);
  const S = { ...s.view, cols: 3 };
  const into = x.view;
  const buffers: InvertBuffers = { dampings: t.upload(new Float32Array(4)), status: words.buffer };
  const good = { S, into };
  await assertRefused(
    t,
    [input, output, words],
    [
      [
        (r) => invert(r, [good, { S: s.view, into }], buffers),
        ShapeError,
        /^invert: S has shape \[3 × 5\], expected \[3 × 3\]/,
      ],
      [
        (r) => invert(r, [{ S, into: { ...into, rows: 2, cols: 2 } }], buffers),
        ShapeError,
        /^invert: into has shape \[2 × 2\], expected \[3 × 3\]/,
      ],
      [(r) => invert(r, [], buffers), ArgumentError, /^invert: inversions must be at least one/],
      [
        (r) => invert(r, [good, good, good, good, good], buffers),
        ShapeError,
        /^invert: (dampings|status) .*at most 4 elements/,
      ],
      [
        (r) => invert(r, [good, good], { ...buffers, status: t.upload(new Uint32Array(1)) }),
        ShapeError,
        /^invert: status .*at most 1 elements/,
      ],
      [
        (r) => invert(r, [good], { ...buffers, status: buffers.dampings }),
        ArgumentError,
        /^invert: status .*same buffer as dampings/,
      ],
      [
        (r) =>
          invert(
            r,
            [
              {
                S: { ...S, buffer: words.buffer, offset: 0, rows: 1, cols: 1 },
                into: { ...into, rows: 1, cols: 1 },
              },
            ],
            buffers,
          ),
        ArgumentError,
        /^invert: status .*same buffer as S/,
      ],
      [
        (r) =>
          invert(
            r,
            [{ S: { ...S, rows: 1, cols: 1 }, into: { buffer: words.buffer, rows: 1, cols: 1 } }],
            buffers,
          ),
        ArgumentError,
        /^invert: (status|into) .*same buffer as (status|into)/,
      ],
    ],
  );
});
