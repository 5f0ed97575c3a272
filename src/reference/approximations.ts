/**
 * Approximations of a layer's exact GGN block H = (1/N) Σ_i Σ_c vec(J_ic) vec(J_ic)', J_ic = Σ_t b_{t,c} a_t', from the
 * layer's inputs a_t and derivatives b_{t,c} (operator.ts). All are on the scale of H, whatever N and T.
 */
import { piDamping, requireDamping } from "./damping.js";
import { eigh } from "./eigh.js";
import type { Factors } from "./factors.js";
import { gram } from "./gram.js";
import { invert } from "./invert.js";
import { matmul } from "./matmul.js";
import { add, hadamard, kronecker, type Matrix, matrix, requireShape, scale } from "./matrix.js";
import { blockJacobians, type CurvatureOperator, denseHessian, type PositionBlock } from "./operator.js";
import { norm, trace } from "./reduce.js";
import { sandwich } from "./sandwich.js";

/** An approximation H̃ of a layer's curvature, positive semi-definite. */
export interface Approximation extends CurvatureOperator {
  readonly name: string;
  /**
   * (H̃ + λI)⁻¹ G, λ ≥ 0. Each approximation says where its damping is other than λI. At λ = 0 directions of zero
   * curvature are left out, as far as they are told apart from rounding.
   */
  solve(G: Matrix, damping: number): Matrix;
  /** H̃ formed, (out·in) × (out·in) on column-major vec. */
  dense(): Matrix;
}

/**
 * The factors of "expand" (KFC, Grosse & Martens 2016; KFAC-expand of Eschenhagen et al. 2023):
 * positions are taken as further examples. Ā = (1/(N·T)) Σ_i Σ_t a_t a_t', B̄ = (1/N) Σ_i Σ_c Σ_t b_{t,c} b_{t,c}'.
 * Exact for a deep linear network whose loss is a sum over positions.
 */
export function expandFactors(block: PositionBlock): Factors {
  const T = block.A[0]!.cols;
  return {
    A: gram({ A: block.A, alpha: 1 / (block.A.length * T) }),
    B: gram({ A: block.B.flat(), alpha: 1 / block.divisor }),
  };
}

/**
 * The factors of "reduce" (KFAC-reduce, Eschenhagen et al. 2023): with ā_i the mean of a_t over positions,
 * Ā = (1/N) Σ_i ā_i ā_i' and B̄ = (1/N) Σ_i Σ_c (Σ_t b_{t,c})(Σ_t b_{t,c})'. Exact for a deep linear network in front
 * of a sum or mean over positions.
 */
export function reduceFactors(block: PositionBlock): Factors {
  const T = block.A[0]!.cols;
  return {
    A: gram({ A: block.A.map((A) => rowMeans(A)), alpha: 1 / block.A.length }),
    B: gram({ A: block.B.flat().map((B) => scale(rowMeans(B), T)), alpha: 1 / block.divisor }),
  };
}

/** The mean of a matrix's columns, rows × 1. */
export function rowMeans(m: Matrix): Matrix {
  return matmul(m, matrix(m.cols, 1, new Float64Array(m.cols).fill(1 / m.cols)));
}

/** m with the mean of its columns taken from each. */
export function centred(m: Matrix): Matrix {
  const means = rowMeans(m).data;
  return { ...m, data: m.data.map((x, k) => x - means[Math.floor(k / m.cols)]!) };
}

/**
 * Ā ⊗ B̄. `solve` adds λI to the product ("exact", the default), or damps each factor by the π rule ("factored":
 * (Ā + π√λ I) ⊗ (B̄ + √λ/π I), Martens & Grosse 2015 §6.3).
 */
export function kroneckerApproximation(
  name: string,
  { A, B }: Factors,
  method: "exact" | "factored" = "exact",
): Approximation {
  const eigenA = eigh(A);
  const eigenB = eigh(B);
  const spectrum = outerProduct(positive(eigenB.values), positive(eigenA.values));
  const inBasis = eigenbasisApproximation(name, eigenA.vectors, eigenB.vectors, spectrum);
  return {
    ...inBasis,
    apply: (V) => sandwich(B, V, A),
    solve(G, damping) {
      if (method === "exact" || damping === 0) return inBasis.solve(G, damping);
      const { a, b } = piDamping(trace(A), A.rows, trace(B), B.rows, damping);
      return sandwich(invert(B, { damping: b }).inverse, G, invert(A, { damping: a }).inverse);
    },
    dense: () => kronecker(A, B),
  };
}

const positive = (values: Float64Array) => values.map((x) => Math.max(x, 0));

function outerProduct(column: Float64Array, row: Float64Array): Matrix {
  const out = matrix(column.length, row.length);
  for (let k = 0; k < out.data.length; k++) {
    out.data[k] = column[Math.floor(k / row.length)]! * row[k % row.length]!;
  }
  return out;
}

