/**
 * The exact block of the generalised Gauss-Newton matrix (GGN) of one layer, as an operator V ↦ H V on matrices of the
 * layer's shape out × in, never formed (Bulatov 2017, "Piecewise Linear Network" and "Convolutional Network").
 *
 * Column c of example i's transposed Jacobian at the layer's outputs is b_{t,c}, one vector for each position t, so that
 * the derivative of output c in W is J_ic = Σ_t b_{t,c} a_t', and H V = (1/N) Σ_i Σ_c J_ic ⟨J_ic, V⟩.
 */
import { ArgumentError, ShapeError } from "../errors.js";
import { matmul } from "./matmul.js";
import { add, type Matrix, matrix, requireShape, scale, stackRows, unvec, vec } from "./matrix.js";
import { dot } from "./reduce.js";

/** A symmetric linear map on out × in matrices. */
export interface CurvatureOperator {
  /** [out, in]. */
  readonly shape: readonly [number, number];
  /** H V; V and the result are out × in. */
  apply(V: Matrix): Matrix;
}

/** Inputs and derivatives of one layer with T positions (one for a dense layer), for N examples. */
export interface PositionBlock {
  /** A_i, in × T, one per example; the bias input 1 is the last row. */
  A: readonly Matrix[];
  /** `B[i][c]`, out × T: column t is b_{t,c}, the derivative in the layer's output at position t (no 1/N inside). */
  B: readonly (readonly Matrix[])[];
  /** What sums over i and c are divided by: N, or N·samples for Monte-Carlo columns; 1 for a sum loss. */
  divisor: number;
}

/** Inputs and derivatives of all linear layers of a dense network, one example a row. */
export interface CurvatureRows {
  /** A of each linear layer, N × (in + bias). */
  A: Matrix[];
  /**
   * B of each linear layer, (N·columns) × out: row c·N + i is column c of B_i, the derivative of example i's OWN loss
   * (no 1/N inside), one block of N rows per backward pass.
   */
  B: Matrix[];
  /** Columns of each B_i: C for "exact", `samples` for "monteCarlo", 1 for "empirical". */
  columns: number;
  /** Divide Σ bb' by this to get B̄: N, and for "monteCarlo" N·samples. */
  divisor: number;
}

/**
 * [out, in] of a block.
 *
 * @throws ArgumentError for an empty one, ShapeError where its parts disagree.
 */
export function blockShape(block: PositionBlock): [number, number] {
  const a = block.A[0];
  const b = block.B[0]?.[0];
  if (a === undefined || b === undefined) {
    throw new ArgumentError("blockShape", "block", "must hold at least one example and one column, got none");
  }
  if (block.B.length !== block.A.length) {
    throw new ShapeError("blockShape", "B", [block.B.length], [block.A.length], "give one list per example");
  }
  block.A.forEach((A, i) => {
    requireShape("blockShape", `A[${i}]`, A, a.rows, A.cols);
    for (const B of block.B[i]!) requireShape("blockShape", `B[${i}]`, B, b.rows, A.cols);
  });
  return [b.rows, a.rows];
}

/**
 * All J_ic = Σ_t b_{t,c} a_t' of a block, out × in, examples slowest.
 *
 * @throws as `blockShape`.
 */
export function blockJacobians(block: PositionBlock): Matrix[] {
  blockShape(block);
  return block.A.flatMap((A, i) => block.B[i]!.map((B) => matmul(B, A, { transposeB: true })));
}

/**
 * V ↦ (1/divisor) Σ_k J_k ⟨J_k, V⟩ for Jacobians of one shape.
 *
 * @throws ArgumentError for none, ShapeError for Jacobians or a V of another shape.
 */
export function jacobianOperator(jacobians: readonly Matrix[], divisor: number): CurvatureOperator {
  const first = jacobians[0];
  if (first === undefined) {
    throw new ArgumentError("jacobianOperator", "jacobians", "must hold at least one, got none");
  }
  const shape = [first.rows, first.cols] as const;
  jacobians.forEach((J, k) => {
    requireShape("jacobianOperator", `jacobians[${k}]`, J, ...shape);
  });
  return {
    shape,
    apply(V) {
      requireShape("jacobianOperator", "V", V, ...shape);
      const out = matrix(...shape);
      for (const J of jacobians) {
        const weight = dot(J, V) / divisor;
        for (let k = 0; k < out.data.length; k++) out.data[k]! += weight * J.data[k]!;
      }
      return out;
    },
  };
}

/**
 * The exact GGN block of a layer with positions. Several blocks are the groups of one grouped convolution: their rows are
 * stacked (J_ic too), so the curvature between groups is kept. Holds all J_ic: N·C·out·in numbers.
 *
 * @throws ArgumentError for no blocks or empty ones, ShapeError where their parts disagree.
 */
