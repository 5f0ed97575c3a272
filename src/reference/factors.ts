import type { Matrix } from "./matrix.js";

/** Ā (in × in) and B̄ (out × out) of one layer: the means (1/N) Σ A_iA_i' and (1/N) Σ B_iB_i'. */
export interface Factors {
  A: Matrix;
  B: Matrix;
}
