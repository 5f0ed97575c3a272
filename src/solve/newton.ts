import { must, OBJECT, objectLike, oneOf } from "../arguments.js";
import type { Arithmetic, SolverEngine } from "./arithmetic.js";
import { solveConvolution } from "./convolution.js";
import { solveLinear } from "./linear.js";
import {
  type ConvolutionProblem,
  checkConvolution,
  checkLinear,
  type LinearProblem,
  type NewtonProblem,
} from "./problem.js";
import type { ConvolutionSolution, LinearSolution, NewtonSolution } from "./solution.js";
import { convolutionSystem, kroneckerSumSystem } from "./systems.js";

/**
 * One Newton step of a linear, piecewise linear or convolutional network (Bulatov 2017), nearly as exact as f64: products,
 * inverses and conjugate gradients run on the GPU in f32, and what f64 finds missing in the step's equation is solved
 * for again until no more is gained. For an undamped "exact" method the step lands on a minimiser of the loss; where the
 * Hessian is singular it is the shortest such step, and `status` says so.
 *
 * A step that f32 cannot reach is no error: `step` is undefined and `status` says what would help.
 *
 * @throws ArgumentError for damping, a method or no examples, ShapeError where sizes do not meet, DataError for a number
 *   that f32 does not hold, LimitError when the device cannot hold the problem
 */
export function solveNewton(engine: SolverEngine, problem: LinearProblem): Promise<LinearSolution>;
export function solveNewton(engine: SolverEngine, problem: ConvolutionProblem): Promise<ConvolutionSolution>;
export function solveNewton(engine: SolverEngine, problem: NewtonProblem): Promise<NewtonSolution>;
export function solveNewton(engine: SolverEngine, problem: NewtonProblem): Promise<NewtonSolution> {
  return solveOn(engine, problem);
}

const ENGINE = objectLike("an engine (createEngine)", "gram", "matmul", "invert", "sandwich", "eigh");

async function solveOn(engine: SolverEngine, problem: NewtonProblem): Promise<NewtonSolution> {
  must("solveNewton", "engine", engine, ENGINE);
  return solveWith(arithmeticOn(engine), problem);
}

/** The same with an arithmetic of the caller's. @throws (by rejection) as `solveNewton` */
export async function solveWith(arithmetic: Arithmetic, problem: NewtonProblem): Promise<NewtonSolution> {
  must("solveNewton", "problem", problem, OBJECT);
  must("solveNewton", "kind", problem.kind, oneOf("linear", "convolution"));
  if (problem.kind === "convolution") {
    return solveConvolution(arithmetic, problem, checkConvolution(problem));
  }
  checkLinear(problem);
  return solveLinear(arithmetic, problem);
}

function arithmeticOn(engine: SolverEngine): Arithmetic {
  const { manager, capabilities } = engine;
  return {
    adapter: capabilities.adapter,
    gram: (options) => engine.gram(options),
    matmul: (A, B, options) => engine.matmul(A, B, options),
    invert: (S, options) => engine.invert(S, options),
    sandwich: (P, G, Q) => engine.sandwich(P, G, Q),
    eigh: (S) => engine.eigh(S),
    kroneckerSum: (examples, inverses) => kroneckerSumSystem(manager, examples, inverses),
    convolution: (data) => convolutionSystem(manager, data),
  };
}
