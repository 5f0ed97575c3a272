import { describe, expect, it } from "vitest";
import { ArgumentError, ShapeError } from "../../src/errors.js";
import {
  averagePool,
  averagePoolBackward,
  type ConvOptions,
  channelsOf,
  conv2d,
  conv2dInputGradient,
  conv2dWeightGradient,
  convGeometry,
  dot,
  finiteDifferenceGradient,
  flatten,
  foldPatches,
  globalAveragePool,
  globalAveragePoolBackward,
  groupRows,
  type Matrix,
  matmul,
  matrix,
  maxPool,
  maxPoolBackward,
  patches,
  relativeError,
  type Tensor,
  tensor,
  unflatten,
} from "../../src/reference/index.js";
import { randomMatrix } from "./helpers.js";

const N = 2;
const C = 4;
const H = 6;
const WIDTH = 7;
const OUT = 6;
const randomTensor = (shape: Tensor["shape"], seed: number) =>
  tensor(shape, randomMatrix(shape[0], shape[1] * shape[2] * shape[3], seed).data);
const asMatrix = (x: Tensor): Matrix => matrix(1, x.data.length, x.data);
const X = randomTensor([N, C, H, WIDTH], 1);

const cases: [string, ConvOptions][] = [
  ["1 × 1", { kernel: 1 }],
  ["3 × 2", { kernel: [3, 2] }],
  ["no bias", { kernel: [2, 3], bias: false }],
  ["padding [2, 1]", { kernel: 3, padding: [2, 1] }],
  ["stride [2, 3]", { kernel: [3, 2], stride: [2, 3] }],
  ["dilation [1, 2]", { kernel: [2, 3], dilation: [1, 2] }],
  ["two groups", { kernel: 3, groups: 2 }],
  ["depthwise", { kernel: [2, 3], groups: 4, padding: 1 }],
  [
    "everything",
    { kernel: [2, 3], stride: [3, 2], padding: [1, 2], dilation: [2, 1], groups: 2, bias: false },
  ],
];

/** The textbook sum, straight from the definition. */
function naive(x: Tensor, W: Matrix, o: ConvOptions, outHeight: number, outWidth: number): Tensor {
  const pair = (p: ConvOptions["kernel"]) => (typeof p === "number" ? [p, p] : p) as [number, number];
  const [kh, kw] = pair(o.kernel);
  const [sy, sx] = pair(o.stride ?? 1);
  const [py, px] = pair(o.padding ?? 0);
  const [dy, dx] = pair(o.dilation ?? 1);
  const groups = o.groups ?? 1;
  const inGroup = x.shape[1] / groups;
  const out = tensor([x.shape[0], W.rows, outHeight, outWidth]);
  const at = (n: number, c: number, y: number, xx: number) =>
    y < 0 || xx < 0 || y >= x.shape[2] || xx >= x.shape[3]
      ? 0
      : x.data[((n * x.shape[1] + c) * x.shape[2] + y) * x.shape[3] + xx]!;
  let k = 0;
  for (let n = 0; n < x.shape[0]; n++) {
    for (let f = 0; f < W.rows; f++) {
      const first = Math.floor(f / (W.rows / groups)) * inGroup;
      for (let y = 0; y < outHeight; y++) {
        for (let xx = 0; xx < outWidth; xx++, k++) {
          let sum = (o.bias ?? true) ? W.data[f * W.cols + W.cols - 1]! : 0;
          for (let c = 0; c < inGroup; c++) {
            for (let i = 0; i < kh; i++) {
              for (let j = 0; j < kw; j++) {
                const w = W.data[f * W.cols + (c * kh + i) * kw + j]!;
                sum += w * at(n, first + c, y * sy - py + i * dy, xx * sx - px + j * dx);
              }
            }
          }
          out.data[k] = sum;
        }
      }
    }
  }
  return out;
}

describe.each(cases)("convolution, %s", (_, options) => {
  // Six output channels for two groups, eight for four.
  const O = options.groups === 4 ? 8 : OUT;
  const g = convGeometry({ channels: C, height: H, width: WIDTH }, options);
  const W = randomMatrix(O, g.columns, 2);
  const Y = conv2d(X, W, g);
  const D = randomTensor(Y.shape, 3);

  it("is the textbook sum", () => {
    const expected = naive(X, W, options, g.outHeight, g.outWidth);
    expect(Y.shape).toEqual(expected.shape);
    expect(relativeError(asMatrix(Y), asMatrix(expected))).toBeLessThan(1e-14);
  });

  it("has the gradients of finite differences", () => {
    const inputs = finiteDifferenceGradient(
      (m) => dot(asMatrix(conv2d(unflatten(m, C, H, WIDTH), W, g)), asMatrix(D)),
      flatten(X),
      1,
    );
    expect(relativeError(flatten(conv2dInputGradient(D, W, g)), inputs)).toBeLessThan(1e-12);
    const weights = finiteDifferenceGradient((V) => dot(asMatrix(conv2d(X, V, g)), asMatrix(D)), W, 1);
    expect(relativeError(conv2dWeightGradient(X, D, g), weights)).toBeLessThan(1e-12);
  });

  it("is W times the patches of each group, and folding is the adjoint", () => {
    for (let group = 0; group < g.groups; group++) {
      const P = patches(X, g, group);
      expect([P[0]!.rows, P[0]!.cols]).toEqual([g.columns, g.positions]);
      const Z = channelsOf(Y, 1, (group * O) / g.groups, O / g.groups);
      expect(relativeError(matmul(groupRows(W, g.groups, group), P[1]!), Z)).toBeLessThan(1e-14);
    }
    const all = patches(X, g);
    const Q = all.map((p, n) => randomMatrix(p.rows, p.cols, 10 + n));
    const folded = dot(flatten(foldPatches(Q, g)), flatten(X));
    let product = 0;
    all.forEach((p, n) => {
      product += dot(p, Q[n]!);
      if (g.bias) for (let t = 0; t < p.cols; t++) product -= Q[n]!.data[(p.rows - 1) * p.cols + t]!;
    });
    expect(folded).toBeCloseTo(product, 10);
  });
});

