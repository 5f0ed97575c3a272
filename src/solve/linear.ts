/** One Newton step of a linear or piecewise linear network, by the method that the input names. */

import { toF32, toF64 } from "../host/index.js";
import {
  add,
  addDiagonal,
  gram,
  isFiniteMatrix,
  kroneckerSumOperator,
  type Matrix,
  matmul,
  perPositionBlock,
  piDamping,
  rank,
  scale,
  trace,
} from "../reference/index.js";
import { solveApproximately } from "./approximate.js";
import type { Arithmetic } from "./arithmetic.js";
import { solveExactly } from "./exact.js";
import { kroneckerStep } from "./kronecker.js";
import type { CheckedLinear, LinearProblem } from "./problem.js";
import { gradientInF64, gradientOnGpu, lossInF64, missingIn } from "./quantities.js";
import { type LinearSolution, minimumNorm, USABLE_RESIDUAL } from "./solution.js";
import { factorProjection, rangeOf } from "./spectrum.js";

/** `problem` has been checked. */
export async function solveLinear(gpu: Arithmetic, problem: LinearProblem): Promise<LinearSolution> {
  const input = withDefaults(problem);
  const { W, examples } = input;
  const AAt = toF64(await gpu.gram({ A: examples.map(({ A }) => toF32(A)) }));
  const BBt = toF64(await gpu.gram({ A: examples.map(({ B }) => toF32(B)) }));
  const gradient = await gradientOnGpu(gpu, examples, W);
  const lossBefore = lossInF64(examples, W);
  const exact = {
    AAt: gram({ A: examples.map(({ A }) => A) }),
    BBt: gram({ A: examples.map(({ B }) => B) }),
    gradient: gradientInF64(examples, W),
  };
  const finite =
    [...Object.values(exact), AAt, BBt, gradient].every(isFiniteMatrix) && Number.isFinite(lossBefore);
  const report: LinearSolution = {
    lossBefore,
    lossAfter: undefined,
    gradient,
    AAt,
    BBt,
    AAtInverse: undefined,
    BBtInverse: undefined,
    step: undefined,
    W: undefined,
    U: undefined,
    ranks: finite ? [rank(exact.AAt), rank(exact.BBt)] : [0, 0],
    rank: undefined,
    method: input.method,
    adapter: gpu.adapter,
    status: "ok",
    iterations: undefined,
    refinement: undefined,
  };
  if (!finite) return { ...report, status: "the products overflow f32; scale the data down" };
  const inverses = await factorInverses(gpu, report, exact);
  return finish(input, { ...report, ...inverses, ...(await stepOf(gpu, input, report, exact)) });
}

/** Of the AA' and BB' that are printed, whatever the step is made of; pseudo-inverses where they are singular. */
async function factorInverses(
  gpu: Arithmetic,
  { ranks, method }: LinearSolution,
  exact: Exact,
): Promise<Partial<LinearSolution>> {
  // K-FAC's step brings its own, damped ones.
  if (method === "kfac") return {};
  const found = await kroneckerStep(gpu, { ...exact, ranks, damping: 0 });
  if (typeof found === "string") return {};
  return { AAtInverse: found.AAtInverse, BBtInverse: found.BBtInverse };
}

function withDefaults(problem: LinearProblem): CheckedLinear {
  const { W, tiling, damping = 0, method = "exact" } = problem;
  const examples = tiling
    ? problem.examples.map((example) => ({
        ...example,
        B: matmul(tiling, example.B, { transposeA: true }),
      }))
    : problem.examples;
  return { W, examples, tiling, damping, method };
}

interface Exact {
  AAt: Matrix;
  BBt: Matrix;
  gradient: Matrix;
}

function stepOf(
  gpu: Arithmetic,
  input: CheckedLinear,
  report: LinearSolution,
  exact: Exact,
): Promise<Partial<LinearSolution>> {
  const { method, examples, damping } = input;
  // One linear network's Hessian is AA' ⊗ BB' itself; λI added to it is no longer a product.
  const kronecker = method === "kfac" || (method === "exact" && examples.length === 1 && damping === 0);
  if (kronecker) return byFactors(gpu, input, report, exact);
  if (method === "exact") return byOperator(gpu, input, report, exact);
  return byApproximation(gpu, input, method, exact, report.adapter);
}

