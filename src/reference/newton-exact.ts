/**
 * Exact Newton steps for the note's second and third networks (Bulatov 2017): half squared error, summed over examples,
 * of a prediction that is linear in W, so that an undamped exact step lands on a least-squares minimiser.
 */
import { ArgumentError } from "../errors.js";
import {
  type Approximation,
  ekfac,
  expandFactors,
  kfocFactors,
  kroneckerApproximation,
  reduceFactors,
} from "./approximations.js";
import { type CgResult, conjugateGradients } from "./cg.js";
import { type ConvOptions, conv2d, conv2dWeightGradient, convGeometry, groupRows, patches } from "./conv.js";
import { requireDamping } from "./damping.js";
import { matmul } from "./matmul.js";
import { add, type Matrix, matrix, requireShape, scale, stackRows, subtract, unvec, vec } from "./matrix.js";
import { meanFluctuation } from "./mean-fluctuation.js";
import { type NewtonExample, type NewtonResult, newtonError, newtonStep } from "./newton.js";
import {
  type CurvatureOperator,
  denseHessian,
  kroneckerSumOperator,
  type PositionBlock,
  positionOperator,
} from "./operator.js";
import { pinv, rank } from "./rank.js";
import { dot } from "./reduce.js";
import { solve } from "./solve.js";
import { flatten, type Tensor, unflatten } from "./tensor.js";

/** How a step is solved for. */
export interface SolverOptions {
  /** λ ≥ 0 on the scale of J's own Hessian, J a sum over examples: H + λI is solved. Defaults to 0. */
  damping?: number;
  /** Of conjugate gradients: relative residual to stop at (1e-10) and most iterations (four times the unknowns). */
  tolerance?: number;
  maxIterations?: number;
}

/** What an exact Newton step leaves. */
export interface ExactNewtonResult {
  /** J at the W passed in. */
  loss: number;
  /** G = ∂J/∂W, of W's shape. */
  gradient: Matrix;
  /** −(H + λI)⁻¹G, the shortest solution where H is singular and λ is 0. */
  step: Matrix;
  /** W + step. */
  W: Matrix;
  /** Numerical rank of the formed H, without damping; undefined where it is not formed. */
  rank?: number;
  /** Iterations and residuals, when solved by conjugate gradients. */
  cg?: CgResult;
}

/**
 * One exact Newton step for J = Σ_i ½‖target_i − B_i'WA_i‖², H = Σ_i A_iA_i' ⊗ B_iB_i': "dense" (default) forms H, "cg"
 * applies it as an operator. From zero, conjugate gradients too reach the shortest solution of a singular H.
 *
 * @throws ShapeError for operands that do not fit; ArgumentError for a damping that is negative or not finite, or no
 * examples.
 */
export function exactNewtonStep(
  options: SolverOptions & { W: Matrix; examples: readonly NewtonExample[]; method?: "dense" | "cg" },
): ExactNewtonResult {
  const { W, examples, method = "dense" } = options;
  const operator = kroneckerSumOperator(examples);
  requireShape("exactNewtonStep", "W", W, ...operator.shape);
  let loss = 0;
  let gradient = matrix(W.rows, W.cols);
  examples.forEach((example, i) => {
    const { A, B, target } = example;
    requireShape("exactNewtonStep", `examples[${i}].target`, target, B.cols, A.cols);
    const e = newtonError(example, W);
    loss += 0.5 * dot(e, e);
    gradient = subtract(gradient, matmul(matmul(B, e), A, { transposeB: true }));
  });
  return { loss, gradient, ...finish(W, solveExactly(operator, gradient, options, method)) };
}

interface Solution {
  delta: Matrix;
  rank?: number;
  cg?: CgResult;
}

function finish(W: Matrix, { delta, ...rest }: Solution) {
  const step = scale(delta, -1);
  return { step, W: add(W, step), ...rest };
}

function solveExactly(
  operator: CurvatureOperator,
  gradient: Matrix,
  options: SolverOptions,
  method: "dense" | "cg",
  preconditioner?: (R: Matrix) => Matrix,
): Solution {
  const { damping = 0, tolerance, maxIterations } = options;
  requireDamping("exactNewtonStep", damping);
  if (method === "cg") {
    const cg = conjugateGradients(operator, gradient, { damping, tolerance, maxIterations, preconditioner });
    return { delta: cg.solution, cg };
  }
  const H = denseHessian(operator);
  const g = vec(gradient);
  if (damping > 0) {
    return { delta: unvec(solve(H, g, damping), gradient.rows, gradient.cols), rank: rank(H) };
  }
  const { inverse, rank: found } = pinv(H);
  return { delta: unvec(matmul(inverse, g), gradient.rows, gradient.cols), rank: found };
}

/**
 * One Newton step in U for left tiling, prediction B'KUA (note, "Convolutional Network", read literally: W = KU): the
 * linear network with K'B in the place of B, so H_u = AA' ⊗ K'BB'K and the step is exact in one sandwich. In the result
 * W is U + step, BBt is K'BB'K and rankB its rank; `damping` is as in `newtonStep`. K is out × tiles, U tiles × in.
 *
 * @throws as `newtonStep`; ShapeError for a K that does not fit B and U.
 */
