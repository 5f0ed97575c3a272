// The chapter's numbers once more, in f64 and without a GPU.
import {
  convCurvature,
  convLossAndGradients,
  denseHessian,
  ekfac,
  exactStep,
  expandFactors,
  kfocFactors,
  kroneckerApproximation,
  type Matrix,
  meanFluctuation,
  measure,
  positionOperator,
  type Quality,
  reduceFactors,
  tensor,
} from "kfac-webgpu/reference";
import { EXAMPLES, MEASURED, type Problem, twinOf } from "./problem.js";
import { kroneckerTerms } from "./terms.js";

export interface TwinStudy {
  H: Matrix;
  G: Matrix;
  /** (H + λI)⁻¹ G. */
  step: Matrix;
  /** expand, reduce, ekfac, kfoc, meanFluctuation. */
  qualities: Quality[];
  /** Shares of ‖H‖² in its Kronecker terms, largest first. */
  terms: number[];
  loss: number;
}

export interface TwinInput {
  weights: readonly ArrayLike<number>[];
  /** EXAMPLES images and their classes. */
  inputs: ArrayLike<number>;
  labels: ArrayLike<number>;
}

/** What the GPU's `"kfoc"` does at most. */
const POWER_ITERATIONS = 20;

export function twinStudy(problem: Problem, { weights, inputs, labels }: TwinInput): TwinStudy {
  const network = twinOf(problem, weights);
  const X = tensor([EXAMPLES, 1, problem.side, problem.side], inputs);
  const kind = "softmaxCrossEntropy";
  const { gradients, loss } = convLossAndGradients(network, kind, X, labels);
  const block = convCurvature(network, kind, X, { kind: "exact" })[MEASURED]![0]!;
  const operator = positionOperator(block);
  const H = denseHessian(operator);
  const G = gradients[MEASURED]!;
  const expand = expandFactors(block);
  const qualities = measure(
    [
      kroneckerApproximation("expand", expand),
      kroneckerApproximation("reduce", reduceFactors(block)),
      ekfac(block, expand),
      kroneckerApproximation("kfoc", kfocFactors(block, { maxIterations: POWER_ITERATIONS, tolerance: 0 })),
      meanFluctuation(block),
    ],
    operator,
    G,
    problem.damping,
  );
  const step = exactStep(H, G, problem.damping);
  return { H, G, step, qualities, terms: kroneckerTerms(H, G.rows, G.cols), loss };
}
