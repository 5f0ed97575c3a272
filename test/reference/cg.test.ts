import { describe, expect, it } from "vitest";
import { ArgumentError, ShapeError } from "../../src/errors.js";
import {
  applyGgnBlock,
  conjugateGradients,
  curvatureRows,
  denseBlock,
  denseHessian,
  exactStep,
  expandFactors,
  finiteDifferenceHessian,
  finiteDifferenceHessianOfGradient,
  kroneckerApproximation,
  kroneckerOperator,
  kroneckerSumOperator,
  linear,
  type Matrix,
  matmul,
  newtonHessian,
  newtonStep,
  norm,
  perPositionBlock,
  positionOperator,
  relativeError,
  scale,
  subtract,
} from "../../src/reference/index.js";
import { randomMatrix, randomSpd } from "./helpers.js";

const examples = [0, 10, 20, 30].map((seed) => ({
  A: randomMatrix(4, 2, 400 + seed),
  B: randomMatrix(3, 2, 401 + seed),
  target: randomMatrix(2, 2, 402 + seed),
}));
const G = randomMatrix(3, 4, 399);

describe("operators", () => {
  it("Σ B_iB_i' V A_iA_i' is the note's Hessian, by its factors and by differences of the loss", () => {
    const operator = kroneckerSumOperator(examples);
    const H = denseHessian(operator);
    expect(relativeError(H, newtonHessian(examples))).toBeLessThan(1e-13);
    const loss = (W: Matrix) => newtonStep({ examples, W }).loss;
    expect(relativeError(H, finiteDifferenceHessian(loss, G, 1))).toBeLessThan(1e-11);
    const gradient = (W: Matrix) => newtonStep({ examples, W }).gradient;
    expect(relativeError(H, finiteDifferenceHessianOfGradient(gradient, G, 1))).toBeLessThan(1e-12);
    expect(relativeError(denseHessian(kroneckerSumOperator(examples, 0.25)), scale(H, 0.25))).toBeLessThan(
      1e-14,
    );
  });

  it("a per-position block is the same operator", () => {
    const block = perPositionBlock(examples, 1);
    const expected = newtonHessian(examples);
    expect(relativeError(denseHessian(positionOperator(block)), expected)).toBeLessThan(1e-13);
  });

  it("a dense layer's block is applyGgnBlock", () => {
    const net = [linear(randomMatrix(3, 5, 450))];
    const rows = curvatureRows(net, "softmaxCrossEntropy", randomMatrix(6, 4, 451), { kind: "exact" });
    const V = randomMatrix(3, 5, 452);
    const applied = positionOperator(denseBlock(rows, 0)).apply(V);
    expect(relativeError(applied, applyGgnBlock(rows, 0, V))).toBeLessThan(1e-13);
    expect(() => denseBlock(rows, 1)).toThrow(ArgumentError);
  });

  it("refuses shapes that disagree", () => {
    expect(() => kroneckerSumOperator(examples).apply(randomMatrix(4, 3, 1))).toThrow(ShapeError);
    expect(() => kroneckerSumOperator([])).toThrow(ArgumentError);
    const block = perPositionBlock(examples);
    expect(() => positionOperator({ ...block, B: block.B.slice(1) })).toThrow(ShapeError);
    expect(() => positionOperator([])).toThrow(ArgumentError);
  });
});

describe("conjugateGradients", () => {
  const operator = kroneckerSumOperator(examples);
  const H = denseHessian(operator);

  it("solves (H + λI)δ = G as a dense solver does, and records its residuals", () => {
    for (const damping of [0, 0.1, 10]) {
      const result = conjugateGradients(operator, G, { damping, tolerance: 1e-12, maxIterations: 50 });
      expect(result).toMatchObject({ converged: true, breakdown: false });
      expect(relativeError(result.solution, exactStep(H, G, damping))).toBeLessThan(1e-9);
      expect(result.residuals.length).toBe(result.iterations + 1);
      expect(result.residuals[0]).toBe(1);
      expect(result.residuals.at(-1)).toBeLessThan(1e-12);
    }
  });

  it("needs one iteration with the exact inverse, fewer with a good preconditioner than with none", () => {
    const damping = 0.1;
    const exact = conjugateGradients(operator, G, {
      damping,
      preconditioner: (R) => exactStep(H, R, damping),
    });
    expect(exact.iterations).toBe(1);
    // Badly scaled factors that one Kronecker product describes well.
    const scaled = examples.map(({ A, B }, i) => ({
      A: matmul(kroneckerLike(4), A),
      B: matmul(kroneckerLike(3), scale(B, 1 + 0.1 * i)),
    }));
    const bad = kroneckerSumOperator(scaled, 1 / 4);
    const block = perPositionBlock(scaled);
    const kfac = kroneckerApproximation("expand", expandFactors(block));
    const options = { damping: 1e-3, tolerance: 1e-8, maxIterations: 500 };
    const plain = conjugateGradients(bad, G, options);
    const helped = conjugateGradients(bad, G, { ...options, preconditioner: (R) => kfac.solve(R, 1e-3) });
    expect(helped.converged).toBe(true);
    expect(helped.iterations).toBeLessThan(plain.iterations);
  });

  it("finds the shortest solution of a singular system", () => {
    const thin = kroneckerSumOperator([{ A: randomMatrix(4, 1, 460), B: randomMatrix(3, 1, 461) }]);
    const image = thin.apply(G);
    const { solution, converged } = conjugateGradients(thin, image);
    expect(converged).toBe(true);
    expect(relativeError(solution, exactStep(denseHessian(thin), image, 0))).toBeLessThan(1e-12);
  });

  it("begins where it is told, and stops at the answer", () => {
    const start = exactStep(H, G, 0.1);
    const at = conjugateGradients(operator, G, { damping: 0.1, start, tolerance: 1e-8 });
    expect(at.iterations).toBe(0);
    const near = conjugateGradients(operator, G, { damping: 0.1, start: scale(start, 1.01) });
    expect(near.residuals[0]).toBeLessThan(0.1);
    expect(relativeError(near.solution, start)).toBeLessThan(1e-8);
    const zero = conjugateGradients(operator, subtract(G, G));
    expect([zero.iterations, norm(zero.solution)]).toEqual([0, 0]);
  });

  it("reports an operator that is not positive, and refuses wrong arguments", () => {
    const negative = kroneckerOperator(randomSpd(4, 470), scale(randomSpd(3, 471), -1));
    expect(conjugateGradients(negative, G)).toMatchObject({ breakdown: true, converged: false });
    expect(() => conjugateGradients(operator, randomMatrix(4, 3, 1))).toThrow(ShapeError);
    expect(() => conjugateGradients(operator, G, { damping: -1 })).toThrow(ArgumentError);
    expect(() => conjugateGradients(operator, G, { tolerance: Number.NaN })).toThrow(ArgumentError);
  });
});

/** n × n with condition 1e3 and no structure. */
function kroneckerLike(n: number): Matrix {
  const M = randomMatrix(n, n, 480 + n, 0.1);
  for (let i = 0; i < n; i++) M.data[i * n + i]! += 30 ** i;
  return M;
}
