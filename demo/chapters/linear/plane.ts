// The plane through start and minimum that holds both first steps: Newton's and gradient descent's.
import { dot, type Matrix, norm, sandwich, scale, subtract } from "kfac-webgpu/reference";
import type { Analysis } from "./analysis.js";
import type { Problem } from "./problem.js";

export type Point = readonly [x: number, y: number];

export interface Plane {
  /** Coordinates of W's shadow on the plane; the minimum is (0, 0) and the start lies on the x axis. */
  project(W: Matrix): Point;
  /** J − J* at a point of the plane. */
  excess(point: Point): number;
  /** Where J − J* is `level`: a quadratic bowl is cut by a level in an ellipse around the minimum. */
  levelSet(level: number): Ellipse;
}

/** Half axes, the first the longer one (Infinity where the bowl is flat that way), and the angle from x to it. */
export interface Ellipse {
  long: number;
  short: number;
  /** Radians. */
  angle: number;
}

export function planeOf(problem: Problem, analysis: Analysis): Plane {
  const { AAt, BBt, gradient, W: best } = analysis.newton;
  const toStart = subtract(problem.W, best);
  const x = scale(toStart, 1 / norm(toStart));
  const y = unitAcross(gradient, x, -1) ?? unitAcross(rarest(x), x, 1) ?? scale(x, 0);
  const [Hx, Hy] = [sandwich(BBt, x, AAt), sandwich(BBt, y, AAt)];
  const [xx, xy, yy] = [dot(x, Hx), dot(x, Hy), dot(y, Hy)];
  return {
    project(W) {
      const D = subtract(W, best);
      return [dot(D, x), dot(D, y)];
    },
    excess: ([p, q]) => 0.5 * (xx * p * p + 2 * xy * p * q + yy * q * q),
    levelSet(level) {
      // Along an eigenvector of the 2 × 2 Hessian with eigenvalue λ the bowl is ½λr².
      const [mean, spread] = [(xx + yy) / 2, Math.hypot((xx - yy) / 2, xy)];
      const radius = (curvature: number) => Math.sqrt((2 * level) / Math.max(curvature, 0));
      return {
        long: radius(mean - spread),
        short: radius(mean + spread),
        angle: (Math.atan2(2 * xy, xx - yy) + Math.PI) / 2,
      };
    },
  };
}

/** The part of M at right angles to the unit x, as a unit; none where nothing but rounding is left. */
function unitAcross(M: Matrix, x: Matrix, sign: number): Matrix | undefined {
  let across = M;
  // Twice, as the first time may leave little more than its own rounding.
  for (let pass = 0; pass < 2; pass++) across = subtract(across, scale(x, dot(across, x)));
  return norm(across) > 1e-6 * norm(M) ? scale(across, sign / norm(across)) : undefined;
}

/** The unit matrix at x's smallest number: on a round bowl any direction across will do. */
function rarest(x: Matrix): Matrix {
  const unit = scale(x, 0);
  let at = 0;
  for (let k = 1; k < x.data.length; k++) if (Math.abs(x.data[k]!) < Math.abs(x.data[at]!)) at = k;
  unit.data[at] = 1;
  return unit;
}
