// What is compared: an operation, its size, its numbers, and how a result is checked.
import { RandomStream } from "kfac-webgpu/reference";

export type Operation = "gram" | "invert" | "matmul";

export interface Case {
  operation: Operation;
  /** In words: `256 × 2048`. */
  size: string;
  /** Row-major f32, with `rows` and `cols`. */
  inputs: readonly HostArray[];
  /** Relative error of a result, along one random direction, in f64. */
  error(result: ArrayLike<number>): number;
}

export interface HostArray {
  rows: number;
  cols: number;
  data: Float32Array<ArrayBuffer>;
}

/** Software adapters get sizes that they finish in a blink. */
export type Scale = "small" | "large";

const SIZES: Record<Scale, { gram: [d: number, count: number][]; invert: number[]; matmul: number[] }> = {
  small: {
    gram: [
      [128, 1024],
      [256, 1024],
    ],
    invert: [64, 128],
    matmul: [128, 256],
  },
  large: {
    gram: [
      [512, 4096],
      [1024, 2048],
    ],
    invert: [256, 512],
    matmul: [1024, 2048],
  },
};

/** The cases one by one, as large ones take a while to make. */
export function caseMakers(scale: Scale): (() => Case)[] {
  const { gram, invert, matmul } = SIZES[scale];
  return [
    ...gram.map(
      ([d, count]) =>
        () =>
          gramCase(d, count),
    ),
    ...invert.map((n) => () => invertCase(n)),
    ...matmul.map((n) => () => matmulCase(n)),
  ];
}

/** X'X of an X with one example a row, which is what a layer's activations are. */
function gramCase(d: number, count: number): Case {
  const random = new RandomStream(1);
  const X = normal(random, count, d);
  const v = direction(random, d);
  const expected = transposedTimes(X, times(X, v));
  return {
    operation: "gram",
    size: `${d} × ${d} of ${count}`,
    inputs: [X],
    error: (S) => distance(times({ rows: d, cols: d, data: S }, v), expected),
  };
}

/** A Gram matrix over its count, plus 0.1 I: the kind that K-FAC inverts. */
function invertCase(n: number): Case {
  const random = new RandomStream(2);
  const count = 2 * n;
  const X = normal(random, count, n);
  const data = new Float32Array(n * n);
  for (let k = 0; k < count; k++) {
    for (let i = 0; i < n; i++) {
      const x = X.data[k * n + i]! / count;
      for (let j = 0; j < n; j++) data[i * n + j]! += x * X.data[k * n + j]!;
    }
  }
  for (let i = 0; i < n; i++) data[i * n + i]! += 0.1;
  for (let i = 0; i < n; i++) for (let j = 0; j < i; j++) data[j * n + i] = data[i * n + j]!;
  const S = { rows: n, cols: n, data };
  const v = direction(random, n);
  return {
    operation: "invert",
    size: `${n} × ${n}`,
    inputs: [S],
    error: (inverse) => distance(times(S, times({ rows: n, cols: n, data: inverse }, v)), v),
  };
}

function matmulCase(n: number): Case {
  const random = new RandomStream(3);
  const [A, B] = [normal(random, n, n), normal(random, n, n)];
  const v = direction(random, n);
  const expected = times(A, times(B, v));
  return {
    operation: "matmul",
    size: `${n} × ${n}`,
    inputs: [A, B],
    error: (C) => distance(times({ rows: n, cols: n, data: C }, v), expected),
  };
}

function normal(random: RandomStream, rows: number, cols: number): HostArray {
  return { rows, cols, data: Float32Array.from({ length: rows * cols }, () => random.normal()) };
}

function direction(random: RandomStream, n: number): Float64Array {
  return Float64Array.from({ length: n }, () => random.normal());
}

interface Numbers {
  rows: number;
  cols: number;
  data: ArrayLike<number>;
}

function times({ rows, cols, data }: Numbers, v: Float64Array): Float64Array {
  const out = new Float64Array(rows);
  for (let i = 0; i < rows; i++) {
    let sum = 0;
    for (let j = 0; j < cols; j++) sum += data[i * cols + j]! * v[j]!;
    out[i] = sum;
  }
  return out;
}

function transposedTimes({ rows, cols, data }: Numbers, v: Float64Array): Float64Array {
  const out = new Float64Array(cols);
  for (let i = 0; i < rows; i++) for (let j = 0; j < cols; j++) out[j]! += data[i * cols + j]! * v[i]!;
  return out;
}

/** ‖a − b‖ / ‖b‖. */
function distance(a: Float64Array, b: Float64Array): number {
  let [apart, size] = [0, 0];
  for (let k = 0; k < b.length; k++) {
    apart += (a[k]! - b[k]!) ** 2;
    size += b[k]! ** 2;
  }
  return Math.sqrt(apart / size);
}
