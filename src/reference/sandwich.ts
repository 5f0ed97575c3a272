/** The preconditioned update, the twin of the GPU operation `sandwich`. */
import { matmul } from "./matmul.js";
import { type Matrix, requireShape, requireSquare } from "./matrix.js";

/**
 * U = alpha · P G Q (Bulatov 2017: (BB')⁻¹ G (AA')⁻¹). G is out × in; the left factor P is out × out (the output side,
 * from BB'), the right factor Q is in × in (the input side, from AA').
 *
 * @throws ShapeError when a factor does not fit.
 */
export function sandwich(P: Matrix, G: Matrix, Q: Matrix, alpha = 1): Matrix {
  requireSquare("sandwich", "P", P);
  requireSquare("sandwich", "Q", Q);
  requireShape("sandwich", "P", P, G.rows, G.rows, "the left factor has the size of G's rows");
  requireShape("sandwich", "Q", Q, G.cols, G.cols, "the right factor has the size of G's columns");
  return matmul(matmul(P, G), Q, { alpha });
}
