/** What the benchmark measures: its command line, counts, inputs, and the checks of outputs. */
import { describe, expect, test } from "vitest";
import { readArguments } from "../../bench/arguments.mjs";
import { eighError, gramError, inverseError, productError, sandwichError } from "../../bench/check.mjs";
import { History } from "../../bench/compare.mjs";
import { randoms, setsFor, spd, transposed } from "../../bench/data.mjs";
import { gramFlops, invertFlops, matmulFlops, sandwichFlops } from "../../bench/flops.mjs";
import { OPERATIONS } from "../../bench/operations/index.mjs";
import { eigh, gram, invert, type Matrix, matmul, matrix, transpose } from "../../src/reference/index.js";

const known = { operations: ["gram", "invert"], peers: ["one", "two"] };
const read = (...argv: string[]) => readArguments(argv, known);

describe("the command line", () => {
  test("everything, unless told otherwise", () => {
    expect(read()).toMatchObject({
      ...{ quick: false, only: ["gram", "invert"], peers: ["one", "two"], cases: [], pairs: 15 },
      ...{ capMs: 10_000, json: undefined, out: undefined, install: true },
    });
    expect(read("--quick")).toMatchObject({ quick: true, pairs: 5, capMs: 3000 });
  });

  test("lists keep the order in which things run", () => {
    expect(read("--only", "invert,gram").only).toEqual(["gram", "invert"]);
    expect(read("--peers", "two").peers).toEqual(["two"]);
    expect(read("--peers", "none").peers).toEqual([]);
    expect(read("--cases", "64,512x4096").cases).toEqual(["64", "512x4096"]);
  });

  test("--json with and without a file", () => {
    expect(read("--json", "out.json").json).toBe("out.json");
    expect(read("--json").json).toBe("-");
    expect(read("--json", "--quick")).toMatchObject({ json: "-", quick: true });
  });

  test.each([
    [["--only", "gramm"], "--only takes gram, invert; got gramm"],
    [["--only", ""], "--only takes gram, invert; got nothing"],
    [["--peers", "three"], "--peers takes one, two; got three"],
    [["--pairs", "1.5"], "--pairs must be a positive whole number, got 1.5"],
    [["--cap", "-1"], "--cap"],
    [["--adapter", "metal"], "--adapter must be one of lavapipe, swiftshader, hardware, got metal"],
    [["--fast"], "--fast"],
    [["stray"], "stray"],
  ])("%j is refused", (argv, message) => {
    expect(() => read(...argv)).toThrow(message);
  });
});

test("useful operations", () => {
  expect(gramFlops(3, 5)).toBe(45);
  expect(matmulFlops(2, 3, 4)).toBe(48);
  expect(invertFlops([2, 3])).toBe(35);
  expect(sandwichFlops(2, 3)).toBe(2 * (12 + 18));
});

test("a peer's time is predicted by the work since its last case", () => {
  const history = new History();
  expect(history.predict("a", 8)).toBe(0);
  history.note("a", 5, 8);
  expect(history.predict("a", 64)).toBe(40);
  expect(history.predict("a", 1)).toBe(5);
});

describe("inputs", () => {
  test("random numbers repeat, and differ by seed", () => {
    const [a, b, c] = [randoms(1000, 1), randoms(1000, 1), randoms(1000, 2)];
    expect(a).toEqual(b);
    expect(a).not.toEqual(c);
    const mean = a.reduce((sum, value) => sum + value, 0) / 1000;
    const variance = a.reduce((sum, value) => sum + (value - mean) ** 2, 0) / 1000;
    expect(Math.abs(mean)).toBeLessThan(0.1);
    expect(variance).toBeGreaterThan(0.9);
    expect(variance).toBeLessThan(1.1);
  });

  test.each([1, 5, 24])("a matrix of size %i has the spectrum it should", (n) => {
    const S = matrix(n, n, spd(n, 1e4, 3, n));
    const { values } = eigh(S);
    for (let k = 0; k < n; k++) {
      const wanted = n === 1 ? 1 : 1e4 ** (-(n - 1 - k) / (n - 1));
      expect(Math.abs(values[k]! - wanted)).toBeLessThan(1e-12);
    }
    if (n > 1) expect(Math.abs(S.data[1]!)).toBeGreaterThan(1e-6);
  });

  test("enough sets to pass the cache twice, within reason", () => {
    expect(setsFor(2 ** 20, 2 ** 22)).toBe(8);
    expect(setsFor(2 ** 30, 2 ** 22)).toBe(2);
    expect(setsFor(16, 2 ** 22)).toBe(64);
  });
});

/** The check accepts what the reference computes, rounded to f32, and refuses it with one number changed. */
function expectChecked(right: Matrix, error: (candidate: Float32Array) => number) {
  const rounded = Float32Array.from(right.data);
  expect(error(rounded)).toBeLessThan(2e-6);
  const wrong = rounded.slice();
  wrong[rounded.length - 2]! += 0.5 * Math.max(...rounded.map(Math.abs));
  expect(error(wrong)).toBeGreaterThan(1e-3);
  wrong[1] = Number.NaN;
  expect(error(wrong)).toBe(Number.POSITIVE_INFINITY);
  expect(error(new Float32Array(rounded.length))).toBeGreaterThan(0.9);
}

describe("checks of outputs", () => {
  const [m, k, n] = [7, 11, 5];
  const A = randoms(m * k, 1);
  const B = randoms(k * n, 2);
  const of = (rows: number, cols: number, data: ArrayLike<number>) => matrix(rows, cols, data);

  test("Gram matrix", () => expectChecked(gram({ A: of(m, k, A) }), (S) => gramError(S, A, m, k)));
  test("product", () =>
    expectChecked(matmul(of(m, k, A), of(k, n, B)), (C) => productError(C, A, B, m, k, n)));
  test("sandwich", () => {
    const [P, Q] = [spd(m, 10, 4), spd(n, 10, 5)];
    const G = randoms(m * n, 3);
    const U = matmul(matmul(of(m, m, P), of(m, n, G)), of(n, n, Q));
    expectChecked(U, (candidate) => sandwichError(candidate, P, G, Q, m, n));
  });
  test("inverse", () => {
    const S = spd(m, 10, 6);
    expectChecked(invert(of(m, m, S)).inverse, (X) => inverseError(X, S, m));
  });
  test("eigen-decomposition", () => {
    const S = spd(m, 10, 7);
    const { values, vectors } = eigh(of(m, m, S));
    expectChecked(vectors, (V) => eighError(values, V, S, m));
    expect(
      eighError(
        values.map((value) => 2 * value),
        vectors.data,
        S,
        m,
      ),
    ).toBeGreaterThan(0.1);
  });
  test("transposition", () => {
    const T = transpose(of(m, k, A));
    expect([...transposed(A, m, k)]).toEqual([...T.data]);
  });
});

test("cases have names of their own and positive counts", () => {
  for (const software of [true, false]) {
    for (const extent of ["quick", "full"] as const) {
      const cases = OPERATIONS.flatMap((operation) => operation.cases(extent, software));
      expect(new Set(cases.map(({ id }) => id)).size).toBe(cases.length);
      for (const { work, bytes, tolerance } of cases)
        expect(Math.min(work, bytes, tolerance)).toBeGreaterThan(0);
    }
  }
});
