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
}

export function planeOf(problem: Problem, analysis: Analysis): Plane {
  const { AAt, BBt, gradient, W: best } = analysis.newton;
  const toStart = subtract(problem.W, best);
  const x = scale(toStart, 1 / norm(toStart));
  const across = subtract(gradient, scale(x, dot(gradient, x)));
  // On a round bowl both directions are one, and any other will do.
  const y = norm(across) > 1e-9 * norm(gradient) ? scale(across, -1 / norm(across)) : anyAcross(x);
  const [Hx, Hy] = [sandwich(BBt, x, AAt), sandwich(BBt, y, AAt)];
  const [xx, xy, yy] = [dot(x, Hx), dot(x, Hy), dot(y, Hy)];
  return {
    project(W) {
      const D = subtract(W, best);
      return [dot(D, x), dot(D, y)];
    },
    excess: ([p, q]) => 0.5 * (xx * p * p + 2 * xy * p * q + yy * q * q),
  };
}

/** A unit matrix at right angles to x. */
function anyAcross(x: Matrix): Matrix {
  const y = scale(x, 0);
  let at = 0;
  for (let k = 1; k < x.data.length; k++) if (Math.abs(x.data[k]!) < Math.abs(x.data[at]!)) at = k;
  y.data[at] = 1;
  const across = subtract(y, scale(x, dot(y, x)));
  return scale(across, 1 / norm(across));
}
