/** The note's three networks as problems for `solveNewton` (Bulatov 2017), and the checks that all of them pass first. */
import { must, NON_NEGATIVE, OBJECT, objectsOf, type Rule, SIZE, shown } from "../arguments.js";
import { ArgumentError, DataError } from "../errors.js";
import {
  type ConvGeometry,
  type ConvOptions,
  convGeometry,
  type Matrix,
  type NewtonExample,
  requireShape,
  type Tensor,
} from "../reference/index.js";

/** How messages name the caller's function, and what stands before A, B and target of example i. */
export interface ProblemNames {
  readonly operation: string;
  readonly prefixOf: (i: number) => string;
}

const NAMES: ProblemNames = { operation: "solveNewton", prefixOf: (i) => `examples[${i}].` };
const LARGEST_F32 = 3.4028234663852886e38;

/** What a linear problem can be solved with; `LinearProblem` says what each is. */
export const LINEAR_METHODS = ["exact", "kfac", "ekfac", "kfoc"] as const;
export type LinearMethod = (typeof LINEAR_METHODS)[number];

/** What a convolution can be solved with; `ConvolutionProblem` says what each is. */
export const CONVOLUTION_METHODS = ["exact", "expand", "reduce", "ekfac", "kfoc", "meanFluctuation"] as const;
export type ConvolutionMethod = (typeof CONVOLUTION_METHODS)[number];

/**
 * J(W) = Σ_i ½‖target_i − B_i'WA_i‖²: a linear network with one example, a piecewise linear one with several. All numbers
 * are f64 and must be finite in f32, in which the GPU computes.
 */
export interface LinearProblem {
  readonly kind: "linear";
  /** out × in; with a `tiling`, U. */
  readonly W: Matrix;
  /** A_i in × n_i, B_i out × c_i (with a `tiling`, as many rows as K), target_i c_i × n_i. */
  readonly examples: readonly NewtonExample[];
  /** K of W = K U, out × tiles: the step is one of U, tiles × in. */
  readonly tiling?: Matrix;
  /** λ ≥ 0, added to the Hessian of the sum J; with "kfac" split over its factors as π√λ and √λ/π. Defaults to 0. */
  readonly damping?: number;
  /**
   * "exact": H = Σ A_iA_i' ⊗ B_iB_i' itself. "kfac": (Σ A_iA_i') ⊗ (Σ B_iB_i'), the note's product of sums. "ekfac" and
   * "kfoc": the eigenvalue-corrected and the nearest Kronecker product. Defaults to "exact".
   */
  readonly method?: LinearMethod;
}

/**
 * J(W) = ½ Σ_i ‖target_i − head · flatten(conv(x_i))‖², the prediction of a convolution under a linear head. All numbers
 * are f64 and must be finite in f32, in which the GPU computes.
 */
export interface ConvolutionProblem extends Omit<ConvOptions, "groups"> {
  readonly kind: "convolution";
  /** N × C × H × W. */
  readonly inputs: Tensor;
  /** O × (C·kh·kw [+ 1]), columns in the order (channel, ky, kx), the bias last. */
  readonly W: Matrix;
  /** outputs × (O·H'·W'); without one the prediction is the flattened feature map. */
  readonly head?: Matrix;
  /** N × outputs. */
  readonly target: Matrix;
  /** λ ≥ 0, added to the Hessian of the sum J or to its approximation. Defaults to 0. */
  readonly damping?: number;
  /**
   * "exact": H itself. "expand" and "reduce": K-FAC with positions as further examples or averaged. "ekfac", "kfoc" and
   * "meanFluctuation": the eigenvalue-corrected, the nearest and the two-term Kronecker product. Defaults to "exact".
   */
  readonly method?: ConvolutionMethod;
}

export type NewtonProblem = LinearProblem | ConvolutionProblem;

/** A linear problem with nothing left to default. */
export interface CheckedLinear {
  readonly W: Matrix;
  /** With K'B in the place of B where there is a tiling K. */
  readonly examples: readonly NewtonExample[];
  readonly tiling: Matrix | undefined;
  readonly damping: number;
  readonly method: LinearMethod;
}

/**
 * @throws ArgumentError for damping, a method or no examples, ShapeError where sizes do not meet, DataError for a number
 *   that f32 does not hold
 */
