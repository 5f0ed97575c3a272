import { describe, expect, it } from "vitest";
import {
  activation,
  add,
  addDiagonal,
  type ConvNetworkLayer,
  conv,
  convCurvature,
  convForward,
  convLossAndGradients,
  convWeightsOf,
  denseHessian,
  diagonal,
  ekfac,
  expandFactors,
  finiteDifferenceGgn,
  fluctuationFactors,
  gram,
  identity,
  jointDiagonal,
  kfocFactors,
  kroneckerApproximation,
  kroneckerPair,
  type LossKind,
  linear,
  lossHessian,
  type Matrix,
  matmul,
  matrix,
  meanFluctuation,
  measure,
  norm,
  type PositionBlock,
  perPositionBlock,
  piDamping,
  pool,
  positionOperator,
  reduceFactors,
  relativeError,
  scale,
  solve,
  subtract,
  tensor,
  trace,
  transpose,
  unvec,
  vec,
  withConvWeights,
} from "../../src/reference/index.js";
import { randomMatrix, randomSpd } from "./helpers.js";

const N = 5;
const X = tensor([N, 2, 4, 4], randomMatrix(N, 32, 300).data);

/** H of one layer, by finite-difference Jacobians of the network's outputs. */
function ggn(net: readonly ConvNetworkLayer[], layer: number, loss: LossKind): Matrix {
  const weights = convWeightsOf(net);
  const Z = convForward(net, X).outputs;
  const hessians = Array.from({ length: N }, (_, i) => lossHessian(loss, Z, i));
  const f = (W: Matrix) =>
    convForward(
      withConvWeights(
        net,
        weights.map((w, l) => (l === layer ? W : w)),
      ),
      X,
    ).outputs;
  return finiteDifferenceGgn(f, weights[layer]!, hessians);
}

const blockOf = (net: readonly ConvNetworkLayer[], layer: number, loss: LossKind) =>
  convCurvature(net, loss, X, { kind: "exact" })[layer]![0]!;

const all = (block: PositionBlock) => [
  kroneckerApproximation("expand", expandFactors(block)),
  kroneckerApproximation("reduce", reduceFactors(block)),
  kroneckerApproximation("kfoc", kfocFactors(block)),
  ekfac(block, expandFactors(block)),
  meanFluctuation(block),
];

/** Error of each approximation against finite differences, by name. */
function errors(net: readonly ConvNetworkLayer[], layer: number, loss: LossKind): Record<string, number> {
  const H = ggn(net, layer, loss);
  return Object.fromEntries(all(blockOf(net, layer, loss)).map((a) => [a.name, relativeError(a.dense(), H)]));
}

const kernel3 = conv(randomMatrix(3, 19, 310, 0.4), { kernel: 3, padding: 1 });
const kernel1 = conv(randomMatrix(2, 4, 311, 0.5), { kernel: 1 });
const perPosition: ConvNetworkLayer[] = [kernel3, kernel1];
const pooled: ConvNetworkLayer[] = [
  kernel3,
  kernel1,
  { kind: "globalAveragePool" },
  linear(randomMatrix(3, 3, 312)),
];
const trained: ConvNetworkLayer[] = [
  kernel3,
  activation("relu"),
  pool("maxPool", { kernel: 2 }),
  { kind: "flatten" },
  linear(randomMatrix(3, 13, 313, 0.5)),
];
const reluPooled: ConvNetworkLayer[] = [
  kernel3,
  activation("relu"),
  { kind: "globalAveragePool" },
  linear(randomMatrix(3, 4, 314)),
];

