/** How good an approximation of a layer's curvature is, measured against the exact block. For small sizes. */

import type { Approximation } from "./approximations.js";
import { requireDamping } from "./damping.js";
import { matmul } from "./matmul.js";
import { add, type Matrix, requireShape, unvec, vec } from "./matrix.js";
import { type CurvatureOperator, denseHessian } from "./operator.js";
import { pinv } from "./rank.js";
import { dot, norm, relativeError } from "./reduce.js";
import { solve } from "./solve.js";

/** How one approximation compares with the exact block. */
export interface Quality {
  name: string;
  /** ‖H̃ − H‖ / ‖H‖ (Frobenius). */
  error: number;
  /** ‖H̃‖ / ‖H‖: below 1 the approximation is too small, and a damping beside it weighs too much. */
  size: number;
  /** Cosine of the angle between the approximate and the exact damped Newton step. */
  cosine: number;
  /**
   * Decrease of the quadratic model ½⟨δ, (H + λI)δ⟩ − ⟨G, δ⟩ by the step as it is, as a share of the largest possible
   * (the exact step's): 1 at best, negative where the step makes the model rise.
   */
  share: number;
  /** The same for the step times `bestStep`; in [0, 1]. */
  shareAtBestStep: number;
  /** The step length with the largest decrease, ⟨G, U⟩ / ⟨U, (H + λI)U⟩. */
  bestStep: number;
}

/**
 * (H + λI)⁻¹ G with H formed (out·in square); at λ = 0 and a singular H the shortest solution.
 *
 * @throws ArgumentError for a damping that is negative or not finite, ShapeError for a Hessian or G of another size.
 */
export function exactStep(hessian: Matrix, G: Matrix, damping: number): Matrix {
  requireDamping("exactStep", damping);
  const n = G.data.length;
  requireShape("exactStep", "hessian", hessian, n, n);
  const delta = damping > 0 ? solve(hessian, vec(G), damping) : matmul(pinv(hessian).inverse, vec(G));
  return unvec(delta, G.rows, G.cols);
}

/**
 * Measures each approximation on the gradient G (out × in) at damping λ. H is formed from `exact` once.
 *
 * @throws ShapeError for a G of another shape, ArgumentError for a damping that is negative or not finite.
 */
export function measure(
  approximations: readonly Approximation[],
  exact: CurvatureOperator,
  G: Matrix,
  damping: number,
): Quality[] {
  requireShape("measure", "G", G, ...exact.shape);
  const H = denseHessian(exact);
  const newton = exactStep(H, G, damping);
  const best = 0.5 * dot(G, newton);
  return approximations.map((approximation): Quality => {
    const dense = approximation.dense();
    const U = approximation.solve(G, damping);
    const HU = add(exact.apply(U), U, 1, damping);
    const slope = dot(G, U);
    const curvature = dot(U, HU);
    return {
      name: approximation.name,
      error: relativeError(dense, H),
      size: norm(dense) / norm(H),
      cosine: dot(U, newton) / (norm(U) * norm(newton)),
      share: (slope - 0.5 * curvature) / best,
      shareAtBestStep: (0.5 * slope * slope) / curvature / best,
      bestStep: slope / curvature,
    };
  });
}
