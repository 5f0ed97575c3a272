/** Solution of symmetric positive definite systems. */
import { ArgumentError, NotPositiveDefiniteError } from "../errors.js";
import { cholesky, STATUS_NON_FINITE, solveLower, solveLowerTransposed } from "./cholesky.js";
import { addDiagonal, type Matrix, requireShape, requireSquare } from "./matrix.js";

/**
 * X with (S + damping·I) X = B, by Cholesky. S is n × n, B and X are n × m.
 * `damping` defaults to 0.
 *
 * @throws NotPositiveDefiniteError for a singular or indefinite S, ArgumentError for non-finite numbers or a negative
 * damping, ShapeError for sizes that disagree.
 */
export function solve(S: Matrix, B: Matrix, damping = 0): Matrix {
  requireSquare("solve", "S", S);
  requireShape("solve", "B", B, S.rows, B.cols);
  if (!(damping >= 0)) {
    throw new ArgumentError("solve", "damping", `must be a number that is not negative, got ${damping}`);
  }
  const { lower, status, firstClampedPivot } = cholesky(addDiagonal(S, damping));
  if (status === STATUS_NON_FINITE) {
    throw new ArgumentError("solve", "S", "holds NaN or infinity; pass finite numbers");
  }
  if (status !== 0) throw new NotPositiveDefiniteError("solve", "S", firstClampedPivot);
  return solveLowerTransposed(lower, solveLower(lower, B));
}