export function positionOperator(blocks: PositionBlock | readonly PositionBlock[]): CurvatureOperator {
  const list: readonly PositionBlock[] = "divisor" in blocks ? [blocks] : blocks;
  const parts = list.map(blockJacobians);
  const first = parts[0];
  if (first === undefined) {
    throw new ArgumentError("positionOperator", "blocks", "must hold at least one, got none");
  }
  const jacobians = first.map((_, k) => stackRows(parts.map((part) => part[k]!)));
  return jacobianOperator(jacobians, list[0]!.divisor);
}

/** One example of a piecewise linear network: A_i in × T, B_i out × C, prediction B_i'WA_i. */
export interface MatrixExample {
  A: Matrix;
  B: Matrix;
}

/**
 * V ↦ alpha · Σ_i B_iB_i' V A_iA_i', the note's H = Σ_i A_iA_i' ⊗ B_iB_i'; alpha is 1/N for the mean loss and defaults to 1.
 * Here every (column of A_i, column of B_i) is an output of its own.
 *
 * @throws ArgumentError for none, ShapeError for examples or a V of another shape.
 */
export function kroneckerSumOperator(examples: readonly MatrixExample[], alpha = 1): CurvatureOperator {
  const first = examples[0];
  if (first === undefined) {
    throw new ArgumentError("kroneckerSumOperator", "examples", "must hold at least one, got none");
  }
  const shape = [first.B.rows, first.A.rows] as const;
  examples.forEach(({ A, B }, i) => {
    requireShape("kroneckerSumOperator", `examples[${i}].A`, A, shape[1], A.cols);
    requireShape("kroneckerSumOperator", `examples[${i}].B`, B, shape[0], B.cols);
  });
  return {
    shape,
    apply(V) {
      requireShape("kroneckerSumOperator", "V", V, ...shape);
      let out = matrix(...shape);
      for (const { A, B } of examples) {
        // B (B'VA) A': two thin products on each side, no Gram matrix.
        const inner = matmul(matmul(B, V, { transposeA: true }), A);
        out = add(out, matmul(matmul(B, inner), A, { transposeB: true }), 1, alpha);
      }
      return out;
    },
  };
}

/** The operator of one Kronecker product, V ↦ B̄ V Ā. */
export function kroneckerOperator(A: Matrix, B: Matrix): CurvatureOperator {
  return {
    shape: [B.rows, A.rows],
    apply: (V) => matmul(matmul(B, V), A),
  };
}

/**
 * A block of the examples of a piecewise linear network: output (t, c) has the derivative b_c at position t and 0 at the
 * others, so `B[i]` holds T·C matrices out × T (t slowest). A per-position loss, in the terms of `PositionBlock`.
 */
export function perPositionBlock(
  examples: readonly MatrixExample[],
  divisor = examples.length,
): PositionBlock {
  return {
    A: examples.map(({ A }) => A),
    B: examples.map(({ A, B }) =>
      Array.from({ length: A.cols * B.cols }, (_, k) => {
        const t = Math.floor(k / B.cols);
        const out = matrix(B.rows, A.cols);
        for (let o = 0; o < B.rows; o++) out.data[o * A.cols + t] = B.data[o * B.cols + (k % B.cols)]!;
        return out;
      }),
    ),
    divisor,
  };
}

/**
 * The block (one position) of dense layer `layer`.
 *
 * @throws ArgumentError for a layer that is not there.
 */
export function denseBlock(rows: CurvatureRows, layer: number): PositionBlock {
  const A = rows.A[layer];
  const B = rows.B[layer];
  if (A === undefined || B === undefined) {
    throw new ArgumentError("denseBlock", "layer", `must be from 0 to ${rows.A.length - 1}, got ${layer}`);
  }
  const column = (m: Matrix, row: number) =>
    matrix(m.cols, 1, m.data.slice(row * m.cols, (row + 1) * m.cols));
  const N = A.rows;
  return {
    A: Array.from({ length: N }, (_, i) => column(A, i)),
    B: Array.from({ length: N }, (_, i) =>
      Array.from({ length: rows.columns }, (_, c) => column(B, c * N + i)),
    ),
    divisor: rows.divisor,
  };
}

/** H formed, (out·in) × (out·in), on column-major vec(W): column k is vec(H E_k). For small sizes. */
export function denseHessian(operator: CurvatureOperator): Matrix {
  const [rows, cols] = operator.shape;
  const n = rows * cols;
  const H = matrix(n, n);
  for (let k = 0; k < n; k++) {
    const unit = matrix(n, 1);
    unit.data[k] = 1;
    const column = vec(operator.apply(unvec(unit, rows, cols)));
    for (let r = 0; r < n; r++) H.data[r * n + k] = column.data[r]!;
  }
  return H;
}

/** operator + λI. */
export function dampedOperator(operator: CurvatureOperator, lambda: number): CurvatureOperator {
  return { shape: operator.shape, apply: (V) => add(operator.apply(V), scale(V, lambda)) };
}
