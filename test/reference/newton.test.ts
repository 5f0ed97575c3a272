import { describe, expect, it } from "vitest";
import { ArgumentError, ShapeError } from "../../src/errors.js";
import {
  add,
  addDiagonal,
  dot,
  fromRows,
  kronecker,
  matmul,
  matrix,
  type NewtonExample,
  newtonHessian,
  newtonStep,
  norm,
  piDamping,
  relativeError,
  scale,
  solve,
  subtract,
  trace,
  transpose,
  unvec,
  vec,
} from "../../src/reference/index.js";
import { randomMatrix } from "./helpers.js";

const OUT = 3;
const IN = 4;
const W = randomMatrix(OUT, IN, 80);
const example = (seed: number, n = 6, c = 5): NewtonExample => ({
  A: randomMatrix(IN, n, seed),
  B: randomMatrix(OUT, c, seed + 1),
  target: randomMatrix(c, n, seed + 2),
});
const lossAt = (x: NewtonExample, V: typeof W) => newtonStep({ ...x, W: V }).loss;

describe("newtonStep, one linear network", () => {
  const x = example(81);
  const result = newtonStep({ ...x, W });

  it("has the gradient and Hessian of finite differences", () => {
    const D = randomMatrix(OUT, IN, 90);
    const h = 1e-4;
    const up = newtonStep({ ...x, W: add(W, D, 1, h) });
    const down = newtonStep({ ...x, W: add(W, D, 1, -h) });
    expect((up.loss - down.loss) / (2 * h)).toBeCloseTo(dot(result.gradient, D), 6);
    const HD = matmul(newtonHessian([x]), vec(D));
    expect(relativeError(vec(scale(subtract(up.gradient, down.gradient), 0.5 / h)), HD)).toBeLessThan(1e-8);
    const ADB = matmul(matmul(result.BBt, D), result.AAt);
    expect(relativeError(vec(ADB), HD)).toBeLessThan(1e-13);
    expect(relativeError(newtonHessian([x]), kronecker(result.AAt, result.BBt))).toBeLessThan(1e-14);
  });

  it("lands on the minimiser from any W in one step", () => {
    const after = newtonStep({ ...x, W: result.W });
    expect(norm(after.gradient)).toBeLessThan(1e-11 * norm(result.gradient));
    expect(after.loss).toBeLessThan(result.loss);
    const other = newtonStep({ ...x, W: randomMatrix(OUT, IN, 99, 10) });
    expect(relativeError(other.W, result.W)).toBeLessThan(1e-11);
    for (let s = 0; s < 5; s++) {
      expect(lossAt(x, add(result.W, randomMatrix(OUT, IN, 100 + s), 1, 1e-3))).toBeGreaterThan(after.loss);
    }
    expect([result.rankA, result.rankB]).toEqual([IN, OUT]);
    const half = add(W, result.step, 1, 0.5);
    expect(norm(newtonStep({ ...x, W: half }).gradient)).toBeCloseTo(0.5 * norm(result.gradient), 9);
  });

  it("takes the nearest minimiser and reports the ranks when AA' and BB' are singular", () => {
    const thin = example(110, 2, 2);
    const r = newtonStep({ ...thin, W });
    expect([r.rankA, r.rankB]).toEqual([2, 2]);
    expect(norm(newtonStep({ ...thin, W: r.W }).gradient)).toBeLessThan(1e-10);
    // Minimum norm: the step lies in the span of B on the left and of A' on the right.
    const projected = matmul(matmul(matmul(r.BBt, r.BBtInverse), r.step), matmul(r.AAtInverse, r.AAt));
    expect(relativeError(projected, r.step)).toBeLessThan(1e-11);
  });

  it("damps by the factored form, not by λI on the Hessian", () => {
    const damping = 3;
    const { step } = newtonStep({ ...x, W, damping });
    const { a, b } = piDamping(trace(result.AAt), IN, trace(result.BBt), OUT, damping);
    const K = kronecker(addDiagonal(result.AAt, a), addDiagonal(result.BBt, b));
    const expected = unvec(scale(solve(K, vec(result.gradient)), -1), OUT, IN);
    expect(relativeError(step, expected)).toBeLessThan(1e-12);
    const tikhonov = newtonStep({ examples: [x], method: "exact", W, damping }).step;
    const plain = unvec(scale(solve(newtonHessian([x]), vec(result.gradient), damping), -1), OUT, IN);
    expect(relativeError(tikhonov, plain)).toBeLessThan(1e-12);
    expect(relativeError(step, tikhonov)).toBeGreaterThan(0.01);
    expect(norm(step)).toBeLessThan(norm(result.step));
  });

  it("names the operand that does not fit", () => {
    expect(() => newtonStep({ ...x, W: transpose(W) })).toThrow(
      /newtonStep: A has shape \[4 × 6\], expected \[3 × 6\]/,
    );
    expect(() => newtonStep({ ...x, target: matrix(6, 5), W })).toThrow(ShapeError);
    expect(() => newtonStep({ ...x, W, damping: -1 })).toThrow(ArgumentError);
    expect(() => newtonStep({ examples: [], W })).toThrow(ArgumentError);
  });
});

