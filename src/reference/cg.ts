/** Conjugate gradients for (H + λI) δ = G with H an operator on matrices, the twin of the GPU operation `cg`. */
import { ArgumentError } from "../errors.js";
import { requireDamping } from "./damping.js";
import { add, copy, type Matrix, matrix, requireShape, subtract } from "./matrix.js";
import { type CurvatureOperator, dampedOperator } from "./operator.js";
import { dot, norm } from "./reduce.js";

/** Options of `conjugateGradients`. */
export interface CgOptions {
  /** λ ≥ 0; defaults to 0. */
  damping?: number;
  /** R ↦ M⁻¹R for a symmetric positive definite M near H + λI; defaults to the identity. */
  preconditioner?: (R: Matrix) => Matrix;
  /** Stop when ‖G − (H + λI)δ‖ ≤ tolerance · ‖G‖; defaults to 1e-10. */
  tolerance?: number;
  /** Defaults to four times the number of unknowns: rounding can need more than the one of exact arithmetic. */
  maxIterations?: number;
  /** Where to begin; defaults to zero. */
  start?: Matrix;
}

/** A solution and how it was reached. */
export interface CgResult {
  /** δ, out × in. */
  solution: Matrix;
  iterations: number;
  /** ‖r_k‖/‖G‖ of the recurrence, k = 0 … iterations. */
  residuals: number[];
  converged: boolean;
  /** True when a direction p had p'(H + λI)p ≤ 0, or the preconditioner was not positive; the last δ is returned. */
  breakdown: boolean;
}

/**
 * Preconditioned conjugate gradients (Hestenes & Stiefel 1952).
 *
 * @throws ShapeError for a G or start that is not of the operator's shape, ArgumentError for a negative damping or tolerance.
 */
export function conjugateGradients(
  operator: CurvatureOperator,
  G: Matrix,
  options: CgOptions = {},
): CgResult {
  const { damping = 0, preconditioner = copy, tolerance = 1e-10 } = options;
  const { maxIterations = 4 * G.data.length } = options;
  requireDamping("conjugateGradients", damping);
  if (!(tolerance >= 0)) {
    throw new ArgumentError("conjugateGradients", "tolerance", `must not be negative, got ${tolerance}`);
  }
  requireShape("conjugateGradients", "G", G, ...operator.shape);
  if (options.start) requireShape("conjugateGradients", "start", options.start, ...operator.shape);
  const { apply } = dampedOperator(operator, damping);

  let solution = options.start ? copy(options.start) : matrix(G.rows, G.cols);
  let r = options.start ? subtract(G, apply(solution)) : copy(G);
  const size = norm(G) || 1;
  const residuals = [norm(r) / size];
  let converged = residuals[0]! <= tolerance;
  let breakdown = false;
  let p = matrix(G.rows, G.cols);
  let previous = 0;
  let iterations = 0;
  while (!converged && iterations < maxIterations) {
    const z = preconditioner(r);
    const rz = dot(r, z);
    p = previous === 0 ? z : add(z, p, 1, rz / previous);
    const Hp = apply(p);
    const curvature = dot(p, Hp);
    if (!(rz > 0 && curvature > 0)) {
      breakdown = true;
      break;
    }
    const step = rz / curvature;
    solution = add(solution, p, 1, step);
    r = add(r, Hp, 1, -step);
    previous = rz;
    iterations++;
    const residual = norm(r) / size;
    residuals.push(residual);
    converged = residual <= tolerance;
  }
  return { solution, iterations, residuals, converged, breakdown };
}
