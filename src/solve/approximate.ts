/**
 * Steps −(H̃ + λI)⁻¹ G with an approximation H̃ of H: fitted and solved by the GPU, in f32, corrected by what f64 finds
 * missing in the equation of the reference's H̃.
 */

import { toF32, toF64 } from "../host/index.js";
import {
  APPROXIMATIONS,
  add,
  addDiagonal,
  type CurvatureOperator,
  fluctuationFactors,
  isFiniteMatrix,
  type Matrix,
  type PositionBlock,
  piDamping,
  reduceFactors,
  sandwich,
  scale,
  trace,
} from "../reference/index.js";
import type { CurvatureSystem, SystemApproximation } from "./arithmetic.js";
import { refineSolution } from "./refine.js";
import type { Refinement } from "./solution.js";
import { rangeOf } from "./spectrum.js";

/** Above this the reference's own solution is taken instead. */
const GOOD_RESIDUAL = 1e-6;

export interface ApproximateSolution {
  step: Matrix;
  refinement: Refinement | undefined;
  /** Where the step comes from, in addition to the adapter; undefined when all of it is the GPU's. */
  remark: string | undefined;
  status: string;
}

/** `block` is H's, divided by nothing: on the scale of the sum loss. */
export async function solveApproximately(
  system: CurvatureSystem,
  method: SystemApproximation,
  { block, gradient, damping }: { block: PositionBlock; gradient: Matrix; damping: number },
): Promise<ApproximateSolution> {
  const { rows, cols } = gradient;
  const reference = APPROXIMATIONS[method](block);
  const damped = dampedOperator(method, block, reference, damping);
  // What an undamped H̃ cannot reach is not missing: the step is the shortest of the best.
  const project = damping > 0 ? undefined : rangeOf(damped)?.project;
  const within = project ?? ((V: Matrix) => V);
  const missing = (delta: Matrix) => within(add(damped.apply(delta), gradient, -1, -1));
  const solve = async (R: Matrix) => toF64(await system.approximate(method, toF32(R), damping));
  const { value, residual, rounds } = await refineSolution(missing, { rows, cols }, solve, project);
  if (isFiniteMatrix(value) && residual <= GOOD_RESIDUAL) {
    return { step: value, refinement: { rounds, residual }, remark: undefined, status: "ok" };
  }
  const step = scale(reference.solve(gradient, damping), -1);
  const status = isFiniteMatrix(step) ? "ok" : `${method} gives no finite step; add damping`;
  return { step, refinement: undefined, remark: `the f64 reference on the CPU (${method})`, status };
}

/** What the step's equation is of: H̃ + λI, except that the two-term sum has its damping inside the second term. */
function dampedOperator(
  method: SystemApproximation,
  block: PositionBlock,
  reference: CurvatureOperator,
  damping: number,
): CurvatureOperator {
  if (method !== "meanFluctuation") {
    return { shape: reference.shape, apply: (V) => add(reference.apply(V), V, 1, damping) };
  }
  const first = reduceFactors(block);
  const { A, B } = fluctuationFactors(block);
  const { a, b } = piDamping(trace(A), A.rows, trace(B), B.rows, damping);
  const [right, left] = [addDiagonal(A, a), addDiagonal(B, b)];
  return {
    shape: reference.shape,
    apply: (V) => add(sandwich(first.B, V, first.A), sandwich(left, V, right)),
  };
}
