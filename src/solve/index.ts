export type { SolverEngine } from "./arithmetic.js";
export { solveNewton } from "./newton.js";
export {
  CONVOLUTION_METHODS,
  type ConvolutionMethod,
  type ConvolutionProblem,
  LINEAR_METHODS,
  type LinearMethod,
  type LinearProblem,
  type NewtonProblem,
} from "./problem.js";
export type { ConvolutionSolution, LinearSolution, NewtonSolution, Refinement } from "./solution.js";
