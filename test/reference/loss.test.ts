import { describe, expect, it } from "vitest";
import { ArgumentError, ShapeError } from "../../src/errors.js";
import {
  add,
  copy,
  fromRows,
  gram,
  type LossKind,
  lossGradient,
  lossHessian,
  lossSquareRootColumn,
  lossValues,
  matrix,
  norm,
  normalPair,
  relativeError,
  rowOf,
  sampledGradient,
  scale,
  sigmoid,
  softmax,
  stackRows,
  subtract,
  type Targets,
  threefry2x32,
  uniform,
} from "../../src/reference/index.js";
import { randomMatrix } from "./helpers.js";

const Z = randomMatrix(4, 3, 21, 1.5);
const probabilities = softmax(randomMatrix(4, 3, 22));
const cases: [LossKind, string, Targets][] = [
  ["halfSquaredError", "matrix", randomMatrix(4, 3, 23)],
  ["softmaxCrossEntropy", "classes", [2, 0, 1, 2]],
  ["softmaxCrossEntropy", "probabilities", probabilities],
  ["sigmoidCrossEntropy", "matrix", probabilities],
];
const kinds: LossKind[] = ["halfSquaredError", "softmaxCrossEntropy", "sigmoidCrossEntropy"];

describe.each(cases)("%s with %s", (kind, _, targets) => {
  it("has the gradient of finite differences, and each example's loss depends on its own row only", () => {
    const G = lossGradient(kind, Z, targets);
    const h = 1e-6;
    for (let i = 0; i < Z.rows; i++) {
      for (let c = 0; c < Z.cols; c++) {
        const up = copy(Z);
        up.data[i * 3 + c]! += h;
        const down = copy(Z);
        down.data[i * 3 + c]! -= h;
        const high = lossValues(kind, up, targets);
        const low = lossValues(kind, down, targets);
        for (let r = 0; r < Z.rows; r++) {
          const expected = r === i ? G.data[i * 3 + c]! : 0;
          expect((high[r]! - low[r]!) / (2 * h)).toBeCloseTo(expected, 7);
        }
      }
    }
  });

  it("has the Hessian of finite differences", () => {
    const h = 1e-5;
    for (let c = 0; c < 3; c++) {
      const shift = matrix(4, 3);
      for (let i = 0; i < 4; i++) shift.data[i * 3 + c] = h;
      const difference = scale(
        subtract(lossGradient(kind, add(Z, shift), targets), lossGradient(kind, subtract(Z, shift), targets)),
        0.5 / h,
      );
      for (let i = 0; i < 4; i++) {
        const expected = rowOf(lossHessian(kind, Z, i), c);
        expect(norm(subtract(rowOf(difference, i), expected))).toBeLessThan(1e-8);
      }
    }
  });
});

describe.each(kinds)("curvature of %s", (kind) => {
  it("square-root columns multiply to the Hessian", () => {
    for (let i = 0; i < Z.rows; i++) {
      const columns = [0, 1, 2].map((c) => rowOf(lossSquareRootColumn(kind, Z, c), i));
      const product = gram({ A: stackRows(columns), examples: "rows" });
      expect(relativeError(product, lossHessian(kind, Z, i))).toBeLessThan(1e-14);
    }
  });

  it("sampled gradients have mean zero and the Hessian as their second moment", () => {
    const samples = 20000;
    const row = rowOf(Z, 1);
    const draws = stackRows(
      Array.from({ length: samples }, (_, sample) =>
        sampledGradient(kind, row, { seed: 1, step: 2, sample }),
      ),
    );
    const second = gram({ A: draws, examples: "rows", alpha: 1 / samples });
    expect(norm(subtract(second, lossHessian(kind, Z, 1)))).toBeLessThan(6 / Math.sqrt(samples));
    for (let c = 0; c < 3; c++) {
      let mean = 0;
      for (let s = 0; s < samples; s++) mean += draws.data[s * 3 + c]! / samples;
      expect(Math.abs(mean)).toBeLessThan(4.5 / Math.sqrt(samples));
    }
  });
});

describe("sampledGradient", () => {
  it("draws as documented: softmax by (row, sample), the others by (row·C + column, sample)", () => {
    const key = { seed: 5, step: 6, sample: 3 };
    const soft = sampledGradient("softmaxCrossEntropy", Z, key);
    const sig = sampledGradient("sigmoidCrossEntropy", Z, key);
    const half = sampledGradient("halfSquaredError", Z, key);
    const p = softmax(Z);
    for (let i = 0; i < 4; i++) {
      const u = uniform(threefry2x32(5, 6, i, 3)[0]);
      const [p0, p1] = [p.data[i * 3]!, p.data[i * 3 + 1]!];
      const chosen = u < p0 ? 0 : u < p0 + p1 ? 1 : 2;
      for (let c = 0; c < 3; c++) {
        const k = i * 3 + c;
        expect(soft.data[k]).toBe(p.data[k]! - (c === chosen ? 1 : 0));
        const [w0, w1] = threefry2x32(5, 6, k, 3);
        const s = sigmoid(Z.data[k]!);
        expect(sig.data[k]).toBe(s - (uniform(w0) < s ? 1 : 0));
        expect(half.data[k]).toBe(-normalPair(w0, w1)[0]);
      }
    }
  });
});

describe("robustness", () => {
  it("stays finite and exact for large outputs", () => {
    const big = fromRows([[1000, -1000, 0]]);
    expect(lossValues("softmaxCrossEntropy", big, [1])[0]).toBe(2000);
    expect(lossValues("softmaxCrossEntropy", big, [0])[0]).toBe(0);
    expect(lossValues("sigmoidCrossEntropy", big, fromRows([[0, 1, 1]]))[0]).toBeCloseTo(
      2000 + Math.log(2),
      10,
    );
    expect(sigmoid(-1000)).toBe(0);
    expect(Array.from(lossGradient("softmaxCrossEntropy", big, [1]).data)).toEqual([1, -1, 0]);
  });

  it("takes probabilities that f32 rounding left a little off 1, with the gradient of the loss as stated", () => {
    const target = fromRows([[0.5, 0.500008, 0]]);
    const G = lossGradient("softmaxCrossEntropy", fromRows([[1, 2, 3]]), target);
    expect(G.data.reduce((a, b) => a + b, 0)).toBeCloseTo(0, 14);
  });

  it("refuses targets that do not fit", () => {
    expect(() => lossValues("softmaxCrossEntropy", Z, [0, 1, 2, 3])).toThrow(ArgumentError);
    expect(() => lossValues("softmaxCrossEntropy", Z, [0, 1])).toThrow(ShapeError);
    expect(() => lossValues("softmaxCrossEntropy", Z, randomMatrix(4, 3, 1))).toThrow(ArgumentError);
    expect(() => lossValues("softmaxCrossEntropy", Z, scale(probabilities, 0.5))).toThrow(/add up to 1/);
    expect(() => lossGradient("sigmoidCrossEntropy", Z, [0, 1, 2, 0])).toThrow(ArgumentError);
    expect(() => lossGradient("halfSquaredError", Z, matrix(4, 2))).toThrow(ShapeError);
    expect(() => lossHessian("halfSquaredError", Z, 4)).toThrow(ArgumentError);
    expect(() => lossSquareRootColumn("halfSquaredError", Z, 3)).toThrow(ArgumentError);
  });
});
