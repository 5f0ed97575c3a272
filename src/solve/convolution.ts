/**
 * One Newton step of a convolution (Bulatov 2017, "Convolutional Network"): half squared error, summed over examples, of
 * head · flatten(conv(x)), which is linear in the kernel, so that the exact step lands on a minimiser.
 */

import type { Approximation, CurvatureSystem, Engine } from "../cli/engine.js";
import type { ConvolutionInput } from "../cli/newton/convolution-input.js";
import { toF32, toF64 } from "../host/index.js";
import {
  add,
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
import { solveExactly } from "./exact.js";
import { minimumNorm, USABLE_RESIDUAL } from "./report.js";
import { rangeOf } from "./spectrum.js";

export interface ConvolutionReport {
  lossBefore: number;
  lossAfter: number | undefined;
  /** O × (C·kh·kw [+ 1]), as W. */
  gradient: Matrix;
  step: Matrix | undefined;
  /** W + step. */
  W: Matrix | undefined;
  /** Of the Hessian, in f64; absent where it was not formed for it. */
  rank: number | undefined;
  method: ConvolutionInput["method"];
  adapter: string;
  status: string;
  iterations: number | undefined;
  /** Relative, of the step's equation (H + λI) δ = −G or, with an approximation, of its own; in f64. */
  residual: number | undefined;
  rounds: number | undefined;
}

export async function solveConvolution(engine: Engine, input: ConvolutionInput): Promise<ConvolutionReport> {
  const { inputs, geometry, W, head, target, damping, method } = input;
  const model = quadratic(input);
  const lossBefore = model.loss(W);
  const exact = model.gradient(W);
  const system = await engine.convolution({
    inputs: Float32Array.from(inputs.data),
    shape: inputs.shape,
    ...geometry,
    W: toF32(W),
    head: head && toF32(head),
    target: toF32(target),
  });
  try {
    const gradient = toF64(system.gradient);
    const report: ConvolutionReport = {
      lossBefore,
      lossAfter: undefined,
      gradient,
      step: undefined,
      W: undefined,
      rank: undefined,
      method,
      adapter: engine.capabilities.adapter,
      status: "ok",
      iterations: undefined,
      residual: undefined,
      rounds: undefined,
    };
    if (!(isFiniteMatrix(gradient) && isFiniteMatrix(exact) && Number.isFinite(lossBefore))) {
      return { ...report, status: "the products overflow f32; scale the data down" };
    }
    const missing = (delta: Matrix) => add(add(model.hessian.apply(delta), delta, 1, damping), exact, -1, -1);
    if (method !== "exact") {
      return finish(input, model, await byApproximation(system, input, method, exact, report));
    }
    const range = rangeOf(model.hessian);
    const solved = await solveExactly(system, { rows: W.rows, cols: W.cols, damping, missing, range });
    const { value: step, residual, rounds, iterations } = solved;
    const facts = { ...report, rank: range?.rank, iterations, residual, rounds };
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
  input: ConvolutionInput,
  method: Approximation,
  exact: Matrix,
  report: ConvolutionReport,
): Promise<ConvolutionReport> {
  const { damping } = input;
  const problem = { block: blockOf(input), gradient: exact, damping };
  const { step, refinement, remark, status } = await solveApproximately(system, method, problem);
  const adapter = remark === undefined ? report.adapter : `${report.adapter} (gradient); ${remark}`;
  if (!isFiniteMatrix(step)) return { ...report, adapter, status };
  return { ...report, step, adapter, status, ...refinement };
}

/** The inputs and derivatives of the convolution: b_{t,c} is row c of the head, the same for every example. */
function blockOf({ inputs, geometry, W, head, target }: ConvolutionInput): PositionBlock {
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

function finish(input: ConvolutionInput, model: Quadratic, report: ConvolutionReport): ConvolutionReport {
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
function quadratic({ inputs, geometry, W, head, target }: ConvolutionInput): Quadratic {
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