async function byFactors(
  gpu: Arithmetic,
  { damping }: CheckedLinear,
  { ranks }: LinearSolution,
  exact: Exact,
): Promise<Partial<LinearSolution>> {
  const found = await kroneckerStep(gpu, { ...exact, ranks, damping });
  if (typeof found === "string") return { status: found };
  const { low, ...rest } = found;
  const singular =
    damping > 0
      ? undefined
      : minimumNorm([
          { name: "AA'", rank: ranks[0], of: exact.AAt.rows },
          { name: "BB'", rank: ranks[1], of: exact.BBt.rows },
        ]);
  return { ...rest, status: low ? "damping is below what f32 resolves" : (singular ?? "ok") };
}

async function byOperator(
  gpu: Arithmetic,
  { W, examples, damping }: CheckedLinear,
  { ranks }: LinearSolution,
  exact: Exact,
): Promise<Partial<LinearSolution>> {
  const range = rangeOf(kroneckerSumOperator(examples));
  const of = W.rows * W.cols;
  // Where H is too large to be formed for its rank: as many outputs as there are.
  const outputs = examples.reduce(
    (sum, { A, B }) => sum + Math.min(A.rows, A.cols) * Math.min(B.rows, B.cols),
    0,
  );
  const rankOfH = range?.rank ?? Math.min(of, outputs);
  const full = rankOfH === of && ranks[0] === exact.AAt.rows && ranks[1] === exact.BBt.rows;
  const inverses =
    full || damping > 0 ? await preconditioner(gpu, exact, examples.length, damping) : undefined;
  const system = gpu.kroneckerSum(sidesOf(examples), inverses);
  try {
    const missing = missingIn(examples, W, damping);
    const project = range || full ? undefined : factorProjection(exact.AAt, exact.BBt);
    const { rows, cols } = W;
    const found = await solveExactly(system, { rows, cols, damping, missing, range, project });
    const { value: step, residual, rounds, iterations } = found;
    const facts = { rank: range?.rank, iterations, refinement: { rounds, residual } };
    if (!isFiniteMatrix(step) || residual > USABLE_RESIDUAL) {
      return { ...facts, status: "too ill-conditioned for f32; add damping" };
    }
    const singular =
      damping > 0
        ? undefined
        : minimumNorm([
            { name: "AA'", rank: ranks[0], of: exact.AAt.rows },
            { name: "BB'", rank: ranks[1], of: exact.BBt.rows },
            { name: "H", rank: rankOfH, of, bound: range === undefined },
          ]);
    return { ...facts, step, status: singular ?? "ok" };
  } finally {
    system.dispose();
  }
}

/** Inverses of K-FAC's factors: their sandwich is near (H + λI)⁻¹ in shape, which is all that conjugate gradients need. */
async function preconditioner(gpu: Arithmetic, { AAt, BBt }: Exact, count: number, damping: number) {
  const { a, b } = piDamping(trace(AAt), AAt.rows, trace(BBt), BBt.rows, damping * count);
  // A little more than nothing, so that f32 can always invert them.
  const inverse = async (S: Matrix, shift: number) => {
    const size = trace(S) / S.rows;
    const scaled = scale(addDiagonal(S, shift + 1e-5 * size), 1 / size);
    return gpu.invert(toF32(scaled), { damping: 0 });
  };
  const right = await inverse(AAt, a);
  const left = await inverse(BBt, b);
  const good = (left.status | right.status) === 0;
  return good ? { left: left.inverse, right: right.inverse } : undefined;
}

async function byApproximation(
  gpu: Arithmetic,
  { examples, damping }: CheckedLinear,
  method: "ekfac" | "kfoc",
  { gradient }: Exact,
  adapter: string,
): Promise<Partial<LinearSolution>> {
  const system = gpu.kroneckerSum(sidesOf(examples));
  try {
    const problem = { block: perPositionBlock(examples, 1), gradient, damping };
    const { step, refinement, remark, status } = await solveApproximately(system, method, problem);
    const from = remark === undefined ? {} : { adapter: `${adapter} (factors, gradient); ${remark}` };
    return { ...from, status, refinement, ...(isFiniteMatrix(step) ? { step } : {}) };
  } finally {
    system.dispose();
  }
}

function sidesOf(examples: CheckedLinear["examples"]) {
  return { A: examples.map(({ A }) => toF32(A)), B: examples.map(({ B }) => toF32(B)) };
}

function finish({ W, examples, tiling }: CheckedLinear, report: LinearSolution): LinearSolution {
  if (report.step === undefined) return report;
  const after = add(W, report.step);
  return {
    ...report,
    lossAfter: lossInF64(examples, after),
    W: tiling ? matmul(tiling, after) : after,
    U: tiling ? after : undefined,
  };
}
