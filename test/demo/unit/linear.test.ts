/** Chapter 1's f64 side: the problem it makes, the Hessian it measures, gradient descent's path and the plane. */
import { describe, expect, test } from "vitest";
import {
  analyse,
  DESCENT_STEPS,
  excess,
  gradientAt,
  lossAt,
  stepsOfDescent,
} from "../../../demo/chapters/linear/analysis.js";
import { planeOf } from "../../../demo/chapters/linear/plane.js";
import { makeProblem } from "../../../demo/chapters/linear/problem.js";
import { add, kronecker, norm, relativeError, scale, subtract } from "../../../src/reference/index.js";

const sizes = [
  { outputs: 5, inputs: 7, examples: 60, condition: 1e3, seed: 1 },
  { outputs: 1, inputs: 1, examples: 12, condition: 1, seed: 2 },
  { outputs: 8, inputs: 10, examples: 12, condition: 1e4, seed: 3 },
  { outputs: 3, inputs: 2, examples: 200, condition: 1, seed: 4 },
];

describe.each(sizes)("$outputs × $inputs, κ = $condition", (size) => {
  const problem = makeProblem(size);
  const analysis = analyse(problem, "safe");

  test("all numbers are f32's, and H has the condition number asked for", () => {
    for (const { data } of Object.values(problem))
      expect(data.every((x: number) => Math.fround(x) === x)).toBe(true);
    const expected = size.outputs > 1 && size.inputs > 1 ? size.condition : analysis.condition;
    expect(analysis.condition / expected).toBeCloseTo(1, 2);
  });

  test("the measured Hessian is the Kronecker product", () => {
    const { AAt, BBt } = analysis.newton;
    expect(relativeError(analysis.hessian, kronecker(AAt, BBt))).toBeLessThan(1e-12);
    // Its negative twin: the factors the wrong way round.
    if (size.condition > 1) {
      expect(relativeError(analysis.hessian, kronecker(BBt, AAt))).toBeGreaterThan(0.1);
    }
  });

  test("the excess is the difference of the losses, and zero at the minimum", () => {
    const difference = lossAt(problem, problem.W) - analysis.minimum;
    expect(excess(analysis, problem.W) / difference).toBeCloseTo(1, 8);
    expect(norm(gradientAt(problem, analysis.newton.W)) / norm(gradientAt(problem, problem.W))).toBeLessThan(
      1e-8,
    );
  });

  test("gradient descent falls at every step, as its count of steps foretells", () => {
    const { path } = analysis.descent;
    expect(path).toHaveLength(DESCENT_STEPS + 1);
    const shares = path.map((W) => excess(analysis, W) / excess(analysis, problem.W));
    for (let k = 1; k < path.length; k++)
      expect(shares[k]!).toBeLessThanOrEqual(shares[k - 1]! * (1 + 1e-9) + 1e-25);
    for (const share of [0.5, 0.05]) {
      const steps = stepsOfDescent(analysis, problem, share);
      if (steps >= path.length) continue;
      expect(shares[steps]!).toBeLessThanOrEqual(share * (1 + 1e-6));
      if (steps > 0) expect(shares[steps - 1]!).toBeGreaterThan(share * (1 - 1e-6));
    }
  });

  test("the plane holds start, minimum and the first step, and its heights are the loss", () => {
    const plane = planeOf(problem, analysis);
    const first = analysis.descent.path[1]!;
    for (const coordinate of plane.project(analysis.newton.W)) expect(coordinate).toBeCloseTo(0, 12);
    expect(plane.project(problem.W)[1]).toBeCloseTo(0, 9);
    const points = [
      problem.W,
      add(analysis.newton.W, scale(subtract(problem.W, analysis.newton.W), 0.3)),
      first,
    ];
    for (const W of points) {
      const height = excess(analysis, W);
      expect(Math.abs(plane.excess(plane.project(W)) - height)).toBeLessThan(
        1e-8 * excess(analysis, problem.W),
      );
    }
  });

  test("a level is the ellipse on which the bowl has that height", () => {
    const plane = planeOf(problem, analysis);
    for (const level of [1e-6, 1, 1e3]) {
      const { long, short, angle } = plane.levelSet(level);
      expect(long).toBeGreaterThanOrEqual(short);
      for (const turn of [0, 0.4, 1.3, 2.9, 4]) {
        // A bowl that is flat one way has no end there.
        const along = Number.isFinite(long) ? long * Math.cos(turn) : 1e3;
        const across = short * (Number.isFinite(long) ? Math.sin(turn) : 1);
        const point = [
          along * Math.cos(angle) - across * Math.sin(angle),
          along * Math.sin(angle) + across * Math.cos(angle),
        ] as const;
        expect(plane.excess(point) / level).toBeCloseTo(1, 6);
      }
    }
  });
});

test("the best constant step needs about half the steps of the safe one in the long run", () => {
  const problem = makeProblem(sizes[0]!);
  const [safe, best] = (["safe", "best"] as const).map((rule) =>
    stepsOfDescent(analyse(problem, rule), problem, 1e-30),
  );
  expect(best! / safe!).toBeGreaterThan(0.4);
  expect(best! / safe!).toBeLessThan(0.6);
});