describe("exact cases", () => {
  it("expand, EKFAC and KFOC: deep linear network under a per-position loss; reduce is not", () => {
    for (const layer of [0, 1]) {
      const e = errors(perPosition, layer, "halfSquaredError");
      expect(e.expand).toBeLessThan(1e-7);
      expect(e.ekfac).toBeLessThan(1e-7);
      expect(e.kfoc).toBeLessThan(1e-7);
      expect(e.reduce).toBeGreaterThan(0.1);
    }
  });

  it("reduce, mean + fluctuation and KFOC: deep linear network before a mean over positions; expand is not", () => {
    for (const layer of [0, 1]) {
      const e = errors(pooled, layer, "halfSquaredError");
      expect(e.reduce).toBeLessThan(1e-7);
      expect(e.meanFluctuation).toBeLessThan(1e-7);
      expect(e.kfoc).toBeLessThan(1e-7);
      expect(e.expand).toBeGreaterThan(0.1);
    }
    // Under softmax the B_i differ between examples, and nothing is exact any more.
    for (const error of Object.values(errors(pooled, 0, "softmaxCrossEntropy"))) {
      expect(error).toBeGreaterThan(1e-3);
    }
  });

  it("all: a 1 × 1 kernel at one position of a linear network; with more positions not all", () => {
    const at = (size: number): ConvNetworkLayer[] => [
      pool("averagePool", { kernel: size }),
      conv(randomMatrix(3, 3, 320), { kernel: 1 }),
      { kind: "flatten" },
      linear(randomMatrix(2, 3 * (4 / size) ** 2 + 1, 321)),
    ];
    const one = errors(at(4), 0, "halfSquaredError");
    expect(Math.max(...Object.values(one))).toBeLessThan(1e-7);
    const four = errors(at(2), 0, "halfSquaredError");
    expect(Math.min(...Object.values(four))).toBeGreaterThan(1e-2);
  });

  it("mean + fluctuation: inputs constant over positions and a batch of one; expand is not", () => {
    const a = randomMatrix(4, 1, 330);
    const block: PositionBlock = {
      A: [matmul(a, matrix(1, 6, Array(6).fill(1)))],
      B: [[randomMatrix(3, 6, 331), randomMatrix(3, 6, 332)]],
      divisor: 1,
    };
    const H = denseHessian(positionOperator(block));
    expect(relativeError(meanFluctuation(block).dense(), H)).toBeLessThan(1e-13);
    expect(relativeError(kroneckerApproximation("", expandFactors(block)).dense(), H)).toBeGreaterThan(0.1);
    const varied = { ...block, A: [randomMatrix(4, 6, 333)] };
    const other = denseHessian(positionOperator(varied));
    expect(relativeError(meanFluctuation(varied).dense(), other)).toBeGreaterThan(0.1);
  });

  it("mean + fluctuation: a per-position loss on centred inputs, only with the unbiased scale", () => {
    const B = randomMatrix(3, 2, 340);
    const examples = [341, 342].map((seed) => {
      const A = randomMatrix(4, 5, seed);
      return { A: subtract(A, matmul(A, matrix(5, 5, Array(25).fill(1 / 5)))), B };
    });
    const block = perPositionBlock(examples);
    const H = denseHessian(positionOperator(block));
    expect(relativeError(meanFluctuation(block).dense(), H)).toBeLessThan(1e-13);
    expect(relativeError(meanFluctuation(block, "plain").dense(), H)).toBeCloseTo(1 / 5, 10);
  });
});

describe("orderings", () => {
  it.each([
    ["max pool", trained],
    ["global average pool", reluPooled],
  ])("EKFAC and KFOC are never worse than the pair they start from: %s", (_, net) => {
    for (const loss of ["softmaxCrossEntropy", "halfSquaredError"] as const) {
      const block = blockOf(net, 0, loss);
      const H = denseHessian(positionOperator(block));
      expect(relativeError(H, ggn(net, 0, loss))).toBeLessThan(1e-7);
      const error = (m: Matrix) => relativeError(m, H);
      for (const factors of [expandFactors(block), reduceFactors(block)]) {
        const pair = error(kroneckerApproximation("pair", factors).dense());
        expect(error(ekfac(block, factors).dense())).toBeLessThan(pair);
        for (const maxIterations of [1, 3, 1000]) {
          const better = kfocFactors(block, { start: factors, maxIterations });
          expect(error(kroneckerApproximation("kfoc", better).dense())).toBeLessThan(pair);
        }
      }
    }
  });

  it("KFOC is the best Kronecker product: its error is what the largest singular value leaves", () => {
    const block = blockOf(trained, 0, "softmaxCrossEntropy");
    const H = denseHessian(positionOperator(block));
    const { A, B } = kfocFactors(block);
    const [n, m] = [A.rows, B.rows];
    // Van Loan & Pitsianis: row (i, j) of R is block (i, j) of H.
    const R = matrix(n * n, m * m);
    for (let i = 0; i < n; i++) {
      for (let j = 0; j < n; j++) {
        for (let k = 0; k < m * m; k++) {
          const at = (i * m + Math.floor(k / m)) * H.cols + j * m + (k % m);
          R.data[(i * n + j) * m * m + k] = H.data[at]!;
        }
      }
    }
    let x = vec(identity(m));
    for (let k = 0; k < 500; k++) {
      const y = matmul(R, matmul(R, x), { transposeA: true });
      x = scale(y, 1 / norm(y));
    }
    const sigma = norm(matmul(R, x));
    const left = Math.sqrt(norm(H) ** 2 - sigma ** 2) / norm(H);
    expect(relativeError(kroneckerApproximation("kfoc", { A, B }).dense(), H)).toBeCloseTo(left, 10);
    expect(trace(A)).toBeCloseTo(n, 10);
  });

  it("expand is too small by about the number of positions before a mean; reduce is not", () => {
    const block = blockOf(reluPooled, 0, "halfSquaredError");
    const G = convLossAndGradients(reluPooled, "halfSquaredError", X, randomMatrix(N, 3, 350)).gradients[0]!;
    const quality = measure(all(block), positionOperator(block), G, 1e-2);
    const [expand, reduce] = quality;
    expect(expand!.size).toBeLessThan(0.4);
    expect(reduce!.size).toBeGreaterThan(0.7);
    for (const q of quality) {
      expect(q.shareAtBestStep).toBeLessThanOrEqual(1 + 1e-12);
      expect(q.share).toBeLessThanOrEqual(q.shareAtBestStep + 1e-12);
      expect(q.cosine).toBeGreaterThan(0);
    }
  });
});

