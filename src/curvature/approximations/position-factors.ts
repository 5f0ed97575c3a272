import { gram, type Matrix, padded } from "../../linalg/index.js";
import { scoped } from "../../linalg/layout/scoped.js";
import type { Recorder } from "../../pipeline/index.js";
import { scratchRows } from "../blocks/examples.js";
import type { ExampleRows } from "../kernels/jacobian.js";
import { centrePositions, sumPositions } from "../kernels/positions.js";

/** A pair of factors: A in × in, B out × out, own buffers without offset. */
export interface FactorPair {
  A: Matrix;
  B: Matrix;
}

type Rows = ExampleRows & { divisor: number };

/**
 * Records the factors of "expand" (KFC, Grosse & Martens 2016; Eschenhagen et al. 2023), positions taken as further
 * examples: Ā = (1/(N·T)) Σ_i Σ_t a_t a_t', B̄ = (1/N) Σ_i Σ_c Σ_t b_{t,c} b_{t,c}'.
 */
export function expandFactors(recorder: Recorder, rows: Rows, { A, B }: FactorPair): void {
  const { a, b, count, positions, divisor } = rows;
  gram(recorder, { A: a, examples: "rows", into: A, alpha: 1 / (count * positions) });
  gram(recorder, { A: b, examples: "rows", into: B, alpha: 1 / divisor });
}

/**
 * Records the factors of "reduce" (Eschenhagen et al. 2023): of the mean of a_t over positions and the sum of b_{t,c}.
 * Ā = (1/N) Σ_i ā_i ā_i', B̄ = (1/N) Σ_i Σ_c (Σ_t b_{t,c})(Σ_t b_{t,c})'.
 */
export function reduceFactors(recorder: Recorder, rows: Rows, { A, B }: FactorPair): void {
  const { a, b, count, columns, positions: T, divisor } = rows;
  scoped(recorder, (inner) => {
    const means = scratchRows(inner, count, a.cols);
    const sums = scratchRows(inner, columns * count, b.cols);
    sumPositions(inner, { x: a, positions: T, factor: 1 / T, into: means });
    sumPositions(inner, { x: b, positions: T, factor: 1, into: sums });
    gram(inner, { A: means, examples: "rows", into: A, alpha: 1 / count });
    gram(inner, { A: sums, examples: "rows", into: B, alpha: 1 / divisor });
  });
}

/**
 * Records the factors of the fluctuations round the means over positions, ã_t = a_t − ā and b̃_t likewise:
 * Ã = (1/(N(T − 1))) Σ_i Σ_t ã_t ã_t', B̃ = (1/N) Σ_i Σ_c Σ_t b̃_{t,c} b̃_{t,c}'; zero at one position. The T − 1 is
 * what inputs and derivatives that are independent from position to position ask for.
 */
export function fluctuationFactors(recorder: Recorder, rows: Rows, { A, B }: FactorPair): void {
  const { a, b, count, positions: T, divisor } = rows;
  scoped(recorder, (inner) => {
    const inputs = scratchRows(inner, a.rows, a.cols);
    const derivatives = scratchRows(inner, b.rows, b.cols);
    centrePositions(inner, { x: a, positions: T, into: inputs });
    centrePositions(inner, { x: b, positions: T, into: derivatives });
    gram(inner, { A: inputs, examples: "rows", into: A, alpha: 1 / (count * Math.max(T - 1, 1)) });
    gram(inner, { A: derivatives, examples: "rows", into: B, alpha: 1 / divisor });
  });
}

/** Numbers that a square matrix of n rows takes. */
export function squareLength(n: number): number {
  return n * padded(n);
}
