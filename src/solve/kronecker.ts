/**
 * −(Σ BB')⁻¹ G (Σ AA')⁻¹ on the GPU: K-FAC's step, which is Newton's for one linear network (Bulatov 2017, "Linear
 * Network"). Products, inverses and eigenvectors are the GPU's, in f32; inverses and step are then refined against
 * residuals taken in f64. Singular factors get pseudo-inverses, and the step is the shortest.
 */

import { toF32, toF64 } from "../host/index.js";
import { InvertStatus } from "../linalg/index.js";
import {
  addDiagonal,
  identity,
  isFiniteMatrix,
  type Matrix,
  matmul,
  piDamping,
  scale,
  trace,
} from "../reference/index.js";
import type { Arithmetic } from "./arithmetic.js";
import { into, rangeBasis } from "./range.js";
import { refineInverse, refineSandwich } from "./refine.js";
import { type Refinement, USABLE_RESIDUAL } from "./solution.js";

export interface KroneckerProblem {
  /** Σ AA' and Σ BB' in f64, with their ranks. */
  AAt: Matrix;
  BBt: Matrix;
  ranks: readonly [number, number];
  gradient: Matrix;
  damping: number;
}

export interface KroneckerStep {
  AAtInverse: Matrix;
  BBtInverse: Matrix;
  step: Matrix;
  refinement: Refinement;
  /** Of the inverses: that damping is below what f32 resolves. */
  low: boolean;
}

/** A sentence where f32 does not carry that far. */
export async function kroneckerStep(
  gpu: Arithmetic,
  problem: KroneckerProblem,
): Promise<KroneckerStep | string> {
  const { AAt, BBt, ranks, gradient, damping } = problem;
  const [rankA, rankB] = damping > 0 ? [AAt.rows, BBt.rows] : ranks;
  const QA = rankA < AAt.rows ? await rangeBasis(gpu, AAt, rankA) : undefined;
  const QB = rankB < BBt.rows ? await rangeBasis(gpu, BBt, rankB) : undefined;
  const inside = (Q: Matrix | undefined, rank: number, S: Matrix) => {
    if (!Q) return S;
    // Of no range at all the basis is one column of zeros, on which any number will do.
    return rank === 0 ? identity(1) : matmul(into(Q, S), Q);
  };
  const left = QB ? into(QB, gradient) : gradient;
  const solved = await regularStep(gpu, {
    AAt: inside(QA, rankA, AAt),
    BBt: inside(QB, rankB, BBt),
    gradient: QA ? matmul(left, QA) : left,
    damping,
  });
  if (typeof solved === "string") return solved;
  const outside = (Q: Matrix | undefined, S: Matrix) =>
    Q ? matmul(matmul(Q, S), Q, { transposeB: true }) : S;
  const right = QA ? matmul(solved.step, QA, { transposeB: true }) : solved.step;
  return {
    ...solved,
    AAtInverse: outside(QA, solved.AAtInverse),
    BBtInverse: outside(QB, solved.BBtInverse),
    step: QB ? matmul(QB, right) : right,
  };
}

async function regularStep(
  gpu: Arithmetic,
  { AAt, BBt, gradient, damping }: Omit<KroneckerProblem, "ranks">,
): Promise<KroneckerStep | string> {
  const { a, b } =
    damping > 0 ? piDamping(trace(AAt), AAt.rows, trace(BBt), BBt.rows, damping) : { a: 0, b: 0 };
  const invertedA = await gpu.invert(toF32(AAt), { damping: a });
  const invertedB = await gpu.invert(toF32(BBt), { damping: b });
  const failed =
    failedInverse("AA'", invertedA.status, damping) ?? failedInverse("BB'", invertedB.status, damping);
  if (failed !== undefined) return failed;

  const dampedA = addDiagonal(AAt, a);
  const dampedB = addDiagonal(BBt, b);
  const inverseA = await refineInverse(gpu, dampedA, toF64(invertedA.inverse));
  const inverseB = await refineInverse(gpu, dampedB, toF64(invertedB.inverse));
  const first = await gpu.sandwich(toF32(inverseB.value), toF32(gradient), toF32(inverseA.value));
  const step = await refineSandwich(
    gpu,
    {
      P: dampedB,
      Q: dampedA,
      R: scale(gradient, -1),
      PInverse: inverseB.value,
      QInverse: inverseA.value,
    },
    scale(toF64(first), -1),
  );
  const usable = [inverseA, inverseB, step].every(
    ({ value, residual }) => isFiniteMatrix(value) && residual <= USABLE_RESIDUAL,
  );
  if (!usable) return "too ill-conditioned for f32; add damping";
  return {
    AAtInverse: inverseA.value,
    BBtInverse: inverseB.value,
    step: step.value,
    refinement: { rounds: step.rounds, residual: step.residual },
    low: invertedA.dampingBelowFloor || invertedB.dampingBelowFloor,
  };
}

function failedInverse(name: string, status: number, damping: number): string | undefined {
  const advice = damping > 0 ? "raise the damping" : "add damping";
  if (status & InvertStatus.nonFinite) return `${name} is not finite in f32; scale the data down`;
  return status & InvertStatus.notPositiveDefinite
    ? `${name} is not positive definite in f32; ${advice}`
    : undefined;
}