export function leftTilingStep(
  options: NewtonExample & { K: Matrix; U: Matrix; damping?: number },
): NewtonResult {
  const { K, U, A, B, target, damping } = options;
  requireShape(
    "leftTilingStep",
    "K",
    K,
    B.rows,
    U.rows,
    "K has one row per row of B, one column per row of U",
  );
  return newtonStep({ W: U, A, B: matmul(K, B, { transposeA: true }), target, damping });
}

/** The approximations by name, from a block; the Kronecker ones with λI added to the product. */
export const APPROXIMATIONS = {
  expand: (block: PositionBlock) => kroneckerApproximation("expand", expandFactors(block)),
  reduce: (block: PositionBlock) => kroneckerApproximation("reduce", reduceFactors(block)),
  kfoc: (block: PositionBlock) => kroneckerApproximation("kfoc", kfocFactors(block)),
  ekfac: (block: PositionBlock) => ekfac(block, expandFactors(block)),
  meanFluctuation: (block: PositionBlock) => meanFluctuation(block),
} as const satisfies Record<string, (block: PositionBlock) => Approximation>;

/** The name of one of `APPROXIMATIONS`. */
export type ApproximationName = keyof typeof APPROXIMATIONS;

/** Operands and options of `convNewtonStep`. */
export interface ConvNewtonOptions extends ConvOptions, SolverOptions {
  /** N × C × H × W. */
  inputs: Tensor;
  /** The kernel's weights, O × columns as in conv.ts. */
  W: Matrix;
  /** outputs × (O·T): the prediction is head · flatten(z). Defaults to the flattened feature map itself. */
  head?: Matrix;
  /** N × outputs. */
  target: Matrix;
  /** "exact" (default) forms H, "cg" applies it; an approximation's name solves with that in H's place. */
  method?: "exact" | "cg" | ApproximationName;
  /** Preconditioner of "cg"; defaults to none. */
  preconditioner?: ApproximationName;
}

/** What `convNewtonStep` leaves. */
export interface ConvNewtonResult extends ExactNewtonResult {
  /** Prediction at the W passed in, N × outputs. */
  prediction: Matrix;
}

/**
 * One Newton step for a convolution with J = ½ Σ_i ‖target_i − head · flatten(conv(x_i))‖². "exact" and converged "cg"
 * land on a minimiser. "expand" does so too without a head (a loss per position), and "reduce" with a head that is the
 * same at every position; elsewhere they do not.
 *
 * @throws ShapeError for operands that do not fit; ArgumentError for options out of range or a method that is not
 * there.
 */
export function convNewtonStep(options: ConvNewtonOptions): ConvNewtonResult {
  const { inputs, W, target, head, method = "exact", damping = 0 } = options;
  requireDamping("convNewtonStep", damping);
  const [N, channels, height, width] = inputs.shape;
  const geometry = convGeometry({ channels, height, width }, options);
  const { outHeight, outWidth, positions, groups } = geometry;
  const Z = flatten(conv2d(inputs, W, geometry));
  if (head) requireShape("convNewtonStep", "head", head, head.rows, Z.cols);
  const prediction = head ? matmul(Z, head, { transposeB: true }) : Z;
  requireShape("convNewtonStep", "target", target, prediction.rows, prediction.cols);
  const e = subtract(prediction, target);
  const dZ = head ? matmul(e, head) : e;
  const gradient = conv2dWeightGradient(inputs, unflatten(dZ, W.rows, outHeight, outWidth), geometry);

  const each = W.rows / groups;
  const blocks = Array.from({ length: groups }, (_, g): PositionBlock => {
    // Row c of the head, at this group's channels: b_{t,c} for all t, the same for every example.
    const B = Array.from({ length: prediction.cols }, (_, c) => {
      const b = matrix(each, positions);
      const from = g * each * positions;
      if (head) b.data.set(head.data.subarray(c * Z.cols + from, c * Z.cols + from + b.data.length));
      else if (c >= from && c < from + b.data.length) b.data[c - from] = 1;
      return b;
    });
    return { A: patches(inputs, geometry, g), B: Array(N).fill(B), divisor: N };
  });
  /** (N·H̃ + λI)⁻¹ V, with H̃ of the mean loss, each group on its own. */
  const approximate = (name: ApproximationName) => {
    const parts = blocks.map(APPROXIMATIONS[name]);
    return (V: Matrix) =>
      stackRows(parts.map((part, g) => part.solve(scale(groupRows(V, groups, g), 1 / N), damping / N)));
  };
  const sums = { loss: 0.5 * dot(e, e), gradient, prediction };
  if (method !== "exact" && method !== "cg") {
    if (!(method in APPROXIMATIONS)) {
      const names = ["exact", "cg", ...Object.keys(APPROXIMATIONS)].join(", ");
      throw new ArgumentError("convNewtonStep", "method", `must be one of ${names}, got ${method}`);
    }
    return { ...sums, ...finish(W, { delta: approximate(method)(gradient) }) };
  }
  const operator = positionOperator(blocks.map((block) => ({ ...block, divisor: 1 })));
  const preconditioner = options.preconditioner && approximate(options.preconditioner);
  const kind = method === "cg" ? "cg" : "dense";
  return { ...sums, ...finish(W, solveExactly(operator, gradient, options, kind, preconditioner)) };
}
