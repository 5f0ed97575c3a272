/** Sums of outer products, the twin of the GPU operation `gram`. */
import { ArgumentError, ShapeError } from "../errors.js";
import { type Matrix, matrix, requireShape, shapeOf } from "./matrix.js";

/** Operands and options of `gram`. */
export interface GramOptions {
  /**
   * One matrix whose columns are the examples (and positions), `n × columns`, or one such matrix per example: the sum
   * Σ_i A_i A_i' is the same either way.
   */
  A: Matrix | readonly Matrix[];
  /** Where the columns above lie: "columns" (the note's orientation, the default) or "rows" (one example per row). */
  examples?: "columns" | "rows";
  /** The factor to update in place; defaults to a new matrix of zeros. */
  into?: Matrix;
  /** Weight of the new sum; defaults to 1. Pass 1/N for a mean. */
  alpha?: number;
  /** Weight of the old factor; defaults to 0. With 0 the old content is not read, so it may be anything. */
  beta?: number;
  /** Append a row of ones to each A_i: the input of the bias. The factor is then (n + 1) × (n + 1). Defaults to false. */
  biasRow?: boolean;
}

/**
 * S ← beta·S + alpha·Σ_i A_i A_i' (Bulatov 2017, "Piecewise linear network"). Returns S, which is exactly symmetric
 * when the old S was.
 *
 * @throws ShapeError when the A_i disagree or `into` has another size, ArgumentError for no A.
 */
export function gram(options: GramOptions): Matrix {
  const { A, examples = "columns", alpha = 1, beta = 0, biasRow = false } = options;
  const list: readonly Matrix[] = "data" in A ? [A] : A;
  const first = list[0];
  if (first === undefined) throw new ArgumentError("gram", "A", "must hold at least one matrix, got none");
  const byRows = examples === "rows";
  const size = byRows ? first.cols : first.rows;
  const n = size + (biasRow ? 1 : 0);
  list.forEach((a, i) => {
    if ((byRows ? a.cols : a.rows) !== size) {
      const expected = byRows ? ["examples", size] : [size, "examples"];
      throw new ShapeError("gram", `A[${i}]`, shapeOf(a), expected, "give every example the same size");
    }
  });
  if (options.into) requireShape("gram", "into", options.into, n, n);

  const sum = new Float64Array(n * n);
  const column = new Float64Array(n);
  for (const a of list) {
    const count = byRows ? a.rows : a.cols;
    for (let e = 0; e < count; e++) {
      for (let i = 0; i < size; i++) column[i] = byRows ? a.data[e * a.cols + i]! : a.data[i * a.cols + e]!;
      if (biasRow) column[size] = 1;
      for (let i = 0; i < n; i++) {
        const f = column[i]!;
        for (let j = 0; j <= i; j++) sum[i * n + j]! += f * column[j]!;
      }
    }
  }
  const out = options.into ?? matrix(n, n);
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < n; j++) {
      const value = alpha * (j <= i ? sum[i * n + j]! : sum[j * n + i]!);
      out.data[i * n + j] = beta === 0 ? value : beta * out.data[i * n + j]! + value;
    }
  }
  return out;
}
