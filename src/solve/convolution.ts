/**
 * One Newton step of a convolution (Bulatov 2017, "Convolutional Network"): half squared error, summed over examples, of
 * head · flatten(conv(x)), which is linear in the kernel, so that the exact step lands on a minimiser.
 */
import { toF32, toF64 } from "../host/index.js";
import {
  add,
  type ConvGeometry,
  type CurvatureOperator,
  conv2d,
  conv2dWeightGradient,
  dot,
  flatten,
  isFiniteMatrix,
  type Matrix,
  matmul,
  matrix,
  type PositionBlock,
  patches,
  subtract,
  unflatten,
} from "../reference/index.js";
import { solveApproximately } from "./approximate.js";
import type { Arithmetic, CurvatureSystem, SystemApproximation } from "./arithmetic.js";
import { solveExactly } from "./exact.js";
import type { ConvolutionProblem } from "./problem.js";
import { type ConvolutionSolution, minimumNorm, USABLE_RESIDUAL } from "./solution.js";
import { rangeOf } from "./spectrum.js";

/** A checked problem with its sizes. */
interface Convolution extends ConvolutionProblem {
  readonly geometry: ConvGeometry;
}

/** `problem` has been checked, and these are its sizes. */
export async function solveConvolution(
  gpu: Arithmetic,
  problem: ConvolutionProblem,
  geometry: ConvGeometry,
): Promise<ConvolutionSolution> {
  const { inputs, W, head, target, damping = 0, method = "exact" } = problem;
  const input = { ...problem, geometry };
  const model = quadratic(input);
  const lossBefore = model.loss(W);
  const exact = model.gradient(W);
  const system = await gpu.convolution({
    geometry,
    inputs: Float32Array.from(inputs.data),
    count: inputs.shape[0],
    W: toF32(W),
    head: head && toF32(head),
    target: toF32(target),
  });
  try {
    const gradient = toF64(system.gradient);
    const report: ConvolutionSolution = {
      lossBefore,
      lossAfter: undefined,
      gradient,
      step: undefined,
      W: undefined,
      rank: undefined,
      method,
      adapter: gpu.adapter,
      status: "ok",
      iterations: undefined,
      refinement: undefined,
    };
    if (!(isFiniteMatrix(gradient) && isFiniteMatrix(exact) && Number.isFinite(lossBefore))) {
      return { ...report, status: "the products overflow f32; scale the data down" };
    }
    if (method !== "exact") {
      return finish(input, model, await byApproximation(system, input, method, exact, report));
    }
    const missing = (delta: Matrix) => add(add(model.hessian.apply(delta), delta, 1, damping), exact, -1, -1);
    const range = rangeOf(model.hessian);
    const solved = await solveExactly(system, { rows: W.rows, cols: W.cols, damping, missing, range });
    const { value: step, residual, rounds, iterations } = solved;
    const facts = { ...report, rank: range?.rank, iterations, refinement: { rounds, residual } };
    if (!isFiniteMatrix(step) || residual > USABLE_RESIDUAL) {
      return { ...facts, status: "too ill-conditioned for f32; add damping" };
    }
    const of = W.data.length;
    // Where H is too large to be formed for its rank: as many outputs as there are.
    const most = Math.min(of, target.data.length);
    const part = { name: "H", rank: range?.rank ?? most, of, bound: range === undefined };
    const singular = damping > 0 ? undefined : minimumNorm([part]);
    return finish(input, model, { ...facts, step, status: singular ?? "ok" });
  } finally {
    system.dispose();
  }
}

async function byApproximation(
  system: CurvatureSystem,
  input: Convolution,
  method: SystemApproximation,
  exact: Matrix,
  report: ConvolutionSolution,
): Promise<ConvolutionSolution> {
  const problem = { block: blockOf(input), gradient: exact, damping: input.damping ?? 0 };
  const { step, refinement, remark, status } = await solveApproximately(system, method, problem);
  const adapter = remark === undefined ? report.adapter : `${report.adapter} (gradient); ${remark}`;
  if (!isFiniteMatrix(step)) return { ...report, adapter, status };
  return { ...report, step, adapter, status, refinement };
}

/** The inputs and derivatives of the convolution: b_{t,c} is row c of the head, the same for every example. */
function blockOf({ inputs, geometry, W, head, target }: Convolution): PositionBlock {
  const size = W.rows * geometry.positions;
  const B = Array.from({ length: target.cols }, (_, c) => {
    const b = matrix(W.rows, geometry.positions);
    if (head) b.data.set(head.data.subarray(c * size, (c + 1) * size));
    else b.data[c] = 1;
    return b;
  });
  const A = patches(inputs, geometry);
  return { A, B: A.map(() => B), divisor: 1 };
}

function finish(input: Convolution, model: Quadratic, report: ConvolutionSolution): ConvolutionSolution {
  if (report.step === undefined) return report;
  const after = add(input.W, report.step);
  return { ...report, W: after, lossAfter: model.loss(after) };
}

interface Quadratic {
  loss(W: Matrix): number;
  gradient(W: Matrix): Matrix;
  hessian: CurvatureOperator;
}

/** The loss and its derivatives in f64, without a Jacobian ever held. */
function quadratic({ inputs, geometry, W, head, target }: Convolution): Quadratic {
  const { outHeight, outWidth } = geometry;
  const predict = (V: Matrix) => {
    const Z = flatten(conv2d(inputs, V, geometry));
    return head ? matmul(Z, head, { transposeB: true }) : Z;
  };
  const pullBack = (e: Matrix) => {
    const dZ = head ? matmul(e, head) : e;
    return conv2dWeightGradient(inputs, unflatten(dZ, W.rows, outHeight, outWidth), geometry);
  };
  const error = (V: Matrix) => subtract(predict(V), target);
  return {
    loss: (V) => {
      const e = error(V);
      return 0.5 * dot(e, e);
    },
    gradient: (V) => pullBack(error(V)),
    hessian: { shape: [W.rows, W.cols], apply: (V) => pullBack(predict(V)) },
  };
}
