/**
 * The note's convolution (Bulatov 2017, "Convolutional Network"): W is a function of fewer parameters U, in two readings.
 *
 * - Left tiling, W = K U. Then dW = K dU, vec(dW) = (I ⊗ K) vec(dU), and
 *   H_u = (I ⊗ K')(AA' ⊗ BB')(I ⊗ K) = AA' ⊗ K'BB'K: still one Kronecker product.
 * - True convolution. The matrix W that takes a whole input x to all outputs z repeats the kernel at each position:
 *   W = Σ_t S_t' U P_t, vec(W) = T vec(U) with T = Σ_t P_t' ⊗ S_t', where P_t x is the patch under position t and
 *   S_t z the outputs there. Then H_u = T'(AA' ⊗ BB')T = Σ_{t,s} Ω_ts ⊗ Γ_ts with Ω_ts = P_t AA' P_s' and
 *   Γ_ts = S_t BB' S_s', which no inverse of factors solves.
 *
 * vec is column-major. Everything here is formed, for small sizes.
 */
import { ArgumentError } from "../errors.js";
import { type ConvGeometry, visitPatches } from "./conv.js";
import { gram } from "./gram.js";
import { matmul } from "./matmul.js";
import { add, kronecker, type Matrix, matrix, requireShape } from "./matrix.js";
import type { MatrixExample } from "./operator.js";

/**
 * The factors of left tiling, H_u = A ⊗ B: AA' (in × in) and K'BB'K (tiles × tiles), for K out × tiles.
 *
 * @throws ShapeError for a K of another height.
 */
export function leftTilingFactors(K: Matrix, { A, B }: MatrixExample): { A: Matrix; B: Matrix } {
  requireShape("leftTilingFactors", "K", K, B.rows, K.cols, "K has one row per row of B");
  return { A: gram({ A }), B: gram({ A: matmul(K, B, { transposeA: true }) }) };
}

/**
 * P_t for all positions: a_t = P_t x takes the flattened input x (C·H·W numbers (c, y, x), then a 1 when the convolution
 * has a bias) to the patch under t, in × (C·H·W [+ 1]).
 *
 * @throws ArgumentError for a grouped convolution.
 */
export function patchSelectors(geometry: ConvGeometry): Matrix[] {
  if (geometry.groups !== 1) {
    const message = `must be 1, got ${geometry.groups}; take each group as a convolution of its own`;
    throw new ArgumentError("patchSelectors", "geometry.groups", message);
  }
  const { channels, height, width, columns, bias, positions } = geometry;
  const inputs = channels * height * width + (bias ? 1 : 0);
  const out = Array.from({ length: positions }, () => matrix(columns, inputs));
  visitPatches(geometry, 0, channels, (row, t, k) => {
    out[t]!.data[row * inputs + k] = 1;
  });
  if (bias) for (const P of out) P.data[P.data.length - 1] = 1;
  return out;
}

/**
 * S_t for all T positions: S_t z takes the flattened outputs z (O·T numbers, channel slowest) to the O outputs at t,
 * O × (O·T).
 */
export function outputSelectors(channels: number, positions: number): Matrix[] {
  return Array.from({ length: positions }, (_, t) => {
    const S = matrix(channels, channels * positions);
    for (let o = 0; o < channels; o++) S.data[o * S.cols + o * positions + t] = 1;
    return S;
  });
}

/**
 * W = Σ_t S_t' U P_t, the matrix of the whole convolution: (O·T) × (C·H·W [+ 1]) from the kernel U (O × columns).
 *
 * @throws ShapeError for a U of another width, ArgumentError for a grouped convolution.
 */
export function tileWeights(U: Matrix, geometry: ConvGeometry): Matrix {
  requireShape("tileWeights", "U", U, U.rows, geometry.columns);
  const S = outputSelectors(U.rows, geometry.positions);
  return patchSelectors(geometry)
    .map((P, t) => matmul(matmul(S[t]!, U, { transposeA: true }), P))
    .reduce((sum, term) => add(sum, term));
}

