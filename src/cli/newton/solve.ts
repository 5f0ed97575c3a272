/**
 * One Newton step of the note's linear network on the GPU (Bulatov 2017): W − (BB')⁻¹ G (AA')⁻¹, with the literal sums
 * Σ A_iA_i' and Σ B_iB_i' over the examples. All products and inverses are the engine's, in f32; inverses and step are
 * then refined against residuals taken in f64, and the losses are measured in f64.
 */
import {
  add,
  addDiagonal,
  dot,
  gram,
  isFiniteMatrix,
  type Matrix,
  matmul,
  matrix,
  type NewtonExample,
  newtonError,
  piDamping,
  rank,
  scale,
  subtract,
  trace,
} from "../../reference/index.js";
import type { Engine } from "../engine.js";
import { fromHost, toHost } from "./host.js";
import type { NewtonInput } from "./input.js";
import { refineInverse, refineSandwich } from "./refine.js";

const NOT_POSITIVE_DEFINITE = 1;
const NON_FINITE = 2;
const BELOW_FLOOR = 4;

/** A step whose equation holds no better than this is not an answer. */
const USABLE_RESIDUAL = 1e-3;

export interface NewtonReport {
  lossBefore: number;
  /** Absent when there is no step. */
  lossAfter: number | undefined;
  gradient: Matrix;
  AAt: Matrix;
  BBt: Matrix;
  AAtInverse: Matrix | undefined;
  BBtInverse: Matrix | undefined;
  /** The change of W. */
  step: Matrix | undefined;
  /** W + step. */
  W: Matrix | undefined;
  /** Of AAt and BBt, in f64. */
  ranks: [number, number];
  method: "kfac";
  adapter: string;
  /** "ok", or what is to be known about the result or its absence. */
  status: string;
  /** How far f64 went into it: rounds of refinement, and the relative residual of the step's equation. */
  refinement: { rounds: number; residual: number } | undefined;
}

export async function solveNewton(engine: Engine, input: NewtonInput): Promise<NewtonReport> {
  const { W, examples, damping } = input;
  const AAt = fromHost(await engine.gram({ A: examples.map(({ A }) => toHost(A)) }));
  const BBt = fromHost(await engine.gram({ A: examples.map(({ B }) => toHost(B)) }));
  const gradient = await gradientOnGpu(engine, examples, W);
  const lossBefore = lossInF64(examples, W);

  const exactAAt = gram({ A: examples.map(({ A }) => A) });
  const exactBBt = gram({ A: examples.map(({ B }) => B) });
  const finite =
    [exactAAt, exactBBt, AAt, BBt, gradient].every(isFiniteMatrix) && Number.isFinite(lossBefore);
  const report: NewtonReport = {
    lossBefore,
    lossAfter: undefined,
    gradient,
    AAt,
    BBt,
    AAtInverse: undefined,
    BBtInverse: undefined,
    step: undefined,
    W: undefined,
    ranks: finite ? [rank(exactAAt), rank(exactBBt)] : [0, 0],
    method: "kfac",
    adapter: engine.capabilities.adapter,
    status: "ok",
    refinement: undefined,
  };
  if (!finite) return { ...report, status: "the products overflow f32; scale the data down" };
  const singular = singularFactor(report, damping);
  if (singular !== undefined) return { ...report, status: singular };

  const { a, b } =
    damping > 0 ? piDamping(trace(exactAAt), W.cols, trace(exactBBt), W.rows, damping) : { a: 0, b: 0 };
  const invertedA = await engine.invert(toHost(AAt), { damping: a });
  const invertedB = await engine.invert(toHost(BBt), { damping: b });
  const failed =
    failedInverse("AA'", invertedA.status, damping) ?? failedInverse("BB'", invertedB.status, damping);
  if (failed !== undefined) return { ...report, status: failed };

  const dampedA = addDiagonal(exactAAt, a);
  const dampedB = addDiagonal(exactBBt, b);
  const AAtInverse = await refineInverse(engine, dampedA, fromHost(invertedA.inverse));
  const BBtInverse = await refineInverse(engine, dampedB, fromHost(invertedB.inverse));
  const first = await engine.sandwich(toHost(BBtInverse.value), toHost(gradient), toHost(AAtInverse.value));
  const exactGradient = gradientInF64(examples, W);
  const step = await refineSandwich(
    engine,
    {
      P: dampedB,
      Q: dampedA,
      R: scale(exactGradient, -1),
      PInverse: BBtInverse.value,
      QInverse: AAtInverse.value,
    },
    scale(fromHost(first), -1),
  );
  const usable = [AAtInverse, BBtInverse, step].every(
    ({ value, residual }) => isFiniteMatrix(value) && residual <= USABLE_RESIDUAL,
  );
  if (!usable) return { ...report, status: "too ill-conditioned for f32; add damping" };
  const after = add(W, step.value);
  const low = damping > 0 && ((invertedA.status | invertedB.status) & BELOW_FLOOR) !== 0;
  return {
    ...report,
    lossAfter: lossInF64(examples, after),
    AAtInverse: AAtInverse.value,
    BBtInverse: BBtInverse.value,
    step: step.value,
    W: after,
    status: low ? "damping is below what f32 resolves" : "ok",
    refinement: { rounds: step.rounds, residual: step.residual },
  };
}

/** G = −Σ B e A', on the GPU. */
async function gradientOnGpu(engine: Engine, examples: readonly NewtonExample[], W: Matrix): Promise<Matrix> {
  let gradient = matrix(W.rows, W.cols);
  const hostW = toHost(W);
  for (const { A, B, target } of examples) {
    const [hostA, hostB] = [toHost(A), toHost(B)];
    const BW = await engine.matmul(hostB, hostW, { transposeA: true });
    const e = subtract(target, fromHost(await engine.matmul(BW, hostA)));
    const Be = await engine.matmul(hostB, toHost(e));
    gradient = subtract(gradient, fromHost(await engine.matmul(Be, hostA, { transposeB: true })));
  }
  return gradient;
}

function lossInF64(examples: readonly NewtonExample[], W: Matrix): number {
  return examples.reduce((sum, example) => {
    const e = newtonError(example, W);
    return sum + 0.5 * dot(e, e);
  }, 0);
}

function gradientInF64(examples: readonly NewtonExample[], W: Matrix): Matrix {
  return examples.reduce(
    (sum, example) =>
      subtract(sum, matmul(matmul(example.B, newtonError(example, W)), example.A, { transposeB: true })),
    matrix(W.rows, W.cols),
  );
}

function singularFactor({ AAt, BBt, ranks }: NewtonReport, damping: number): string | undefined {
  if (damping > 0) return undefined;
  for (const [name, factor, r] of [
    ["AA'", AAt, ranks[0]],
    ["BB'", BBt, ranks[1]],
  ] as const) {
    if (r < factor.rows) {
      return `${name} is singular (rank ${r} of ${factor.rows}), so it is not positive definite; add damping`;
    }
  }
  return undefined;
}

function failedInverse(name: string, status: number, damping: number): string | undefined {
  const advice = damping > 0 ? "raise the damping" : "add damping";
  if (status & NON_FINITE) return `${name} is not finite in f32; scale the data down`;
  return status & NOT_POSITIVE_DEFINITE ? `${name} is not positive definite in f32; ${advice}` : undefined;
}
