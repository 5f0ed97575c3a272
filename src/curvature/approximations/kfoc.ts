import { copy, type Matrix, matmul, multiplyPacked, padded, paddedView, reduce } from "../../linalg/index.js";
import { scoped } from "../../linalg/layout/scoped.js";
import { recordSplitSum } from "../../linalg/products/split.js";
import type { Recorder } from "../../pipeline/index.js";
import { scratchRows } from "../blocks/examples.js";
import { project, weigh } from "../kernels/contract.js";
import { type ExampleRows, formJacobians } from "../kernels/jacobian.js";
import { scaleByRoot } from "../kernels/spectrum.js";
import { expandFactors, type FactorPair } from "./position-factors.js";

/** Most numbers of the Jacobians that are formed at once. */
const CHUNK_LENGTH = 2 ** 21;

type Rows = ExampleRows & { divisor: number };

/**
 * Records the Kronecker product nearest to H in the Frobenius norm (KPSVD of Van Loan & Pitsianis 1993; KFOC of Schnaus et
 * al. 2021): power iteration on the rearranged H, from the factors of "expand". For a fixed Ā the best B̄ is
 * (1/N) Σ J Ā J' / ‖Ā‖², for a fixed B̄ the best Ā is (1/N) Σ J' B̄ J / ‖B̄‖². Ends with ‖Ā‖ = 1. With several positions,
 * Jacobians are formed, at most `chunkLength` numbers at a time.
 */
export function kfocFactors(
  recorder: Recorder,
  rows: Rows,
  into: FactorPair,
  iterations: number,
  chunkLength = CHUNK_LENGTH,
): void {
  expandFactors(recorder, rows, into);
  scoped(recorder, (inner) => {
    const sides = { A: sideOf(inner, rows, "A", chunkLength), B: sideOf(inner, rows, "B", chunkLength) };
    for (let k = 0; k <= iterations; k++) {
      if (k > 0) nextFactor(inner, rows, into.B, into.A, sides.A);
      nextFactor(inner, rows, into.A, into.B, sides.B);
    }
  });
}

/** What the sums for one factor go over. */
interface Side {
  factor: "A" | "B";
  /** Jacobians side by side, J' for B̄ and J for Ā: `height` rows, `width` columns of each; none with one position. */
  wide: Matrix | undefined;
  height: number;
  width: number;
  /** Jacobians that `wide` holds at a time; all of them are formed once, where they fit. */
  chunk: number;
  /** Whether `wide` holds all of them already. */
  formed: boolean;
}

function sideOf(
  recorder: Recorder,
  { a, b, count, columns, positions }: Rows,
  factor: "A" | "B",
  chunkLength: number,
): Side {
  // B̄ sums J Ā J', with Ā (in × in) applied to all J' side by side; Ā sums J' B̄ J, with B̄ applied to all J.
  const [height, width] = factor === "B" ? [a.cols, b.cols] : [b.cols, a.cols];
  const fitting = Math.max(1, Math.floor(chunkLength / (height * padded(width))));
  const chunk = Math.min(count * columns, fitting);
  if (positions === 1) return { factor, wide: undefined, height, width, chunk, formed: false };
  const wide = scratchRows(recorder, height, chunk * padded(width));
  return { factor, wide, height, width, chunk, formed: false };
}

/** Normalises the one factor and computes the other from it. */
function nextFactor(recorder: Recorder, rows: Rows, from: Matrix, to: Matrix, side: Side): void {
  scoped(recorder, (inner) => {
    const sums = inner.scratch(4);
    const unit = scratchRows(inner, from.rows, from.rows);
    reduce(inner, sums, [{ x: from, y: from, index: 0 }]);
    scaleByRoot(inner, { X: from, sums, index: 0, into: unit });
    if (side.wide) sumJacobians(inner, rows, unit, to, side, side.wide);
    else sumVectors(inner, rows, unit, to, side.factor);
    // The normalised factor is the one that belongs with the other.
    if (side.factor === "B") copy(inner, { source: unit, target: from });
  });
}

/** One position: J = b a', so B̄ = (1/N) Σ_i (a_i' Ā a_i) Σ_c b_ic b_ic', and Ā = (1/N) Σ_i (Σ_c b_ic' B̄ b_ic) a_i a_i'. */
function sumVectors(recorder: Recorder, rows: Rows, factor: Matrix, into: Matrix, side: "A" | "B"): void {
  const { a, b, count: N, columns: C, divisor } = rows;
  const [own, other] = side === "B" ? [a, b] : [b, a];
  const [ownColumns, otherColumns] = side === "B" ? [1, C] : [C, 1];
  const images = scratchRows(recorder, own.rows, own.cols);
  const y = recorder.scratch(N);
  matmul(recorder, { A: own, B: factor, into: images });
  const steps = { examples: N, columns: 1, y };
  const along = { example: 1, position: N };
  project(recorder, { ...steps, positions: ownColumns, b: own, bSteps: along, z: images, zSteps: along });
  const weighed = scratchRows(recorder, other.rows, other.cols);
  weigh(recorder, { ...steps, positions: otherColumns, b: other, bSteps: along, z: weighed, zSteps: along });
  recordSplitSum(recorder, into, other.rows, (sum) => sum.product(other, weighed, 1 / divisor));
}

/** Several positions: the Jacobians themselves, a bounded number at a time, side by side as one wide matrix. */
function sumJacobians(
  recorder: Recorder,
  rows: Rows,
  unit: Matrix,
  into: Matrix,
  side: Side,
  wide: Matrix,
): void {
  const { height, width, chunk } = side;
  const total = rows.count * rows.columns;
  // The same numbers with the Jacobians one below the other.
  const stacked = (view: Matrix, K: number) => paddedView(view.buffer, 0, height * K, width);
  const images = scratchRows(recorder, height, chunk * padded(width));
  recordSplitSum(recorder, into, height * chunk, (sum) => {
    for (let first = 0; first < total; first += chunk) {
      const K = Math.min(chunk, total - first);
      const all = K * padded(width);
      const X = paddedView(wide.buffer, 0, height, all);
      const Y = paddedView(images.buffer, 0, height, all);
      if (chunk < total || !side.formed) formSide(recorder, rows, side, X, { first, count: K });
      multiplyPacked(recorder, [{ A: unit, B: X, C: Y, transposed: false, alpha: 1, beta: 0 }]);
      sum.product(stacked(X, K), stacked(Y, K), 1 / rows.divisor);
    }
  });
  side.formed = true;
}

function formSide(
  recorder: Recorder,
  rows: Rows,
  { factor, width }: Side,
  X: Matrix,
  range: { first: number; count: number },
): void {
  const [row, column] = factor === "B" ? [1, X.stride] : [X.stride, 1];
  formJacobians(recorder, rows, range, { buffer: X.buffer, row, example: padded(width), column });
}
