/**
 * The exact Newton step −(H + λI)⁻¹ G: conjugate gradients of the GPU on its own operator for H, in f32, corrected by
 * what f64 finds missing.
 */

import { toF32, toF64 } from "../host/index.js";
import type { Matrix } from "../reference/index.js";
import type { CurvatureSystem } from "./arithmetic.js";
import { type Refined, refineSolution } from "./refine.js";
import type { Range } from "./spectrum.js";

export interface ExactSolution extends Refined {
  /** All rounds together. */
  iterations: number;
}

export interface ExactProblem {
  rows: number;
  cols: number;
  damping: number;
  /** −G − (H + λI) δ. */
  missing: (delta: Matrix) => Matrix;
  range: Range | undefined;
  /** Takes out of δ what cannot be in H's range, where `range` is unknown. */
  project?: (delta: Matrix) => Matrix;
}

const MOST_ITERATIONS = 1000;

export async function solveExactly(system: CurvatureSystem, problem: ExactProblem): Promise<ExactSolution> {
  const { rows, cols, damping, missing, range } = problem;
  const maxIterations = Math.min(2 * rows * cols, MOST_ITERATIONS);
  let iterations = 0;
  const solve = async (R: Matrix) => {
    const found = await system.solve(toF32(R), { damping, maxIterations });
    iterations += found.iterations;
    return toF64(found.solution);
  };
  // Of a singular H and no damping the shortest solution is wanted, which is the one within the range.
  const project = damping > 0 ? undefined : (range?.project ?? problem.project);
  return { ...(await refineSolution(missing, { rows, cols }, solve, project)), iterations };
}
