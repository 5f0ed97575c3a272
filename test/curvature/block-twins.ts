/** Blocks of curvature in f64, one layer each: batches in, damped solutions out. */

import type { ApproximationKind, BlockKind } from "../../src/curvature/index.js";
import {
  type Approximation,
  eigenbasisApproximation,
  ekfac,
  expandFactors,
  kfocFactors,
  kroneckerApproximation,
  reduceFactors,
} from "../../src/reference/approximations.js";
import { eigh } from "../../src/reference/eigh.js";
import { emaWeight, precondition, updateFactors } from "../../src/reference/kfac.js";
import { matmul } from "../../src/reference/matmul.js";
import { add, identity, type Matrix, matrix } from "../../src/reference/matrix.js";
import { meanFluctuation } from "../../src/reference/mean-fluctuation.js";
import type { Factors } from "../../src/reference/network.js";
import {
  blockJacobians,
  denseHessian,
  type PositionBlock,
  positionOperator,
} from "../../src/reference/operator.js";
import { solve } from "../../src/reference/solve.js";

export interface BlockTwin {
  /** The groups of a layer; most have one. `treatment` says how positions enter the factors. */
  accumulate(groups: readonly PositionBlock[], G?: Matrix): void;
  refresh(damping: number): void;
  solve(G: Matrix): Matrix;
}

/** (1/N) Σ (Q_B' J Q_A)∘², or J∘² without bases. */
export function moments(block: PositionBlock, basis?: { A: Matrix; B: Matrix }): Matrix {
  const jacobians = blockJacobians(block);
  const out = matrix(jacobians[0]!.rows, jacobians[0]!.cols);
  for (const J of jacobians) {
    const M = basis ? matmul(matmul(basis.B, J, { transposeA: true }), basis.A) : J;
    M.data.forEach((x, k) => {
      out.data[k]! += (x * x) / block.divisor;
    });
  }
  return out;
}

/** The diagonal of H of a layer: its groups' rows of W one below the other. */
export function diagonalOf(groups: readonly PositionBlock[]): Matrix {
  const parts = groups.map((group) => moments(group));
  const rows = parts.reduce((sum, part) => sum + part.rows, 0);
  return { rows, cols: parts[0]!.cols, data: Float64Array.from(parts.flatMap(({ data }) => [...data])) };
}

export function diagonal64(D: Matrix): Approximation {
  return eigenbasisApproximation("diagonal", identity(D.cols), identity(D.rows), D);
}

/** One batch's approximation of a layer with one group. */
export function approximation64(kind: ApproximationKind, block: PositionBlock): Approximation {
  switch (kind) {
    case "diagonal":
      return diagonal64(moments(block));
    case "expand":
      return kroneckerApproximation(kind, expandFactors(block));
    case "expandFactored":
      return kroneckerApproximation(kind, expandFactors(block), "factored");
    case "reduce":
      return kroneckerApproximation(kind, reduceFactors(block));
    case "ekfac":
      return ekfac(block, expandFactors(block));
    case "kfoc":
      return kroneckerApproximation(kind, kfocFactors(block));
    case "meanFluctuation":
      return meanFluctuation(block);
  }
}

type FactorsOf = (block: PositionBlock) => Factors;

export class KroneckerTwin implements BlockTwin {
  mean: Factors | undefined;
  #solved: { factors: Factors; damping: number } | undefined;
  #t = 0;
  readonly #emaDecay: number;
  readonly #factorsOf: FactorsOf;

  constructor(emaDecay: number, factorsOf: FactorsOf = expandFactors) {
    this.#emaDecay = emaDecay;
    this.#factorsOf = factorsOf;
  }