/**
 * Σ_t S_t V P_t', the adjoint of `tileWeights`: a matrix of W's shape folded back to the kernel's, T' vec(V).
 *
 * @throws ShapeError for a V of another shape, ArgumentError for a grouped convolution.
 */
export function foldWeights(V: Matrix, geometry: ConvGeometry): Matrix {
  const O = V.rows / geometry.positions;
  const P = patchSelectors(geometry);
  requireShape("foldWeights", "V", V, Math.floor(O) * geometry.positions, P[0]!.cols);
  return outputSelectors(O, geometry.positions)
    .map((S, t) => matmul(matmul(S, V), P[t]!, { transposeB: true }))
    .reduce((sum, term) => add(sum, term));
}

/**
 * T = Σ_t P_t' ⊗ S_t' with vec(W) = T vec(U): (O·T·(C·H·W [+ 1])) × (O·columns), O output channels.
 *
 * @throws ArgumentError for a grouped convolution.
 */
export function tilingMatrix(geometry: ConvGeometry, channels: number): Matrix {
  const S = outputSelectors(channels, geometry.positions);
  const P = patchSelectors(geometry);
  const first = P[0]!;
  const T = matrix(channels * geometry.positions * first.cols, channels * geometry.columns);
  P.forEach((p, t) => {
    const s = S[t]!;
    // One at each pair of a patch element and an output channel: kronecker(p', s') without its zeros.
    for (let r = 0; r < p.rows; r++) {
      for (let k = 0; k < p.cols; k++) {
        const value = p.data[r * p.cols + k]!;
        if (value === 0) continue;
        for (let o = 0; o < s.rows; o++) {
          T.data[(k * s.cols + o * geometry.positions + t) * T.cols + r * channels + o]! += value;
        }
      }
    }
  });
  return T;
}

/**
 * H_u = alpha · Σ_i T'(A_iA_i' ⊗ B_iB_i')T by the products as written: A_i (C·H·W [+ 1]) × n holds whole inputs as
 * columns, B_i (O·T) × C is the transposed Jacobian at all outputs.
 */
export function tiledHessian(examples: readonly MatrixExample[], tiling: Matrix, alpha = 1): Matrix {
  let H = matrix(tiling.cols, tiling.cols);
  for (const { A, B } of examples) {
    const full = kronecker(gram({ A }), gram({ A: B }));
    H = add(H, matmul(matmul(tiling, full, { transposeA: true }), tiling), 1, alpha);
  }
  return H;
}

/** Ω_ts = P_t AA' P_s' (in × in) and Γ_ts = S_t BB' S_s' (O × O) of one example, `[t][s]`. */
export function tilingTerms(
  { A, B }: MatrixExample,
  geometry: ConvGeometry,
): { omega: Matrix[][]; gamma: Matrix[][] } {
  const O = B.rows / geometry.positions;
  const patched = patchSelectors(geometry).map((P) => matmul(P, A));
  const selected = outputSelectors(O, geometry.positions).map((S) => matmul(S, B));
  const products = (list: Matrix[]) => list.map((x) => list.map((y) => matmul(x, y, { transposeB: true })));
  return { omega: products(patched), gamma: products(selected) };
}

/** H_u = alpha · Σ_i Σ_{t,s} Ω_ts ⊗ Γ_ts, the same matrix as `tiledHessian` from T² small Kronecker products. */
export function tiledHessianByTerms(
  examples: readonly MatrixExample[],
  geometry: ConvGeometry,
  alpha = 1,
): Matrix {
  const O = (examples[0]?.B.rows ?? 0) / geometry.positions;
  let H = matrix(O * geometry.columns, O * geometry.columns);
  for (const example of examples) {
    const { omega, gamma } = tilingTerms(example, geometry);
    omega.forEach((row, t) => {
      row.forEach((Omega, s) => {
        H = add(H, kronecker(Omega, gamma[t]![s]!), 1, alpha);
      });
    });
  }
  return H;
}
