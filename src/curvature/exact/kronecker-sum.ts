import { ANYTHING, must, NUMBER, OBJECT, oneOf, optionsOf, type Rules, SIZE } from "../../arguments.js";
import { ArgumentError, ShapeError } from "../../errors.js";
import {
  checkView,
  type Matrix,
  type MatrixView,
  multiplyPacked,
  packExamples,
  packed,
  padded,
  paddedView,
  requireShape,
} from "../../linalg/index.js";
import type { Recorder } from "../../pipeline/index.js";
import { project, weigh } from "../kernels/contract.js";
import type { CurvatureOperator } from "./operator.js";

/** The examples of a piecewise linear network, on the caller's buffers. */
export interface KroneckerSumExamples {
  /** A_i, in × T: one matrix per example, or all side by side, in × (N · T). */
  A: MatrixView | readonly MatrixView[];
  /** B_i, out × C: one matrix per example, or all side by side, out × (N · C). */
  B: MatrixView | readonly MatrixView[];
  /** N, where A and B are single matrices. */
  examples?: number;
  /** `"columns"` as above (the default), or `"rows"`: A is (N · T) × in and B (N · C) × out; aligned rows are not copied. */
  layout?: "columns" | "rows";
  /** α, defaults to 1: 1/N for the mean loss. */
  alpha?: number;
}

const OPTIONS: Rules<KroneckerSumExamples> = {
  A: ANYTHING,
  B: ANYTHING,
  examples: SIZE,
  layout: oneOf("columns", "rows"),
  alpha: NUMBER,
};

/**
 * The exact Hessian of the note's second network, V ↦ α Σ_i B_iB_i' V A_iA_i', never formed (Bulatov 2017, "Piecewise
 * Linear Network"): H = Σ_i A_iA_i' ⊗ B_iB_i'. Nothing is kept; the views are read at each product.
 *
 * @throws ShapeError when A and B do not have the same number of examples of one shape.
 */
export function kroneckerSum(examples: KroneckerSumExamples): CurvatureOperator {
  must("kroneckerSum", "examples", examples, OBJECT);
  const { layout = "columns", alpha = 1 } = optionsOf("kroneckerSum", OPTIONS, examples);
  const A = checkSide("A", examples.A, layout, examples.examples);
  const B = checkSide("B", examples.B, layout, examples.examples);
  const N = A.count;
  if (B.count !== N) throw new ShapeError("kroneckerSum", "B", [B.count], [N], "give one B for each A");
  const [T, C] = [A.width, B.width];
  const [rows, cols] = [B.features, A.features];
  return {
    rows,
    cols,
    apply(recorder: Recorder, V: Matrix, into: Matrix): void {
      requireShape("kroneckerSum", "V", V, rows, cols);
      requireShape("kroneckerSum", "into", into, rows, cols);
      const a = packExamples(recorder, A.parts, { examples: layout });
      const b = packExamples(recorder, B.parts, { examples: layout });
      const scratch = (length: number) => recorder.scratch(length);
      const z = paddedView(scratch(N * T * padded(rows)), 0, N * T, rows);
      const s = paddedView(scratch(N * T * padded(rows)), 0, N * T, rows);
      const y = scratch(C * N * T);
      // Rows (V a)' of all columns a, then B_iB_i' on each, then Σ s a'.
      const product = { transposed: false, alpha: 1, beta: 0 };
      multiplyPacked(recorder, [
        { A: packed(recorder, a, true), B: packed(recorder, V, true), C: z, ...product },
      ]);
      const steps = {
        examples: N * T,
        columns: C,
        positions: 1,
        b,
        bSteps: { column: 1, example: C },
        share: T,
        zSteps: { example: 1 },
        y,
      };
      project(recorder, { ...steps, z });
      weigh(recorder, { ...steps, z: s });
      multiplyPacked(recorder, [{ A: s, B: a, C: into, ...product, alpha }]);
    },
  };
}

interface Side {
  parts: Matrix[];
  count: number;
  /** Columns of one example. */
  width: number;
  features: number;
}

function checkSide(
  operand: string,
  views: MatrixView | readonly MatrixView[],
  layout: "columns" | "rows",
  examples: number | undefined,
): Side {
  const list = (Array.isArray(views) ? views : [views]) as readonly MatrixView[];
  const parts = list.map((view, i) =>
    checkView("kroneckerSum", list.length > 1 ? `${operand}[${i}]` : operand, view),
  );
  const first = parts[0];
  if (!first) throw new ArgumentError("kroneckerSum", operand, "must hold at least one example");
  for (const [i, part] of parts.entries()) {
    requireShape("kroneckerSum", `${operand}[${i}]`, part, first.rows, first.cols);
  }
  const [columns, features] = layout === "rows" ? [first.rows, first.cols] : [first.cols, first.rows];
  const count = parts.length > 1 ? parts.length : (examples ?? 1);
  const width = parts.length > 1 ? columns : columns / count;
  if (examples !== undefined && examples !== count) {
    throw new ArgumentError(
      "kroneckerSum",
      "examples",
      `must be ${count}, the matrices given, got ${examples}`,
    );
  }
  if (!Number.isInteger(width)) {
    throw new ArgumentError(
      "kroneckerSum",
      "examples",
      `must divide the ${columns} columns of ${operand}, got ${count}`,
    );
  }
  return { parts, count, width, features };
}
