import { describe, expect, it } from "vitest";
import { ArgumentError, ShapeError } from "../../src/errors.js";
import {
  add,
  type ConvOptions,
  conv2d,
  convGeometry,
  denseHessian,
  dot,
  finiteDifferenceGgn,
  flatten,
  foldWeights,
  identity,
  kfocFactors,
  kronecker,
  kroneckerApproximation,
  leftTilingFactors,
  leftTilingStep,
  type Matrix,
  type MatrixExample,
  matmul,
  matrix,
  norm,
  outputSelectors,
  type PositionBlock,
  patches,
  patchSelectors,
  positionOperator,
  relativeError,
  rowOf,
  scale,
  tensor,
  tiledHessian,
  tiledHessianByTerms,
  tileWeights,
  tilingMatrix,
  tilingTerms,
  transpose,
  unvec,
  vec,
} from "../../src/reference/index.js";
import { randomMatrix } from "./helpers.js";

const N = 3;
const O = 2;
const X = tensor([N, 2, 3, 4], randomMatrix(N, 24, 500).data);
const cases: [string, ConvOptions][] = [
  ["2 × 3", { kernel: [2, 3] }],
  ["no bias", { kernel: 2, bias: false }],
  ["stride, padding, dilation", { kernel: [2, 2], stride: [1, 2], padding: [1, 0], dilation: [2, 1] }],
];

describe.each(cases)("true convolution, %s", (_, options) => {
  const g = convGeometry({ channels: 2, height: 3, width: 4 }, options);
  const U = randomMatrix(O, g.columns, 501);
  const head = randomMatrix(3, O * g.positions, 502);
  /** The flattened input of an example, with a 1 where there is a bias. */
  const whole = (i: number) => {
    const x = [...rowOf(flatten(X), i).data, ...(g.bias ? [1] : [])];
    return matrix(x.length, 1, x);
  };
  const examples: MatrixExample[] = Array.from({ length: N }, (_, i) => ({
    A: whole(i),
    B: transpose(scale(head, 1 + i)),
  }));
  const block: PositionBlock = {
    A: patches(X, g),
    B: examples.map(({ B }) =>
      Array.from({ length: 3 }, (_, c) => matrix(O, g.positions, rowOf(transpose(B), c).data)),
    ),
    divisor: N,
  };
  const T = tilingMatrix(g, O);

  it("the tiled matrix is the convolution, and T is its derivative", () => {
    const W = tileWeights(U, g);
    const Z = flatten(conv2d(X, U, g));
    for (let i = 0; i < N; i++) {
      expect(relativeError(transpose(matmul(W, whole(i))), rowOf(Z, i))).toBeLessThan(1e-14);
    }
    expect(relativeError(matmul(T, vec(U)), vec(W))).toBeLessThan(1e-15);
    const V = randomMatrix(W.rows, W.cols, 503);
    expect(relativeError(vec(foldWeights(V, g)), matmul(T, vec(V), { transposeA: true }))).toBeLessThan(
      1e-14,
    );
    expect(dot(W, V)).toBeCloseTo(dot(U, foldWeights(V, g)), 10);
    const [P, S] = [patchSelectors(g), outputSelectors(O, g.positions)];
    const sum = P.map((p, t) => kronecker(transpose(p), transpose(S[t]!)));
    const total = sum.reduce((a, b) => add(a, b));
    expect(relativeError(T, total)).toBe(0);
  });

  it("H_u is T'(AA' ⊗ BB')T, Σ Ω_ts ⊗ Γ_ts, the operator, and finite differences", () => {
    const H = tiledHessian(examples, T, 1 / N);
    expect(relativeError(tiledHessianByTerms(examples, g, 1 / N), H)).toBeLessThan(1e-13);
    expect(relativeError(denseHessian(positionOperator(block)), H)).toBeLessThan(1e-13);
    const outputs = (V: Matrix) => {
      const Z = flatten(conv2d(X, V, g));
      const rows = Array.from({ length: N }, (_, i) => [...matmul(rowOf(Z, i), examples[i]!.B).data]);
      return matrix(N, 3, rows.flat());
    };
    const expected = finiteDifferenceGgn(outputs, U, Array(N).fill(identity(3)), 1);
    expect(relativeError(H, expected)).toBeLessThan(1e-12);
  });

  it("no Kronecker product equals H_u: the best one is far off; at one position it is exact", () => {
    const H = tiledHessian(examples, T, 1 / N);
    const best = kroneckerApproximation("kfoc", kfocFactors(block));
    expect(relativeError(best.dense(), H)).toBeGreaterThan(0.02);
    const first = (m: Matrix) =>
      matrix(
        m.rows,
        1,
        Array.from({ length: m.rows }, (_, r) => m.data[r * m.cols]!),
      );
    const one: PositionBlock = {
      A: block.A.map(first),
      B: block.A.map(() => block.B[0]!.map(first)),
      divisor: N,
    };
    const exact = denseHessian(positionOperator(one));
    const product = kroneckerApproximation("kfoc", kfocFactors(one)).dense();
    expect(relativeError(product, exact)).toBeLessThan(1e-12);
  });

  it("the terms are the selected blocks of AA' and BB'", () => {
    const { omega, gamma } = tilingTerms(examples[0]!, g);
    const a = block.A[0]!;
    const last = g.positions - 1;
    const outer = matrix(g.columns, g.columns);
    for (let r = 0; r < g.columns; r++) {
      for (let c = 0; c < g.columns; c++) {
        outer.data[r * g.columns + c] = a.data[r * a.cols]! * a.data[c * a.cols + last]!;
      }
    }
    expect(relativeError(omega[0]![last]!, outer)).toBeLessThan(1e-15);
    expect(relativeError(gamma[last]![0]!, transpose(gamma[0]![last]!))).toBeLessThan(1e-15);
  });
});

