// The same problem in f64: Newton's step, the Hessian measured without any formula, and gradient descent's path.
import {
  dot,
  eigh,
  finiteDifferenceHessianOfGradient,
  type Matrix,
  matmul,
  type NewtonResult,
  newtonError,
  newtonStep,
  sandwich,
  scale,
  subtract,
} from "kfac-webgpu/reference";
import type { Problem } from "./problem.js";

export interface Analysis {
  /** One step of the reference from the start. */
  newton: NewtonResult;
  /** J at the minimiser. */
  minimum: number;
  /** By differences of the gradient; no Kronecker product goes into it. */
  hessian: Matrix;
  /** λ_max / λ_min of H. */
  condition: number;
  descent: Descent;
}

export interface Descent {
  /** Start and every step: W₀ … W_k. */
  path: Matrix[];
  stepLength: number;
}

export const DESCENT_STEPS = 200;

/** Constant step lengths: 1/λ_max never overshoots; 2/(λ_max + λ_min) has the best rate and swings across the valley. */
export type StepRule = "safe" | "best";

export function analyse(problem: Problem, rule: StepRule): Analysis {
  const newton = newtonStep(problem);
  const a = eigh(newton.AAt).values;
  const b = eigh(newton.BBt).values;
  const smallest = a[0]! * b[0]!;
  const largest = a.at(-1)! * b.at(-1)!;
  const stepLength = rule === "best" ? 2 / (largest + smallest) : 1 / largest;
  return {
    newton,
    minimum: lossAt(problem, newton.W),
    // J is quadratic, so its gradient's differences are exact at any distance; 1 loses the fewest digits.
    hessian: finiteDifferenceHessianOfGradient((W) => gradientAt(problem, W), problem.W, 1),
    condition: largest / smallest,
    descent: { path: descend(problem, stepLength), stepLength },
  };
}

/** J = ½ tr(e'e). */
export function lossAt(problem: Problem, W: Matrix): number {
  const e = newtonError(problem, W);
  return 0.5 * dot(e, e);
}

/** G = −B e A'. */
export function gradientAt(problem: Problem, W: Matrix): Matrix {
  const Be = matmul(problem.B, newtonError(problem, W));
  return scale(matmul(Be, problem.A, { transposeB: true }), -1);
}

/** J(W) − J(W*), from W − W* rather than as a difference of two losses, which would lose all digits near the minimum. */
export function excess(analysis: Analysis, W: Matrix): number {
  const { AAt, BBt, W: best } = analysis.newton;
  const D = subtract(W, best);
  return 0.5 * dot(D, sandwich(BBt, D, AAt));
}

function descend(problem: Problem, stepLength: number): Matrix[] {
  const path = [problem.W];
  for (let k = 0; k < DESCENT_STEPS; k++) {
    const W = path[k]!;
    path.push(subtract(W, scale(gradientAt(problem, W), stepLength)));
  }
  return path;
}

/** How many steps of gradient descent leave at most `share` of the first excess; in H's eigenbasis, without walking. */
export function stepsOfDescent(analysis: Analysis, problem: Problem, share: number): number {
  const { AAt, BBt, W: best } = analysis.newton;
  const [a, b] = [eigh(AAt), eigh(BBt)];
  const turned = matmul(matmul(b.vectors, subtract(problem.W, best), { transposeA: true }), a.vectors);
  const { stepLength } = analysis.descent;
  const left = (k: number) => {
    let sum = 0;
    for (let i = 0; i < turned.rows; i++) {
      for (let j = 0; j < turned.cols; j++) {
        const lambda = b.values[i]! * a.values[j]!;
        const c = turned.data[i * turned.cols + j]!;
        sum += lambda * c * c * (1 - stepLength * lambda) ** (2 * k);
      }
    }
    return sum;
  };
  const goal = share * left(0);
  let [low, high] = [0, 1];
  while (left(high) > goal && high < 2 ** 40) [low, high] = [high, 2 * high];
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2);
    if (left(middle) > goal) low = middle;
    else high = middle;
  }
  return left(0) <= goal ? 0 : high;
}