describe("newtonStep, sums over examples", () => {
  const several = [120, 130, 140, 150].map((seed) => example(seed, 2, 2));

  it("sums losses, gradients and products as a loop does", () => {
    const all = newtonStep({ examples: several, W });
    const each = several.map((x) => newtonStep({ ...x, W }));
    expect(all.loss).toBeCloseTo(
      each.reduce((s, r) => s + r.loss, 0),
      10,
    );
    expect(
      relativeError(
        all.gradient,
        each.map((r) => r.gradient).reduce((a, b) => add(a, b)),
      ),
    ).toBeLessThan(1e-14);
    expect(
      relativeError(
        all.AAt,
        each.map((r) => r.AAt).reduce((a, b) => add(a, b)),
      ),
    ).toBeLessThan(1e-14);
    expect(
      relativeError(
        all.BBt,
        each.map((r) => r.BBt).reduce((a, b) => add(a, b)),
      ),
    ).toBeLessThan(1e-14);
  });

  it("exact lands on the minimiser, kfac does not when the examples differ", () => {
    const exact = newtonStep({ examples: several, W, method: "exact" });
    const start = norm(exact.gradient);
    expect(norm(newtonStep({ examples: several, W: exact.W }).gradient)).toBeLessThan(1e-10 * start);
    const kfac = newtonStep({ examples: several, W });
    expect(norm(newtonStep({ examples: several, W: kfac.W }).gradient)).toBeGreaterThan(1e-2 * start);
  });

  it("kfac is exact when all examples share B, on the Hessian's scale only", () => {
    const shared = several.map((x) => ({
      ...x,
      B: randomMatrix(OUT, 5, 160),
      target: randomMatrix(5, 2, 161),
    }));
    const exact = newtonStep({ examples: shared, W, method: "exact" }).step;
    expect(relativeError(newtonStep({ examples: shared, W }).step, exact)).toBeLessThan(1e-10);
    const literal = newtonStep({ examples: shared, W, scale: "note" }).step;
    expect(relativeError(scale(literal, shared.length), exact)).toBeLessThan(1e-10);
    const joined = {
      A: fromRows(
        Array.from({ length: IN }, (_, r) =>
          shared.flatMap(({ A }) => Array.from(A.data.slice(2 * r, 2 * r + 2))),
        ),
      ),
      B: shared[0]!.B,
      target: fromRows(
        Array.from({ length: 5 }, (_, r) =>
          shared.flatMap(({ target }) => Array.from(target.data.slice(2 * r, 2 * r + 2))),
        ),
      ),
    };
    expect(relativeError(newtonStep({ ...joined, W }).step, exact)).toBeLessThan(1e-10);
  });

  it("is the same step for a batch and its duplicate; damped, when λ keeps its scale per example", () => {
    const twice = [...several, ...several];
    const a = newtonStep({ examples: several, W }).step;
    expect(relativeError(newtonStep({ examples: twice, W }).step, a)).toBeLessThan(1e-12);
    const damped = newtonStep({ examples: several, W, damping: 0.4 }).step;
    expect(relativeError(newtonStep({ examples: twice, W, damping: 0.8 }).step, damped)).toBeLessThan(1e-12);
    expect(relativeError(newtonStep({ examples: twice, W, damping: 0.4 }).step, damped)).toBeGreaterThan(
      1e-3,
    );
  });
});
