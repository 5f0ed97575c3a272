/**
 * Newton's method for the note's linear network (Bulatov 2017, "Linear Network" and "Piecewise Linear Network"):
 * prediction B'WA, error e = target − B'WA, loss J = ½ tr(e'e), gradient G = −B e A', Hessian AA' ⊗ BB', step
 * −(BB')⁻¹ G (AA')⁻¹.
 */
import { ArgumentError } from "../errors.js";
import { piDamping, requireDamping } from "./damping.js";
import { gram } from "./gram.js";
import { invert } from "./invert.js";
import { matmul } from "./matmul.js";
import { add, kronecker, type Matrix, matrix, requireShape, scale, subtract, unvec, vec } from "./matrix.js";
import { pinv, rank } from "./rank.js";
import { dot, trace } from "./reduce.js";
import { sandwich } from "./sandwich.js";
import { solve } from "./solve.js";

/** One linear network, or one example of a piecewise linear one. */
export interface NewtonExample {
  /** in × n: the layer's inputs, one column per example or position. */
  A: Matrix;
  /** out × c: the transposed Jacobian of the outputs in z = W A. */
  B: Matrix;
  /** c × n: the Ŷ that B'WA should reach. */
  target: Matrix;
}

interface CommonOptions {
  /** out × in. */
  W: Matrix;
  /**
   * λ ≥ 0 on the scale of J's own Hessian, J a sum over examples (for λ on the mean loss pass N·λ); defaults to 0.
   * "kfac" damps by the factored form, both factors with the π-weighted √λ (`piDamping`), also for one linear network;
   * "exact" adds λ to the Hessian's diagonal.
   */
  damping?: number;
}

/** Operands and options of `newtonStep`: one linear network, or several examples with one W. */
export type NewtonOptions =
  | (NewtonExample & CommonOptions)
  | (CommonOptions & {
      /** J = Σ_i J_i; every example has the same W and its own A_i, B_i, target_i. */
      examples: readonly NewtonExample[];
      /**
       * "kfac" (default): the sum of Kronecker products replaced by a product of sums. "exact": H = Σ_i A_iA_i' ⊗ B_iB_i'
       * formed and solved, for small sizes.
       */
      method?: "kfac" | "exact";
      /**
       * Scale of the "kfac" Hessian. "hessian" (default): (1/N)(Σ A_iA_i') ⊗ (Σ B_iB_i'), which is H itself where all
       * B_i (or all A_i) are alike, and gives the same step for a batch and its duplicate. "note": the product of sums
       * as the note writes it, N times larger, so the step is N times shorter.
       */
      scale?: "hessian" | "note";
    });

/** What a Newton step leaves. */
export interface NewtonResult {
  /** J at the W passed in. */
  loss: number;
  /** G = −Σ B e A', out × in. */
  gradient: Matrix;
  /** Σ A_iA_i', in × in. */
  AAt: Matrix;
  /** Σ B_iB_i', out × out. */
  BBt: Matrix;
  /**
   * Inverse of AAt, damped when `damping` > 0, a pseudo-inverse where AAt is singular and damping is 0; in × in. For
   * several examples it is of the plain sum; the factor N of "hessian" is in the step.
   */
  AAtInverse: Matrix;
  /** The same for BBt, out × out. */
  BBtInverse: Matrix;
  /** Numerical ranks of AAt and BBt; full ranks are in and out. */
  rankA: number;
  rankB: number;
  /** The change of W, out × in: −H⁻¹G. */
  step: Matrix;
  /** W + step. */
  W: Matrix;
}

/**
 * One Newton step. From any W, and with damping 0, one linear network lands on a minimiser of J; where AA' or BB' is
 * singular it is the one nearest to W (pseudo-inverses), and `rankA`, `rankB` say so.
 *
 * @throws ShapeError for operands that do not fit, ArgumentError for a negative damping or no examples.
 */
export function newtonStep(options: NewtonOptions): NewtonResult {
  const { W, damping = 0 } = options;
  requireDamping("newtonStep", damping);
  const several = "examples" in options;
  const examples: readonly NewtonExample[] = several ? options.examples : [options];
  if (examples.length === 0)
    throw new ArgumentError("newtonStep", "examples", "must hold at least one, got none");
  const method = several ? (options.method ?? "kfac") : "kfac";
  const factor = several && (options.scale ?? "hessian") === "hessian" ? examples.length : 1;

  let loss = 0;
  let gradient = matrix(W.rows, W.cols);
  examples.forEach((example, i) => {
    const name = (operand: string) => (several ? `examples[${i}].${operand}` : operand);
    requireShape("newtonStep", name("A"), example.A, W.cols, example.A.cols, "A has one row per column of W");
    requireShape("newtonStep", name("B"), example.B, W.rows, example.B.cols, "B has one row per row of W");
    requireShape("newtonStep", name("target"), example.target, example.B.cols, example.A.cols);
    const e = newtonError(example, W);
    loss += 0.5 * dot(e, e);
    gradient = subtract(gradient, matmul(matmul(example.B, e), example.A, { transposeB: true }));
  });
  const AAt = gram({ A: examples.map((x) => x.A) });
  const BBt = gram({ A: examples.map((x) => x.B) });
  const rankA = rank(AAt);
  const rankB = rank(BBt);

  let AAtInverse: Matrix;
  let BBtInverse: Matrix;
  if (damping > 0) {
    // H is (1/factor)·AAt ⊗ BBt, so H + λI is (1/factor)(AAt ⊗ BBt + factor·λ I).
    const { a, b } = piDamping(trace(AAt), W.cols, trace(BBt), W.rows, factor * damping);
    AAtInverse = invert(AAt, { damping: a }).inverse;
    BBtInverse = invert(BBt, { damping: b }).inverse;
  } else {
    AAtInverse = rankA === W.cols ? invert(AAt).inverse : pinv(AAt).inverse;
    BBtInverse = rankB === W.rows ? invert(BBt).inverse : pinv(BBt).inverse;
  }
  const step =
    method === "kfac"
      ? sandwich(BBtInverse, gradient, AAtInverse, -factor)
      : exactStep(examples, gradient, damping);
  return {
    loss,
    gradient,
    AAt,
    BBt,
    AAtInverse,
    BBtInverse,
    rankA,
    rankB,
    step,
    W: add(W, step),
  };
}

/** e = target − B'WA, c × n. */
export function newtonError({ A, B, target }: NewtonExample, W: Matrix): Matrix {
  return subtract(target, matmul(matmul(B, W, { transposeA: true }), A));
}

/**
 * H = Σ_i A_iA_i' ⊗ B_iB_i' on column-major vec(W), formed: (in·out) × (in·out). For small sizes and tests.
 *
 * @throws ArgumentError for no examples, ShapeError for examples of different sizes.
 */
export function newtonHessian(examples: readonly NewtonExample[]): Matrix {
  const first = examples[0];
  if (first === undefined)
    throw new ArgumentError("newtonHessian", "examples", "must hold at least one, got none");
  const n = first.A.rows * first.B.rows;
  let H = matrix(n, n);
  for (const { A, B } of examples) H = add(H, kronecker(gram({ A }), gram({ A: B })));
  return H;
}

function exactStep(examples: readonly NewtonExample[], gradient: Matrix, damping: number): Matrix {
  const H = newtonHessian(examples);
  const g = vec(gradient);
  const delta = damping > 0 ? solve(H, g, damping) : matmul(pinv(H).inverse, g);
  return scale(unvec(delta, gradient.rows, gradient.cols), -1);
}