  accumulate([block]: readonly PositionBlock[]): void {
    this.mean = updateFactors(this.mean, this.#factorsOf(block!), ++this.#t, this.#emaDecay);
  }

  refresh(damping: number): void {
    if (this.mean) this.#solved = { factors: this.mean, damping };
  }

  solve(G: Matrix): Matrix {
    if (!this.#solved) return matrix(G.rows, G.cols);
    return precondition(this.#solved.factors, G, this.#solved.damping).update;
  }
}

/** s_B s_A', negative numbers counted as zero. */
function outer(valuesB: ArrayLike<number>, valuesA: ArrayLike<number>): Matrix {
  const D = matrix(valuesB.length, valuesA.length);
  for (let k = 0; k < D.data.length; k++) {
    const [o, i] = [Math.floor(k / D.cols), k % D.cols];
    D.data[k] = Math.max(valuesB[o]!, 0) * Math.max(valuesA[i]!, 0);
  }
  return D;
}

/** (u_o ⊗ v_i)' H (u_o ⊗ v_i) for all columns u of B and v of A, with H on column-major vec(W). */
export function diagonalIn(H: Matrix, { A, B }: { A: Matrix; B: Matrix }): Matrix {
  const D = matrix(B.cols, A.cols);
  for (let o = 0; o < B.cols; o++) {
    for (let i = 0; i < A.cols; i++) {
      const x = Float64Array.from(
        { length: H.rows },
        (_, k) => B.data[(k % B.rows) * B.cols + o]! * A.data[Math.floor(k / B.rows) * A.cols + i]!,
      );
      for (let row = 0; row < H.rows; row++) {
        for (let col = 0; col < H.cols; col++) {
          D.data[o * A.cols + i]! += x[row]! * H.data[row * H.cols + col]! * x[col]!;
        }
      }
    }
  }
  return D;
}

/** Ā ⊗ B̄ + λI, solved as a dense system and not by eigenvectors. */
export class EigenTwin implements BlockTwin {
  mean: Factors | undefined;
  #damped: Matrix | undefined;
  #t = 0;
  readonly #emaDecay: number;

  constructor(emaDecay: number) {
    this.#emaDecay = emaDecay;
  }

  accumulate([block]: readonly PositionBlock[]): void {
    this.mean = updateFactors(this.mean, expandFactors(block!), ++this.#t, this.#emaDecay);
  }

  refresh(damping: number): void {
    if (!this.mean) return;
    const H = kroneckerApproximation("", this.mean).dense();
    for (let k = 0; k < H.rows; k++) H.data[k * (H.cols + 1)]! += damping;
    this.#damped = H;
  }

  solve(G: Matrix): Matrix {
    return this.#damped ? solveDense(this.#damped, G) : matrix(G.rows, G.cols);
  }
}

/** H⁻¹ vec(G), H on column-major vec(W). */
function solveDense(H: Matrix, G: Matrix): Matrix {
  return throughVector(G, (g) => solve(H, g));
}

/** H vec(V), likewise. */
export function appliedDense(H: Matrix, V: Matrix): Matrix {
  return throughVector(V, (v) => matmul(H, v));
}

function throughVector(X: Matrix, change: (column: Matrix) => Matrix): Matrix {
  const at = (k: number) => (k % X.rows) * X.cols + Math.floor(k / X.rows);
  const x = matrix(X.rows * X.cols, 1);
  for (let k = 0; k < x.rows; k++) x.data[k] = X.data[at(k)]!;
  const y = change(x);
  const Y = matrix(X.rows, X.cols);
  for (let k = 0; k < x.rows; k++) Y.data[at(k)] = y.data[k]!;
  return Y;
}

/** The moving mean of H itself, solved as a dense system. */
export class FullTwin implements BlockTwin {
  H: Matrix | undefined;
  #damped: Matrix | undefined;
  #t = 0;
  readonly #emaDecay: number;

  constructor(emaDecay: number) {
    this.#emaDecay = emaDecay;
  }

  accumulate(groups: readonly PositionBlock[]): void {
    const fresh = denseHessian(positionOperator(groups));
    const weight = emaWeight(++this.#t, this.#emaDecay);
    this.H = this.H ? add(this.H, fresh, weight, 1 - weight) : fresh;
  }

  refresh(damping: number): void {
    if (!this.H) return;
    this.#damped = { ...this.H, data: this.H.data.slice() };
    for (let k = 0; k < this.H.rows; k++) this.#damped.data[k * (this.H.cols + 1)]! += damping;
  }

  solve(G: Matrix): Matrix {
    return this.#damped ? solveDense(this.#damped, G) : matrix(G.rows, G.cols);
  }
}

export class EkfacTwin implements BlockTwin {
  mean: Factors | undefined;
  D: Matrix | undefined;
  basis: { A: Matrix; B: Matrix } | undefined;
  #t = 0;
  #count = 0;
  #damping = 0;
  readonly #emaDecay: number;
  readonly #factorsOf: FactorsOf;
  /** Leaves the spectrum as the Kronecker product's own, or starts it afresh with the bases: what EKFAC must not do. */
  readonly #frozen: boolean;
  readonly #restarts: boolean;

  constructor(
    emaDecay: number,
    factorsOf: FactorsOf = expandFactors,
    { frozen = false, restarts = false } = {},
  ) {
    this.#emaDecay = emaDecay;
    this.#factorsOf = factorsOf;
    this.#frozen = frozen;
    this.#restarts = restarts;
  }

  accumulate([block]: readonly PositionBlock[]): void {
    this.mean = updateFactors(this.mean, this.#factorsOf(block!), ++this.#t, this.#emaDecay);
    if (!this.basis || !this.D || this.#frozen) return;
    const weight = emaWeight(++this.#count, this.#emaDecay);
    this.D = add(this.D, moments(block!, this.basis), weight, 1 - weight);
  }

  refresh(damping: number): void {
    if (!this.mean) return;
    const [A, B] = [eigh(this.mean.A), eigh(this.mean.B)];
    const before = this.basis;
    this.basis = { A: A.vectors, B: B.vectors };
    this.#damping = damping;
    this.#count = 1;
    if (this.D && before && !this.#restarts) {
      // The diagonal of what it was, in the new bases: dense, and by another way than the block's.
      const H = eigenbasisApproximation("", before.A, before.B, this.D).dense();
      this.D = diagonalIn(H, this.basis);
      return;
    }
    this.D = outer(B.values, A.values);
  }

  /** H̃. */
  operator(): Approximation {
    return eigenbasisApproximation("ekfac", this.basis!.A, this.basis!.B, this.D!);
  }

  solve(G: Matrix): Matrix {
    return this.D ? this.operator().solve(G, this.#damping) : matrix(G.rows, G.cols);
  }
}

export class DiagonalTwin implements BlockTwin {
  D: Matrix | undefined;
  #t = 0;
  #damping: number | undefined;
  readonly #emaDecay: number;
  readonly #squares: boolean;

  /** `squares`: of the mean gradient, in place of the diagonal of H. */
  constructor(emaDecay: number, squares = false) {
    this.#emaDecay = emaDecay;
    this.#squares = squares;
  }

  accumulate(groups: readonly PositionBlock[], G?: Matrix): void {
    const fresh = this.#squares ? { ...G!, data: G!.data.map((g) => g * g) } : diagonalOf(groups);
    const weight = emaWeight(++this.#t, this.#emaDecay);
    this.D = this.D ? add(this.D, fresh, weight, 1 - weight) : fresh;
  }

  refresh(damping: number): void {
    if (this.D) this.#damping = damping;
  }

  solve(G: Matrix): Matrix {
    if (this.#damping === undefined || !this.D) return matrix(G.rows, G.cols);
    return diagonal64(this.D).solve(G, this.#damping);
  }
}

export class GradientTwin implements BlockTwin {
  accumulate(): void {}
  refresh(): void {}
  solve(G: Matrix): Matrix {
    return G;
  }
}

/** The last batch alone. */
export class BatchTwin implements BlockTwin {
  readonly #kind: ApproximationKind;
  #fit: Approximation | undefined;
  #damping: number | undefined;

  constructor(kind: ApproximationKind) {
    this.#kind = kind;
  }

  accumulate([block]: readonly PositionBlock[]): void {
    this.#fit = approximation64(this.#kind, block!);
  }

  refresh(damping: number): void {
    this.#damping = damping;
  }

  solve(G: Matrix): Matrix {
    if (!this.#fit || this.#damping === undefined) return matrix(G.rows, G.cols);
    return this.#fit.solve(G, this.#damping);
  }
}

export function blockTwin(kind: BlockKind, emaDecay: number): BlockTwin {
  switch (kind) {
    case "kronecker":
      return new KroneckerTwin(emaDecay);
    case "expand":
      return new KroneckerTwin(emaDecay);
    case "reduce":
      return new KroneckerTwin(emaDecay, reduceFactors);
    case "eigen":
      return new EigenTwin(emaDecay);
    case "ekfac":
      return new EkfacTwin(emaDecay);
    case "full":
      return new FullTwin(emaDecay);
    case "diagonal":
      return new DiagonalTwin(emaDecay);
    case "gradient":
      return new GradientTwin();
    default:
      return new BatchTwin(kind.slice("batch:".length) as ApproximationKind);
  }
}
