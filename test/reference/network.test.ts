import { describe, expect, it } from "vitest";
import { ArgumentError, ShapeError } from "../../src/errors.js";
import {
  activation,
  add,
  applyGgnBlock,
  batchFactors,
  copy,
  curvatureRows,
  dot,
  forward,
  fromRows,
  initialWeights,
  kronecker,
  type Layer,
  type LossKind,
  linear,
  lossAndGradients,
  lossHessian,
  type Matrix,
  matmul,
  matrix,
  relativeError,
  rowOf,
  scale,
  stackRows,
  subtract,
  type Targets,
  vec,
  weightsOf,
  withWeights,
} from "../../src/reference/index.js";
import { randomMatrix } from "./helpers.js";

const N = 6;
const X = randomMatrix(N, 4, 31);
const classes = [0, 2, 1, 1, 0, 2];

function network(kind: "relu" | "leakyRelu" | "tanh" | "logistic"): Layer[] {
  return [
    linear(randomMatrix(5, 5, 32, 0.6), true),
    activation(kind, kind === "leakyRelu" ? 0.2 : undefined),
    linear(randomMatrix(4, 5, 33, 0.6), false),
    activation(kind),
    linear(randomMatrix(3, 5, 34, 0.6), true),
  ];
}

/** Jacobian of the outputs of each example in column-major vec of one layer's weights, by finite differences. */
function jacobians(net: readonly Layer[], layer: number, inputs: Matrix): Matrix[] {
  const weights = weightsOf(net);
  const W = weights[layer]!;
  const h = 1e-6;
  const result = Array.from({ length: inputs.rows }, () => matrix(3, W.rows * W.cols));
  for (let r = 0; r < W.rows; r++) {
    for (let c = 0; c < W.cols; c++) {
      const outputs = [h, -h].map((step) => {
        const moved = copy(W);
        moved.data[r * W.cols + c]! += step;
        return forward(
          withWeights(
            net,
            weights.map((w, l) => (l === layer ? moved : w)),
          ),
          inputs,
        ).outputs;
      });
      const D = scale(subtract(outputs[0]!, outputs[1]!), 0.5 / h);
      result.forEach((J, i) => {
        for (let o = 0; o < 3; o++) J.data[o * J.cols + c * W.rows + r] = D.data[i * 3 + o]!;
      });
    }
  }
  return result;
}

/** (1/N) Σ J_i' Λ_i J_i by finite differences: the definition of the GGN. */
function ggn(net: readonly Layer[], layer: number, loss: LossKind, inputs: Matrix): Matrix {
  const Z = forward(net, inputs).outputs;
  const Js = jacobians(net, layer, inputs);
  const n = Js[0]!.cols;
  let H = matrix(n, n);
  Js.forEach((J, i) => {
    const block = matmul(matmul(J, lossHessian(loss, Z, i), { transposeA: true }), J);
    H = add(H, block, 1, 1 / inputs.rows);
  });
  return H;
}

const losses: [LossKind, Targets][] = [
  ["softmaxCrossEntropy", classes],
  ["halfSquaredError", randomMatrix(N, 3, 35)],
  ["sigmoidCrossEntropy", fromRows(classes.map((c) => [0, 1, 2].map((k) => (k === c ? 1 : 0))))],
];

describe.each(["relu", "leakyRelu", "tanh", "logistic"] as const)("network with %s", (kind) => {
  const net = network(kind);

  it.each(losses)("has the gradient of finite differences for %s, mean and sum", (loss, targets) => {
    const { gradients } = lossAndGradients(net, loss, X, targets);
    const weights = weightsOf(net);
    const h = 1e-6;
    weights.forEach((W, l) => {
      const direction = randomMatrix(W.rows, W.cols, 40 + l);
      const at = (step: number) => {
        const moved = weights.map((w, k) => (k === l ? add(W, direction, 1, step) : w));
        return lossAndGradients(withWeights(net, moved), loss, X, targets).loss;
      };
      const expected = (at(h) - at(-h)) / (2 * h);
      expect(Math.abs(dot(gradients[l]!, direction) - expected)).toBeLessThan(
        1e-7 * (1 + Math.abs(expected)),
      );
    });
    const total = lossAndGradients(net, loss, X, targets, "sum");
    total.gradients.forEach((G, l) => {
      expect(relativeError(G, scale(gradients[l]!, N))).toBeLessThan(1e-14);
    });
  });

  it("applies the GGN of finite differences", () => {
    const rows = curvatureRows(net, "softmaxCrossEntropy", X, { kind: "exact" });
    for (let l = 0; l < 3; l++) {
      const W = weightsOf(net)[l]!;
      const V = randomMatrix(W.rows, W.cols, 50 + l);
      const expected = matmul(ggn(net, l, "softmaxCrossEntropy", X), vec(V));
      expect(relativeError(vec(applyGgnBlock(rows, l, V)), expected)).toBeLessThan(1e-7);
    }
  });
});