describe("solve", () => {
  const block = blockOf(trained, 0, "softmaxCrossEntropy");
  const G = randomMatrix(3, 19, 360);

  it("is the inverse of the damped dense form; apply is its product", () => {
    for (const approximation of all(block)) {
      const H = approximation.dense();
      expect(relativeError(vec(approximation.apply(G)), matmul(H, vec(G)))).toBeLessThan(1e-12);
      if (approximation.name === "meanFluctuation") continue;
      const expected = unvec(solve(H, vec(G), 0.1), 3, 19);
      expect(relativeError(approximation.solve(G, 0.1), expected)).toBeLessThan(1e-10);
    }
  });

  it("factored damping is the product of damped factors", () => {
    const factors = expandFactors(block);
    const { a, b } = piDamping(trace(factors.A), 19, trace(factors.B), 3, 0.1);
    const damped = { A: addDiagonal(factors.A, a), B: addDiagonal(factors.B, b) };
    const U = kroneckerApproximation("", factors, "factored").solve(G, 0.1);
    const H = kroneckerApproximation("", damped).dense();
    expect(relativeError(vec(U), solve(H, vec(G)))).toBeLessThan(1e-10);
  });

  it("mean + fluctuation damps the second product; λI where there is no fluctuation", () => {
    const [first, second] = [reduceFactors(block), fluctuationFactors(block)];
    const { a, b } = piDamping(trace(second.A), 19, trace(second.B), 3, 0.1);
    const damped = { A: addDiagonal(second.A, a), B: addDiagonal(second.B, b) };
    const H = kroneckerPair("", first, damped).dense();
    expect(relativeError(vec(meanFluctuation(block).solve(G, 0.1)), solve(H, vec(G)))).toBeLessThan(1e-10);
    const none = kroneckerPair("", first, { A: matrix(19, 19), B: matrix(3, 3) });
    const plain = kroneckerApproximation("", first).solve(G, 0.1);
    expect(relativeError(none.solve(G, 0.1), plain)).toBeLessThan(1e-10);
  });

  it("solves an undamped pair, singular or not, and each pair when the other is zero", () => {
    const first = { A: randomSpd(5, 370), B: randomSpd(3, 371) };
    const second = { A: randomSpd(5, 372), B: randomSpd(3, 373) };
    const V = randomMatrix(3, 5, 374);
    const pair = kroneckerPair("", first, second);
    expect(relativeError(pair.apply(pair.solve(V, 0)), V)).toBeLessThan(1e-11);
    const thin = {
      A: gram({ A: randomMatrix(5, 2, 375) }),
      B: gram({ A: randomMatrix(3, 1, 376) }),
    };
    const mixed = kroneckerPair("", first, thin);
    expect(relativeError(mixed.apply(mixed.solve(V, 0)), V)).toBeLessThan(1e-11);
    const both = kroneckerPair("", thin, scaleFactors(thin, 0.3));
    const image = both.apply(V);
    expect(relativeError(both.apply(both.solve(image, 0)), image)).toBeLessThan(1e-10);
    const zero = scaleFactors(second, 0);
    expect(relativeError(kroneckerPair("", first, zero).apply(pair.solve(V, 0)), V)).toBeGreaterThan(1e-2);
    const swapped = kroneckerPair("", zero, second);
    expect(relativeError(swapped.apply(swapped.solve(V, 0)), V)).toBeLessThan(1e-11);
  });

  it("diagonalises two matrices at once, whatever their scales", () => {
    const X1 = scale(randomSpd(4, 380), 1e6);
    const Y1 = scale(randomSpd(4, 381), 1e-4);
    const { inverse, first, second } = jointDiagonal(X1, Y1);
    const inside = (m: Matrix) => matmul(matmul(inverse, m), transpose(inverse));
    expect(relativeError(inside(X1), diagonal(first))).toBeLessThan(1e-10);
    expect(relativeError(inside(Y1), diagonal(second))).toBeLessThan(1e-10);
  });

  it("fluctuations are expand less reduce", () => {
    const T = block.A[0]!.cols;
    const [e, r, f] = [expandFactors(block), reduceFactors(block), fluctuationFactors(block)];
    expect(relativeError(f.A, scale(subtract(e.A, r.A), T / (T - 1)))).toBeLessThan(1e-12);
    expect(relativeError(f.B, add(e.B, r.B, 1, -1 / T))).toBeLessThan(1e-12);
  });
});

const scaleFactors = ({ A, B }: { A: Matrix; B: Matrix }, by: number) => ({
  A: scale(A, by),
  B: scale(B, by),
});