describe("convolution arguments", () => {
  const size = { channels: 3, height: 4, width: 4 };
  it("orders patches (channel, ky, kx) and positions row-major", () => {
    const x = tensor([1, 2, 2, 3], [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
    const g = convGeometry({ channels: 2, height: 2, width: 3 }, { kernel: [2, 2] });
    const p = patches(x, g)[0]!;
    expect([p.rows, p.cols]).toEqual([9, 2]);
    expect(Array.from({ length: 9 }, (_, r) => p.data[2 * r])).toEqual([1, 2, 4, 5, 7, 8, 10, 11, 1]);
    expect(Array.from({ length: 9 }, (_, r) => p.data[2 * r + 1])).toEqual([2, 3, 5, 6, 8, 9, 11, 12, 1]);
    expect([...flatten(x).data]).toEqual([...x.data]);
  });

  it("refuses what does not fit", () => {
    expect(() => convGeometry(size, { kernel: 3, groups: 2 })).toThrow(ArgumentError);
    expect(() => convGeometry(size, { kernel: 5 })).toThrow(/must fit into the padded input/);
    expect(() => convGeometry(size, { kernel: 0 })).toThrow(ArgumentError);
    expect(() => convGeometry(size, { kernel: 3, stride: [1, 0] })).toThrow(ArgumentError);
    const g = convGeometry(size, { kernel: 3 });
    expect(() => conv2d(tensor([1, 3, 4, 4]), matrix(2, 27), g)).toThrow(ShapeError);
    expect(() => conv2d(tensor([1, 2, 4, 4]), matrix(2, 28), g)).toThrow(ShapeError);
    expect(() => patches(tensor([1, 3, 4, 4]), g, 1)).toThrow(ArgumentError);
    expect(() => tensor([1, 2, 2, 2], [1])).toThrow(ShapeError);
  });
});

describe("pooling", () => {
  it.each([
    { kernel: 2 },
    { kernel: [3, 2] as const, stride: [1, 2] as const },
    { kernel: [2, 3] as const, stride: 1 },
    { kernel: 1, stride: 3 },
  ])("has the gradients of finite differences, %o", (options) => {
    const at = (m: Matrix) => unflatten(m, C, H, WIDTH);
    const { output, argmax } = maxPool(X, options);
    const D = randomTensor(output.shape, 5);
    const largest = finiteDifferenceGradient(
      (m) => dot(asMatrix(maxPool(at(m), options).output), asMatrix(D)),
      flatten(X),
      1e-6,
    );
    expect(relativeError(flatten(maxPoolBackward(D, argmax, X.shape)), largest)).toBeLessThan(1e-8);
    const mean = finiteDifferenceGradient(
      (m) => dot(asMatrix(averagePool(at(m), options)), asMatrix(D)),
      flatten(X),
      1,
    );
    expect(relativeError(flatten(averagePoolBackward(D, options, X.shape)), mean)).toBeLessThan(1e-12);
  });

  it("takes the first of equal elements and leaves incomplete windows out", () => {
    const { output, argmax } = maxPool(tensor([1, 1, 2, 3], [1, 3, 9, 3, 2, 9]), { kernel: 2 });
    expect(output.shape).toEqual([1, 1, 1, 1]);
    expect([output.data[0], argmax[0]]).toEqual([3, 1]);
    expect(() => maxPool(tensor([1, 1, 2, 2]), { kernel: 3 })).toThrow(ArgumentError);
  });

  it("averages whole planes", () => {
    const Y = globalAveragePool(X);
    const whole = averagePool(X, { kernel: [H, WIDTH] });
    expect(relativeError(Y, flatten(whole))).toBeLessThan(1e-14);
    const D = randomMatrix(N, C, 6);
    const expected = averagePoolBackward(unflatten(D, C, 1, 1), { kernel: [H, WIDTH] }, X.shape);
    expect(relativeError(flatten(globalAveragePoolBackward(D, X.shape)), flatten(expected))).toBeLessThan(
      1e-14,
    );
  });
});
