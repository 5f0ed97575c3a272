import { requireNumbers } from "../../arguments.js";
import { ShapeError } from "../../errors.js";
import type { Recorder } from "../../pipeline/index.js";
import { problemsOf } from "../layout/operands.js";
import { packed, packedTarget } from "../layout/pack.js";
import {
  checkView,
  type Matrix,
  type MatrixView,
  paddedLength,
  paddedView,
  requireDistinct,
  requireShape,
} from "../layout/view.js";
import { multiplyPacked } from "./matmul.js";

/** U ← α P G Q with symmetric P (m × m) and Q (n × n): the preconditioned gradient (BB')⁻¹ G (AA')⁻¹. */
export interface SandwichOperands {
  P: MatrixView;
  /** m × n. */
  G: MatrixView;
  Q: MatrixView;
  into: MatrixView;
  /** Defaults to 1. */
  alpha?: number;
}

/**
 * Records sandwiched products, two dispatches for all that share their buffers. P and Q are read as if symmetric: P's
 * columns and Q's rows.
 *
 * @throws ShapeError when the shapes do not fit, ArgumentError when `into` lies in the buffer of an operand.
 */
export function sandwich(recorder: Recorder, problems: SandwichOperands | readonly SandwichOperands[]): void {
  const list = problemsOf("sandwich", recorder, "problems", problems, true);
  const checked = list.map(checkOperands);
  let length = 0;
  const offsets = checked.map(({ G }) => {
    const offset = length;
    length += paddedLength(G.cols, G.rows);
    return offset;
  });
  const half = recorder.scratch(length);
  const after: (() => void)[] = [];
  const ready = checked.map(({ P, G, Q, U, alpha }, index) => {
    const { target, unpack } = packedTarget(recorder, U, false);
    after.push(unpack);
    return {
      P: packed(recorder, P, false),
      G: packed(recorder, G, false),
      Q: packed(recorder, Q, false),
      // (P G)', so that both products read their operands along rows.
      half: paddedView(half, offsets[index]!, G.cols, G.rows),
      U: target,
      alpha,
    };
  });
  multiplyPacked(
    recorder,
    ready.map(({ P, G, half: C }) => ({ A: P, B: G, C, transposed: true, alpha: 1, beta: 0 })),
  );
  multiplyPacked(
    recorder,
    ready.map(({ Q, half: A, U, alpha }) => ({ A, B: Q, C: U, transposed: false, alpha, beta: 0 })),
  );
  for (const unpack of after) unpack();
}

function checkOperands(operands: SandwichOperands): {
  P: Matrix;
  G: Matrix;
  Q: Matrix;
  U: Matrix;
  alpha: number;
} {
  requireNumbers("sandwich", { alpha: operands.alpha });
  const G = checkView("sandwich", "G", operands.G);
  const P = checkView("sandwich", "P", operands.P);
  const Q = checkView("sandwich", "Q", operands.Q);
  const U = checkView("sandwich", "into", operands.into);
  for (const [name, view, size] of [
    ["P", P, G.rows],
    ["Q", Q, G.cols],
  ] as const) {
    if (view.rows !== size || view.cols !== size) {
      const hint = `G is [${G.rows} × ${G.cols}]`;
      throw new ShapeError("sandwich", name, [view.rows, view.cols], [size, size], hint);
    }
  }
  requireShape("sandwich", "into", U, G.rows, G.cols);
  requireDistinct(
    "sandwich",
    ["into", U],
    [
      ["P", P],
      ["G", G],
      ["Q", Q],
    ],
  );
  return { P, G, Q, U, alpha: operands.alpha ?? 1 };
}
