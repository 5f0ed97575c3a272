import { describe, expect, it } from "vitest";
import { ArgumentError, ShapeError } from "../../src/errors.js";
import {
  add,
  type ConvNewtonOptions,
  convGeometry,
  convNewtonStep,
  exactNewtonStep,
  finiteDifferenceGradient,
  finiteDifferenceHessian,
  kronecker,
  matrix,
  newtonStep,
  norm,
  relativeError,
  scale,
  solve,
  tensor,
  unvec,
  vec,
} from "../../src/reference/index.js";
import { randomMatrix } from "./helpers.js";

describe("exactNewtonStep", () => {
  const W = randomMatrix(3, 4, 600);
  const example = (seed: number) => ({
    A: randomMatrix(4, 2, seed),
    B: randomMatrix(3, 2, seed + 1),
    target: randomMatrix(2, 2, seed + 2),
  });
  const examples = [610, 620, 630, 640].map(example);

  it.each(["dense", "cg"] as const)("%s lands on the minimiser and agrees with newtonStep", (method) => {
    const result = exactNewtonStep({ W, examples, method, maxIterations: 100, tolerance: 1e-13 });
    const old = newtonStep({ W, examples, method: "exact" });
    expect(result.loss).toBeCloseTo(old.loss, 12);
    expect(relativeError(result.gradient, old.gradient)).toBeLessThan(1e-14);
    expect(relativeError(result.step, old.step)).toBeLessThan(1e-9);
    const after = exactNewtonStep({ W: result.W, examples });
    expect(norm(after.gradient)).toBeLessThan(1e-10 * norm(result.gradient));
    const damped = exactNewtonStep({ W, examples, method, damping: 0.5, tolerance: 1e-13 });
    const expected = newtonStep({ W, examples, method: "exact", damping: 0.5 });
    expect(relativeError(damped.step, expected.step)).toBeLessThan(1e-10);
  });

  it("takes the shortest step of a singular sum, with its rank, by either method", () => {
    const few = examples.slice(0, 2);
    const dense = exactNewtonStep({ W, examples: few });
    expect(dense.rank).toBe(8);
    const cg = exactNewtonStep({ W, examples: few, method: "cg", maxIterations: 100, tolerance: 1e-13 });
    expect(cg.cg?.converged).toBe(true);
    expect(relativeError(cg.step, dense.step)).toBeLessThan(1e-8);
    expect(norm(exactNewtonStep({ W: dense.W, examples: few }).gradient)).toBeLessThan(1e-10);
    expect(exactNewtonStep({ W, examples }).rank).toBe(12);
  });

  it("is exact with the product of sums for a batch of one and for shared A_i, not otherwise", () => {
    const kfac = (list: typeof examples) => newtonStep({ W, examples: list, damping: 0 }).step;
    const full = { A: randomMatrix(4, 6, 650), B: randomMatrix(3, 5, 651), target: randomMatrix(5, 6, 652) };
    expect(relativeError(kfac([full]), exactNewtonStep({ W, examples: [full] }).step)).toBeLessThan(1e-10);
    const shared = [full, { ...full, B: randomMatrix(3, 5, 653) }];
    expect(relativeError(kfac(shared), exactNewtonStep({ W, examples: shared }).step)).toBeLessThan(1e-10);
    const other = [full, { ...full, A: randomMatrix(4, 6, 654), B: randomMatrix(3, 5, 655) }];
    expect(relativeError(kfac(other), exactNewtonStep({ W, examples: other }).step)).toBeGreaterThan(1e-2);
    expect(() => exactNewtonStep({ W, examples: [] })).toThrow(ArgumentError);
    expect(() => exactNewtonStep({ W: randomMatrix(4, 3, 1), examples })).toThrow(ShapeError);
  });
});