export function checkLinear(problem: LinearProblem, { operation, prefixOf } = NAMES): void {
  const { W, examples, tiling } = problem;
  checkDamping(operation, problem.damping);
  checkMethod(operation, problem.method, LINEAR_METHODS);
  objectsOf(operation, "examples", examples, { words: "{ A, B, target }" });
  if (examples.length === 0) throw new ArgumentError(operation, "examples", "must be at least one example");
  const unknowns = tiling ? "U" : "W";
  requireMatrix(operation, unknowns, W);
  requireF32(unknowns, W);
  if (tiling !== undefined) {
    requireMatrix(operation, "tiling", tiling);
    requireF32("tiling", tiling);
    const hint = "tiling has one column per row of U, as W = K U";
    requireShape(operation, "tiling", tiling, tiling.rows, W.rows, hint);
  }
  const [out, name] = tiling ? [tiling.rows, "W = K U"] : [W.rows, "W"];
  examples.forEach(({ A, B, target }, i) => {
    const prefix = prefixOf(i);
    const check = (operand: string, m: Matrix, rows: number, cols: number, hint: string) => {
      requireShape(operation, prefix + operand, m, rows, cols, `${prefix}${operand} has ${hint}`);
      requireF32(prefix + operand, m);
    };
    for (const [operand, m] of Object.entries({ A, B, target }))
      requireMatrix(operation, prefix + operand, m);
    check("A", A, W.cols, A.cols, `one row per column of ${name}`);
    check("B", B, out, B.cols, `one row per row of ${name}`);
    check("target", target, B.cols, A.cols, "one row per column of B and one column per column of A");
  });
}

/**
 * The convolution's sizes.
 *
 * @throws ArgumentError for damping, a method or a kernel that does not fit, ShapeError where sizes do not meet, DataError
 *   for a number that f32 does not hold
 */
export function checkConvolution(problem: ConvolutionProblem, { operation } = NAMES): ConvGeometry {
  const { inputs, W, head, target } = problem;
  checkDamping(operation, problem.damping);
  checkMethod(operation, problem.method, CONVOLUTION_METHODS);
  must(operation, "inputs", inputs, TENSOR);
  requireMatrix(operation, "W", W);
  requireMatrix(operation, "target", target);
  if (head !== undefined) requireMatrix(operation, "head", head);
  const [N, channels, height, width] = inputs.shape;
  const geometry = convGeometry({ channels, height, width }, { ...problem, groups: 1 });
  const { columns, positions, outHeight, outWidth } = geometry;
  const columnsHint = `W has one column per channel and tap${geometry.bias ? ", and one for the bias" : ""}`;
  requireShape(operation, "W", W, W.rows, columns, columnsHint);
  const map = W.rows * positions;
  if (head) {
    const hint = `head has one column per number of the feature map, ${W.rows} × ${outHeight} × ${outWidth}`;
    requireShape(operation, "head", head, head.rows, map, hint);
    requireF32("head", head);
  }
  const hint = "target has one row per input and one column per output";
  requireShape(operation, "target", target, N, head?.rows ?? map, hint);
  for (const [name, numbers] of Object.entries({ inputs, W, target })) requireF32(name, numbers);
  return geometry;
}

const MATRIX: Rule = {
  words: "a matrix { rows, cols, data } in f64",
  holds: (value) => {
    if (!OBJECT.holds(value)) return false;
    const { rows, cols, data } = value as Matrix;
    return data instanceof Float64Array && data.length === rows * cols;
  },
};
const TENSOR: Rule = {
  words: "numbers { shape: [N, C, H, W], data } in f64",
  holds: (value) => {
    if (!OBJECT.holds(value)) return false;
    const { shape, data } = value as Tensor;
    if (!Array.isArray(shape) || shape.length !== 4 || !shape.every((size) => SIZE.holds(size))) return false;
    return data instanceof Float64Array && data.length === shape.reduce((a, b) => a * b, 1);
  },
};

function requireMatrix(operation: string, operand: string, matrix: Matrix): void {
  must(operation, operand, matrix, MATRIX);
}

function checkDamping(operation: string, damping = 0): void {
  must(operation, "damping", damping, NON_NEGATIVE);
}

function checkMethod(operation: string, method: string | undefined, known: readonly string[]): void {
  if (method === undefined || known.includes(method)) return;
  throw new ArgumentError(operation, "method", `must be one of ${known.join(", ")}, got ${shown(method)}`);
}

function requireF32(name: string, { data }: { data: Float64Array }): void {
  const bad = data.findIndex((x) => !(Math.abs(x) <= LARGEST_F32));
  if (bad < 0) return;
  throw new DataError(name, `holds ${data[bad]} at index ${bad}; pass numbers that are finite in f32`, {
    actual: data[bad],
  });
}