/**
 * V ↦ Q_B [S ∘ (Q_B' V Q_A)] Q_A' for orthogonal Q_A (in × in), Q_B (out × out) and a spectrum S ≥ 0, out × in: every
 * operator that is diagonal in a Kronecker basis. `solve` adds λ to S; at λ = 0, entries below 1e-13 of the largest are
 * left out.
 *
 * @throws ShapeError for an S of another shape; `apply` and `solve` for operands that do not fit, and ArgumentError for
 * a damping that is negative or not finite.
 */
export function eigenbasisApproximation(name: string, QA: Matrix, QB: Matrix, S: Matrix): Approximation {
  requireShape("eigenbasisApproximation", "S", S, QB.rows, QA.rows);
  const into = (V: Matrix) => matmul(matmul(QB, V, { transposeA: true }), QA);
  const back = (M: Matrix) => matmul(matmul(QB, M), QA, { transposeB: true });
  const approximation: Approximation = {
    name,
    shape: [QB.rows, QA.rows],
    apply(V) {
      requireShape(name, "V", V, QB.rows, QA.rows);
      return back(hadamard(S, into(V)));
    },
    solve(G, damping) {
      requireDamping(name, damping);
      requireShape(name, "G", G, QB.rows, QA.rows);
      const floor = damping > 0 ? 0 : 1e-13 * S.data.reduce((a, b) => Math.max(a, b), 0);
      const M = into(G);
      S.data.forEach((s, k) => {
        M.data[k] = s + damping > floor ? M.data[k]! / (s + damping) : 0;
      });
      return back(M);
    },
    dense: () => denseHessian(approximation),
  };
  return approximation;
}

/**
 * EKFAC (George et al. 2018): the eigenbasis of the pair of factors kept, its eigenvalues replaced by the second
 * moments of the Jacobians in it, S = (1/N) Σ_i Σ_c (Q_B' J_ic Q_A)∘². The best diagonal in that basis, so
 * ‖H − EKFAC‖ ≤ ‖H − Ā ⊗ B̄‖ (Frobenius). One J_ic is a sum over positions before it is squared.
 */
export function ekfac(block: PositionBlock, { A, B }: Factors): Approximation {
  const QA = eigh(A).vectors;
  const QB = eigh(B).vectors;
  const S = matrix(B.rows, A.rows);
  for (const J of blockJacobians(block)) {
    const M = matmul(matmul(QB, J, { transposeA: true }), QA);
    M.data.forEach((x, k) => {
      S.data[k]! += (x * x) / block.divisor;
    });
  }
  return eigenbasisApproximation("ekfac", QA, QB, S);
}

/** Options of `kfocFactors`. */
export interface KfocOptions {
  /** Where to begin; defaults to the factors of `expand`. The error never exceeds that of the start. */
  start?: Factors;
  /** Stop when ‖Ā‖‖B̄‖ grows by less than this in relative terms; defaults to 1e-13. */
  tolerance?: number;
  /** Defaults to 1,000. */
  maxIterations?: number;
}

/**
 * The Kronecker product nearest to H in the Frobenius norm (KPSVD of Van Loan & Pitsianis 1993; KFOC of Schnaus et al.
 * 2021): power iteration on the rearranged H, matrix-free. For a fixed Ā the best B̄ is (1/N) Σ J Ā J' / ‖Ā‖², and for a
 * fixed B̄ the best Ā is (1/N) Σ J' B̄ J / ‖B̄‖². Both stay positive semi-definite. Returned with tr Ā = in.
 */
export function kfocFactors(block: PositionBlock, options: KfocOptions = {}): Factors {
  const { tolerance = 1e-13, maxIterations = 1000 } = options;
  const jacobians = blockJacobians(block);
  let { A, B } = options.start ?? expandFactors(block);
  let size = 0;
  for (let k = 0; k < maxIterations; k++) {
    const a = norm(A);
    if (a === 0) break;
    B = matrix(B.rows, B.rows);
    for (const J of jacobians) B = add(B, matmul(matmul(J, A), J, { transposeB: true }));
    B = scale(B, 1 / (block.divisor * a * a));
    const b = norm(B);
    if (b === 0) break;
    A = matrix(A.rows, A.rows);
    for (const J of jacobians) A = add(A, matmul(matmul(J, B, { transposeA: true }), J));
    A = scale(A, 1 / (block.divisor * b * b));
    const next = norm(A) * b;
    if (Math.abs(next - size) <= tolerance * next) break;
    size = next;
  }
  const balance = A.rows / trace(A);
  return Number.isFinite(balance) ? { A: scale(A, balance), B: scale(B, 1 / balance) } : { A, B };
}
