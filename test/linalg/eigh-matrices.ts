/** Symmetric matrices that are hard on an eigen-solver. */
import { eigh } from "../../src/reference/eigh.js";
import { matrix } from "../../src/reference/matrix.js";
import type { Random } from "../harness/kernel-test.js";
import { symmetric } from "./helpers.js";

/** V diag(values) V', or V'V when `transposed`, n × n, in f64; all ones unless values are given. */
export function outer(
  V: ArrayLike<number>,
  values: ArrayLike<number> | undefined,
  n: number,
  transposed: boolean,
): Float64Array {
  const rows = Float64Array.from({ length: n * n }, (_, e) => {
    return transposed ? V[(e % n) * n + Math.floor(e / n)]! : V[e]!;
  });
  const out = new Float64Array(n * n);
  for (let i = 0; i < n; i++) {
    for (let j = 0; j <= i; j++) {
      let sum = 0;
      for (let k = 0; k < n; k++) sum += rows[i * n + k]! * (values ? values[k]! : 1) * rows[j * n + k]!;
      out[i * n + j] = sum;
      out[j * n + i] = sum;
    }
  }
  return out;
}

/** A matrix with these eigenvalues and random eigenvectors. */
function withSpectrum(values: ArrayLike<number>, random: Random): Float32Array {
  const n = values.length;
  const { vectors } = eigh(matrix(n, n, symmetric(random, n)));
  return Float32Array.from(outer(vectors.data, values, n, false));
}

function diagonal(values: ArrayLike<number>): Float32Array {
  const n = values.length;
  return Float32Array.from({ length: n * n }, (_, e) => (e % (n + 1) === 0 ? values[e / (n + 1)]! : 0));
}

function entries(n: number, entry: (i: number, j: number) => number): Float32Array {
  return Float32Array.from({ length: n * n }, (_, e) => {
    const [i, j] = [Math.floor(e / n), e % n];
    return entry(Math.max(i, j), Math.min(i, j));
  });
}

const series = (n: number, value: (k: number) => number) =>
  Float64Array.from({ length: n }, (_, k) => value(k));

interface Hard {
  name: string;
  make: (n: number, random: Random) => Float32Array;
}

export const HARD: readonly Hard[] = [
  { name: "zero", make: (n) => new Float32Array(n * n) },
  { name: "identity", make: (n) => diagonal(series(n, () => 1)) },
  { name: "a multiple of the identity", make: (n) => diagonal(series(n, () => -1 / 3)) },
  { name: "diagonal, falling", make: (n) => diagonal(series(n, (k) => n - k)) },
  { name: "diagonal, shuffled, some equal", make: (n) => diagonal(series(n, (k) => ((7 * k) % 11) - 5)) },
  { name: "rank one", make: (n) => new Float32Array(n * n).fill(0.3) },
  {
    name: "rank two, random",
    make: (n, random) =>
      withSpectrum(
        series(n, (k) => (k === 0 ? 2 : k === 1 ? -1 : 0)),
        random,
      ),
  },
  {
    name: "repeated eigenvalues",
    make: (n, random) =>
      withSpectrum(
        series(n, (k) => k % 3),
        random,
      ),
  },
  {
    name: "clustered eigenvalues",
    make: (n, random) =>
      withSpectrum(
        series(n, (k) => 1 + (k % 4) + 1e-6 * k),
        random,
      ),
  },
  {
    name: "a wide spectrum, 1e-7 to 1",
    make: (n, random) =>
      withSpectrum(
        series(n, (k) => 10 ** (-7 * (k / Math.max(1, n - 1)))),
        random,
      ),
  },
  {
    name: "a graded matrix, large at the top",
    make: (n, random) => {
      const S = symmetric(random, n);
      return entries(n, (i, j) => S[i * n + j]! * 10 ** ((-4 * (i + j)) / n));
    },
  },
  {
    name: "a graded matrix, large at the bottom",
    make: (n, random) => {
      const S = symmetric(random, n);
      return entries(n, (i, j) => S[i * n + j]! * 10 ** ((4 * (i + j)) / n - 8));
    },
  },
  {
    name: "all eigenvalues negative",
    make: (n, random) =>
      withSpectrum(
        series(n, (k) => -1 - k),
        random,
      ),
  },
  { name: "second differences", make: (n) => entries(n, (i, j) => (i === j ? 2 : i === j + 1 ? -1 : 0)) },
  {
    name: "Wilkinson's, nearly equal pairs",
    make: (n) => entries(n, (i, j) => (i === j ? Math.abs(i - (n - 1) / 2) : i === j + 1 ? 1 : 0)),
  },
  { name: "off the diagonal only", make: (n) => entries(n, (i, j) => (i === j ? 0 : (i - j) % 2)) },
  {
    name: "nearly tridiagonal",
    make: (n, random) => {
      const S = symmetric(random, n);
      return entries(n, (i, j) =>
        i === j + 1 ? (j % 2 === 0 ? 1 : -1) : (i === j ? 1 : 1e-4) * S[i * n + j]!,
      );
    },
  },
  { name: "an arrow", make: (n) => entries(n, (i, j) => (i === j ? i : j === 0 ? 1 : 0)) },
  { name: "antidiagonal", make: (n) => entries(n, (i, j) => (i + j === n - 1 ? 1 + (j % 3) : 0)) },
  {
    name: "two blocks",
    make: (n, random) => {
      const S = symmetric(random, n);
      const half = n >> 1;
      return entries(n, (i, j) => (i >= half && j < half ? 0 : S[i * n + j]!));
    },
  },
  {
    name: "tiny beside one",
    make: (n, random) => {
      const S = symmetric(random, n);
      return entries(n, (i, j) => (i === 0 ? 1 : S[i * n + j]! * 1e-20));
    },
  },
];