describe("Kronecker factorisation", () => {
  const product = (net: readonly Layer[], loss: LossKind, inputs: Matrix, l: number) => {
    const { A, B } = batchFactors(curvatureRows(net, loss, inputs, { kind: "exact" }))[l]!;
    return kronecker(A, B);
  };
  const errors = (net: readonly Layer[], loss: LossKind, inputs: Matrix) =>
    [0, 1, 2].map((l) => relativeError(product(net, loss, inputs, l), ggn(net, l, loss, inputs)));

  it("is exact for a batch of one, and not for more", () => {
    const net = network("relu");
    const one = errors(net, "softmaxCrossEntropy", rowOf(X, 0));
    expect(Math.max(...one)).toBeLessThan(1e-7);
    expect(errors(net, "softmaxCrossEntropy", X)[0]).toBeGreaterThan(1e-2);
  });

  it("is exact for a deep linear network under half squared error, and not under softmax", () => {
    const net = network("relu").filter((layer) => layer.kind === "linear");
    expect(Math.max(...errors(net, "halfSquaredError", X))).toBeLessThan(1e-7);
    expect(errors(net, "softmaxCrossEntropy", X)[0]).toBeGreaterThan(1e-2);
  });

  it("is exact where all examples share one activation pattern, and not where they do not", () => {
    const net = network("leakyRelu");
    const near = stackRows(Array.from({ length: N }, (_, i) => add(rowOf(X, 0), rowOf(X, i), 1, 1e-4)));
    expect(Math.max(...errors(net, "halfSquaredError", near))).toBeLessThan(1e-6);
    expect(errors(net, "halfSquaredError", X)[0]).toBeGreaterThan(1e-2);
  });

  it("does not change when the batch is duplicated", () => {
    const net = network("tanh");
    for (let l = 0; l < 3; l++) {
      const once = product(net, "softmaxCrossEntropy", X, l);
      expect(relativeError(product(net, "softmaxCrossEntropy", stackRows([X, X]), l), once)).toBeLessThan(
        1e-13,
      );
    }
  });
});

describe("curvatureRows", () => {
  const net = network("tanh");

  it("lays the rows out as documented", () => {
    const rows = curvatureRows(net, "softmaxCrossEntropy", X, { kind: "exact" });
    expect(rows).toMatchObject({ columns: 3, divisor: N });
    expect(rows.A.map((A) => [A.rows, A.cols])).toEqual([
      [N, 5],
      [N, 5],
      [N, 5],
    ]);
    expect(rows.B.map((B) => [B.rows, B.cols])).toEqual([
      [3 * N, 5],
      [3 * N, 4],
      [3 * N, 3],
    ]);
    expect(rows.A[0]!.data[4]).toBe(1);
  });

  it("empirical rows give the gradient: G = (1/N) Σ b a'", () => {
    const rows = curvatureRows(net, "softmaxCrossEntropy", X, { kind: "empirical", targets: classes });
    const { gradients } = lossAndGradients(net, "softmaxCrossEntropy", X, classes);
    rows.B.forEach((B, l) => {
      const G = matmul(B, rows.A[l]!, { transposeA: true, alpha: 1 / N });
      expect(relativeError(G, gradients[l]!)).toBeLessThan(1e-13);
    });
  });

  it("Monte-Carlo factors tend to the exact ones, the empirical ones do not", () => {
    const exact = batchFactors(curvatureRows(net, "softmaxCrossEntropy", X, { kind: "exact" }));
    const error = (samples: number) => {
      const rows = curvatureRows(net, "softmaxCrossEntropy", X, {
        kind: "monteCarlo",
        seed: 1,
        step: 0,
        samples,
      });
      expect(rows.divisor).toBe(N * samples);
      return Math.max(...batchFactors(rows).map(({ B }, l) => relativeError(B, exact[l]!.B)));
    };
    expect(error(4000)).toBeLessThan(0.05);
    expect(error(1)).toBeGreaterThan(0.05);
    const empirical = batchFactors(
      curvatureRows(net, "softmaxCrossEntropy", X, { kind: "empirical", targets: classes }),
    );
    expect(relativeError(empirical[0]!.B, exact[0]!.B)).toBeGreaterThan(0.1);
    expect(() =>
      curvatureRows(net, "softmaxCrossEntropy", X, { kind: "monteCarlo", seed: 1, step: 0, samples: 0 }),
    ).toThrow(ArgumentError);
  });
});

describe("shapes and initial weights", () => {
  it("names the layer that does not fit", () => {
    const net = [linear(matrix(2, 4)), linear(matrix(2, 4))];
    expect(() => forward(net, matrix(1, 3))).toThrow(
      /input of layer 1 has shape \[1 × 2\], expected \[1 × 3\]/,
    );
    expect(() => withWeights(net, [matrix(2, 4)])).toThrow(ArgumentError);
    expect(() => withWeights(net, [matrix(2, 4), matrix(4, 2)])).toThrow(ShapeError);
  });

  it("puts the bias in the last column", () => {
    const out = forward([linear(fromRows([[1, 2, 10]]))], fromRows([[1, 1]])).outputs;
    expect(out.data[0]).toBe(13);
  });

  it("draws weights of variance 2/in with zero bias, the same for the same seed", () => {
    const W = initialWeights(200, 100, { seed: 3, layerIndex: 1 });
    expect(dot(W, W) / 20000).toBeCloseTo(0.02, 3);
    for (let o = 0; o < 200; o++) expect(W.data[o * 101 + 100]).toBe(0);
    expect(initialWeights(200, 100, { seed: 3, layerIndex: 1 })).toEqual(W);
    expect(initialWeights(200, 100, { seed: 3, layerIndex: 2 })).not.toEqual(W);
  });
});