describe("convNewtonStep", () => {
  const N = 6;
  const inputs = tensor([N, 2, 4, 5], randomMatrix(N, 40, 660).data);
  const shape = { kernel: [2, 3] as const, stride: [1, 2] as const, padding: [0, 1] as const };
  const g = convGeometry({ channels: 2, height: 4, width: 5 }, shape);
  const W = randomMatrix(2, g.columns, 661);
  const outputs = 12;
  const head = randomMatrix(outputs, 2 * g.positions, 662);
  const target = randomMatrix(N, outputs, 663);
  const base: ConvNewtonOptions = { inputs, W, head, target, ...shape };
  const gradientAfter = (options: ConvNewtonOptions) => {
    const first = convNewtonStep(options);
    return norm(convNewtonStep({ ...options, W: first.W }).gradient) / norm(first.gradient);
  };

  it("has the gradient and Hessian of differences of the loss", () => {
    const loss = (V: typeof W) => convNewtonStep({ ...base, W: V, method: "expand" }).loss;
    const { gradient, step } = convNewtonStep(base);
    expect(relativeError(gradient, finiteDifferenceGradient(loss, W, 1))).toBeLessThan(1e-10);
    const H = finiteDifferenceHessian(loss, W, 1);
    const expected = scale(solve(H, vec(gradient)), -1);
    expect(relativeError(vec(step), expected)).toBeLessThan(1e-6);
  });

  it("exact and cg land on the least-squares minimiser in one step, from anywhere", () => {
    expect(gradientAfter(base)).toBeLessThan(1e-10);
    expect(gradientAfter({ ...base, method: "cg", maxIterations: 200, tolerance: 1e-11 })).toBeLessThan(1e-9);
    const other = convNewtonStep({ ...base, W: randomMatrix(2, g.columns, 664, 5) });
    expect(relativeError(other.W, convNewtonStep(base).W)).toBeLessThan(1e-9);
    expect(convNewtonStep(base).rank).toBe(W.data.length);
    for (const method of ["expand", "reduce", "ekfac", "kfoc", "meanFluctuation"] as const) {
      expect(gradientAfter({ ...base, method })).toBeGreaterThan(1e-2);
    }
  });

  it("expand is exact without a head, reduce with the same head at every position, not the other way round", () => {
    const map = randomMatrix(N, 2 * g.positions, 665);
    const free = { ...base, head: undefined, target: map };
    expect(gradientAfter({ ...free, method: "expand" })).toBeLessThan(1e-10);
    expect(gradientAfter({ ...free, method: "exact" })).toBeLessThan(1e-10);
    expect(gradientAfter({ ...free, method: "reduce" })).toBeGreaterThan(0.1);
    const many = tensor([30, 2, 4, 5], randomMatrix(30, 40, 666).data);
    const sums = kronecker(randomMatrix(3, 2, 667), matrix(1, g.positions, Array(g.positions).fill(1)));
    const pooled = { ...base, inputs: many, head: sums, target: randomMatrix(30, 3, 668) };
    expect(gradientAfter({ ...pooled, method: "reduce" })).toBeLessThan(1e-9);
    expect(gradientAfter({ ...pooled, method: "meanFluctuation" })).toBeLessThan(1e-9);
    expect(gradientAfter({ ...pooled, method: "expand" })).toBeGreaterThan(0.1);
  });

  it("reports a singular system and takes the shortest step", () => {
    const few = {
      ...base,
      inputs: tensor([1, 2, 4, 5], inputs.data.slice(0, 40)),
      target: randomMatrix(1, 12, 1),
    };
    const result = convNewtonStep(few);
    expect(result.rank).toBe(12);
    expect(norm(convNewtonStep({ ...few, W: result.W }).gradient)).toBeLessThan(1e-10);
    const cg = convNewtonStep({ ...few, method: "cg", maxIterations: 200, tolerance: 1e-12 });
    expect(relativeError(cg.step, result.step)).toBeLessThan(1e-8);
  });

  it("damps as a sum loss does, and the same for a batch and its duplicate with twice the damping", () => {
    const double = {
      ...base,
      inputs: tensor([2 * N, 2, 4, 5], [...inputs.data, ...inputs.data]),
      target: matrix(2 * N, outputs, [...target.data, ...target.data]),
    };
    for (const method of ["exact", "cg", "expand", "reduce", "ekfac", "kfoc", "meanFluctuation"] as const) {
      const once = convNewtonStep({ ...base, method, damping: 0.7 }).step;
      const twice = convNewtonStep({ ...double, method, damping: 1.4 }).step;
      expect(relativeError(twice, once)).toBeLessThan(1e-8);
    }
    const { gradient, step } = convNewtonStep({ ...base, damping: 0.7 });
    const H = finiteDifferenceHessian((V) => convNewtonStep({ ...base, W: V, method: "expand" }).loss, W, 1);
    const expected = unvec(solve(H, vec(gradient), 0.7), W.rows, W.cols);
    expect(relativeError(scale(step, -1), expected)).toBeLessThan(1e-7);
  });

  it("handles groups: exact keeps the curvature between them, the approximations do not", () => {
    const grouped: ConvNewtonOptions = {
      ...base,
      groups: 2,
      W: randomMatrix(2, 7, 670),
    };
    expect(gradientAfter(grouped)).toBeLessThan(1e-10);
    expect(gradientAfter({ ...grouped, method: "expand" })).toBeGreaterThan(1e-2);
    const free = { ...grouped, head: undefined, target: randomMatrix(N, 2 * g.positions, 671) };
    expect(gradientAfter({ ...free, method: "expand" })).toBeLessThan(1e-10);
  });

  it("preconditioned conjugate gradients reach the same step", () => {
    const expected = convNewtonStep({ ...base, damping: 0.1 }).step;
    for (const preconditioner of ["expand", "reduce", "kfoc", "ekfac", "meanFluctuation"] as const) {
      const options = { method: "cg", preconditioner, damping: 0.1, maxIterations: 300 } as const;
      const { step, cg } = convNewtonStep({ ...base, ...options });
      expect(cg?.converged).toBe(true);
      expect(relativeError(step, expected)).toBeLessThan(1e-7);
    }
  });

  it("refuses what does not fit", () => {
    expect(() => convNewtonStep({ ...base, target: matrix(N, 3) })).toThrow(ShapeError);
    expect(() => convNewtonStep({ ...base, head: matrix(3, 3) })).toThrow(ShapeError);
    expect(() => convNewtonStep({ ...base, W: add(matrix(2, 3), matrix(2, 3)) })).toThrow(ShapeError);
    expect(() => convNewtonStep({ ...base, damping: -1 })).toThrow(ArgumentError);
    expect(() => convNewtonStep({ ...base, method: "none" as "exact" })).toThrow(/must be one of exact, cg/);
  });
});