describe("left tiling, W = K U", () => {
  const K = randomMatrix(6, 2, 510);
  const U = randomMatrix(2, 4, 511);
  const x = { A: randomMatrix(4, 7, 512), B: randomMatrix(6, 5, 513), target: randomMatrix(5, 7, 514) };

  it("has H_u = (I ⊗ K')(AA' ⊗ BB')(I ⊗ K) = AA' ⊗ K'BB'K, by products and by differences", () => {
    const { A, B } = leftTilingFactors(K, x);
    const tiling = kronecker(identity(4), K);
    const product = kronecker(A, B);
    expect(relativeError(product, tiledHessian([x], tiling))).toBeLessThan(1e-13);
    const outputs = (V: Matrix) => {
      const Y = matmul(matmul(x.B, matmul(K, V), { transposeA: true }), x.A);
      return matrix(1, Y.data.length, Y.data);
    };
    expect(relativeError(product, finiteDifferenceGgn(outputs, U, [identity(35)], 1))).toBeLessThan(1e-12);
    expect(relativeError(matmul(tiling, vec(U)), vec(matmul(K, U)))).toBeLessThan(1e-14);
    // The note writes vec(W) = KU; only dW = K dU gives I ⊗ K. K ⊗ I would tile the other side.
    expect(relativeError(kronecker(B, A), product)).toBeGreaterThan(0.1);
  });

  it("one step lands on the minimiser, from any U; the shortest step where K'BB'K is singular", () => {
    const first = leftTilingStep({ K, U, ...x });
    const after = leftTilingStep({ K, U: first.W, ...x });
    expect(norm(after.gradient)).toBeLessThan(1e-11 * norm(first.gradient));
    expect(relativeError(leftTilingStep({ K, U: scale(U, -9), ...x }).W, first.W)).toBeLessThan(1e-10);
    expect([first.rankA, first.rankB]).toEqual([4, 2]);
    const twin = matmul(matrix(1, 1, [1]), matrix(1, 2, [1, 1]));
    const flat = matmul(randomMatrix(6, 1, 515), twin);
    const thin = leftTilingStep({ K: flat, U, ...x });
    expect(thin.rankB).toBe(1);
    expect(norm(leftTilingStep({ K: flat, U: thin.W, ...x }).gradient)).toBeLessThan(1e-9);
    // The two rows of U do the same, so the shortest step moves them alike.
    expect(relativeError(rowOf(thin.step, 0), rowOf(thin.step, 1))).toBeLessThan(1e-10);
  });

  it("differs from true convolution where the tiles see different inputs", () => {
    // 1 × 1 kernel, two positions: as left tiling both positions would have to see the same input.
    const g = convGeometry({ channels: 1, height: 1, width: 2 }, { kernel: 1, bias: false });
    const T = tilingMatrix(g, 1);
    const left = kronecker(identity(2), matrix(2, 1, [1, 1]));
    expect([T.rows, T.cols]).toEqual([4, 1]);
    expect([left.rows, left.cols]).toEqual([4, 2]);
    expect([...unvec(matmul(T, matrix(1, 1, [3])), 2, 2).data]).toEqual([3, 0, 0, 3]);
    expect([...unvec(matmul(left, matrix(2, 1, [3, 4])), 2, 2).data]).toEqual([3, 4, 3, 4]);
  });
});

describe("tiling arguments", () => {
  it("refuses groups and shapes that do not fit", () => {
    const grouped = convGeometry({ channels: 2, height: 2, width: 2 }, { kernel: 1, groups: 2 });
    expect(() => patchSelectors(grouped)).toThrow(ArgumentError);
    const g = convGeometry({ channels: 2, height: 2, width: 2 }, { kernel: 1 });
    expect(() => tileWeights(matrix(1, 4), g)).toThrow(ShapeError);
    expect(() => foldWeights(matrix(5, 9), g)).toThrow();
    expect(() => leftTilingFactors(matrix(3, 2), { A: matrix(2, 2), B: matrix(4, 2) })).toThrow(ShapeError);
  });
});
