import { describe, expect, it } from "vitest";
import { ArgumentError, ShapeError } from "../../src/errors.js";
import {
  activation,
  add,
  applyGgnBlock,
  type ConvNetworkLayer,
  conv,
  convCurvature,
  convForward,
  convLossAndGradients,
  convWeightsOf,
  curvatureRows,
  denseBlock,
  denseHessian,
  type Fisher,
  finiteDifferenceGgn,
  finiteDifferenceGradient,
  flatten,
  fromRows,
  type Layer,
  type LossKind,
  linear,
  lossAndGradients,
  lossHessian,
  matmul,
  matrix,
  pool,
  positionOperator,
  relativeError,
  scale,
  type Targets,
  tensor,
  vec,
  withConvWeights,
} from "../../src/reference/index.js";
import { randomMatrix } from "./helpers.js";

const N = 4;
const X = tensor([N, 2, 6, 5], randomMatrix(N, 60, 200).data);
const classes = [0, 2, 1, 2];
const losses: [LossKind, Targets][] = [
  ["softmaxCrossEntropy", classes],
  ["halfSquaredError", randomMatrix(N, 3, 201)],
  ["sigmoidCrossEntropy", fromRows(classes.map((c) => [0, 1, 2].map((k) => (k === c ? 1 : 0))))],
];

const networks: Record<string, ConvNetworkLayer[]> = {
  "max pool, flatten": [
    conv(randomMatrix(3, 19, 210, 0.4), { kernel: 3, padding: 1 }),
    activation("tanh"),
    pool("maxPool", { kernel: 2 }),
    conv(randomMatrix(2, 12, 211, 0.4), { kernel: 2, bias: false }),
    activation("relu"),
    { kind: "flatten" },
    linear(randomMatrix(3, 5, 212, 0.5)),
  ],
  "groups, stride, average pool, global average": [
    conv(randomMatrix(4, 7, 220, 0.4), { kernel: [2, 3], groups: 2, padding: [1, 2], dilation: [2, 1] }),
    activation("leakyRelu", 0.2),
    pool("averagePool", { kernel: 2, stride: 1 }),
    conv(randomMatrix(4, 13, 221, 0.4), { kernel: [2, 3], stride: [2, 1], groups: 2 }),
    activation("logistic"),
    { kind: "globalAveragePool" },
    linear(randomMatrix(3, 4, 222, 0.5), false),
  ],
};

describe.each(Object.keys(networks))("convolutional network: %s", (name) => {
  const net = networks[name]!;
  const weights = convWeightsOf(net);
  const replaced = (l: number, W: (typeof weights)[number]) =>
    withConvWeights(
      net,
      weights.map((w, k) => (k === l ? W : w)),
    );

  it.each(losses)("has the gradients of finite differences for %s, mean and sum", (loss, targets) => {
    const { gradients } = convLossAndGradients(net, loss, X, targets);
    const total = convLossAndGradients(net, loss, X, targets, "sum");
    gradients.forEach((G, l) => {
      const expected = finiteDifferenceGradient(
        (W) => convLossAndGradients(replaced(l, W), loss, X, targets).loss,
        weights[l]!,
      );
      expect(relativeError(G, expected)).toBeLessThan(1e-7);
      expect(relativeError(total.gradients[l]!, scale(G, N))).toBeLessThan(1e-14);
    });
  });

  it.each(losses)("has the GGN of finite-difference Jacobians for %s", (loss) => {
    const Z = convForward(net, X).outputs;
    const hessians = Array.from({ length: N }, (_, i) => lossHessian(loss, Z, i));
    const blocks = convCurvature(net, loss, X, { kind: "exact" });
    weights.forEach((W, l) => {
      const expected = finiteDifferenceGgn((V) => convForward(replaced(l, V), X).outputs, W, hessians);
      expect(relativeError(denseHessian(positionOperator(blocks[l]!)), expected)).toBeLessThan(1e-7);
    });
  });

  it("empirical columns give the gradient", () => {
    const blocks = convCurvature(net, "softmaxCrossEntropy", X, { kind: "empirical", targets: classes });
    const { gradients } = convLossAndGradients(net, "softmaxCrossEntropy", X, classes);
    blocks.forEach((groups, l) => {
      const rows = groups.flatMap(({ A, B, divisor }) => {
        expect(divisor).toBe(N);
        const G = A.map((a, i) => matmul(B[i]![0]!, a, { transposeB: true, alpha: 1 / N }));
        return [...G.reduce((x, y) => add(x, y)).data];
      });
      const G = gradients[l]!;
      expect(relativeError(matrix(G.rows, G.cols, rows), G)).toBeLessThan(1e-13);
    });
  });
});

describe("one network in both forms", () => {
  // A 1 × 1 kernel at one position is a dense layer.
  const W = [randomMatrix(4, 4, 230), randomMatrix(3, 5, 231)] as const;
  const dense: Layer[] = [linear(W[0]), activation("tanh"), linear(W[1])];
  const convolutional: ConvNetworkLayer[] = [
    conv(W[0], { kernel: 1 }),
    activation("tanh"),
    conv(W[1], { kernel: 1 }),
    { kind: "flatten" },
  ];
  const inputs = tensor([N, 3, 1, 1], randomMatrix(N, 3, 232).data);

  it("agrees with the dense reference, draws of Monte-Carlo samples included", () => {
    const a = lossAndGradients(dense, "softmaxCrossEntropy", flatten(inputs), classes);
    const b = convLossAndGradients(convolutional, "softmaxCrossEntropy", inputs, classes);
    expect(b.loss).toBeCloseTo(a.loss, 14);
    a.gradients.forEach((G, l) => {
      expect(relativeError(b.gradients[l]!, G)).toBeLessThan(1e-14);
    });
    const fishers: Fisher[] = [
      { kind: "exact" },
      { kind: "monteCarlo", seed: 5, step: 3, samples: 2 },
      { kind: "empirical", targets: classes },
    ];
    for (const fisher of fishers) {
      const rows = curvatureRows(dense, "softmaxCrossEntropy", flatten(inputs), fisher);
      const blocks = convCurvature(convolutional, "softmaxCrossEntropy", inputs, fisher);
      for (const l of [0, 1]) {
        const [block] = blocks[l]!;
        const same = denseBlock(rows, l);
        expect(block!.divisor).toBe(same.divisor);
        block!.A.forEach((A, i) => {
          expect(relativeError(A, same.A[i]!)).toBeLessThan(1e-14);
          block!.B[i]!.forEach((B, c) => {
            expect(relativeError(B, same.B[i]![c]!)).toBeLessThan(1e-14);
          });
        });
        const V = randomMatrix(W[l as 0 | 1].rows, W[l as 0 | 1].cols, 240 + l);
        const applied = positionOperator(block!).apply(V);
        expect(relativeError(vec(applied), vec(applyGgnBlock(rows, l, V)))).toBeLessThan(1e-13);
      }
    }
  });

  it("names what does not fit", () => {
    expect(() => convForward([linear(matrix(2, 4))], inputs)).toThrow(/put flatten or globalAveragePool/);
    expect(() => convForward([{ kind: "flatten" }, conv(matrix(2, 4), { kernel: 1 })], inputs)).toThrow(
      ShapeError,
    );
    expect(() => withConvWeights(convolutional, [W[0]])).toThrow(ArgumentError);
    expect(() => withConvWeights(convolutional, [W[1], W[0]])).toThrow(ShapeError);
  });
});
