// How far a layer's exact block is from Ā ⊗ B̄, in f64 and without forming either. Dense layers.
import type { CurvatureRows, Factors, Matrix } from "kfac-webgpu/reference";

/** A block of H or Ā ⊗ B̄: unknown number j · outputs.length + i is W[outputs[i], inputs[j]]. */
export interface Selection {
  outputs: readonly number[];
  inputs: readonly number[];
}

/** The rows that matter: the `count` largest diagonal elements of S, by place. */
export function largestDiagonal(S: { rows: number; data: ArrayLike<number> }, count: number): number[] {
  return Array.from({ length: S.rows }, (_, i) => i)
    .sort((i, j) => S.data[j * S.rows + j]! - S.data[i * S.rows + i]!)
    .slice(0, count)
    .sort((i, j) => i - j);
}

/** The selected block of Ā ⊗ B̄. */
export function kroneckerBlock(
  { A, B }: { A: SquareMatrix; B: SquareMatrix },
  { outputs, inputs }: Selection,
): Matrix {
  const n = outputs.length * inputs.length;
  const data = new Float64Array(n * n);
  inputs.forEach((j, J) => {
    inputs.forEach((l, L) => {
      const a = A.data[j * A.rows + l]!;
      outputs.forEach((i, I) => {
        outputs.forEach((k, K) => {
          data[(J * outputs.length + I) * n + L * outputs.length + K] = a * B.data[i * B.rows + k]!;
        });
      });
    });
  });
  return { rows: n, cols: n, data };
}

export interface SquareMatrix {
  readonly rows: number;
  readonly data: ArrayLike<number>;
}

/** The selected block of H = (1/divisor) Σ_i a_i a_i' ⊗ Σ_c b_ic b_ic'. */
export function exactBlock(rows: CurvatureRows, layer: number, { outputs, inputs }: Selection): Matrix {
  const A = rows.A[layer]!;
  const B = rows.B[layer]!;
  const N = A.rows;
  const n = outputs.length * inputs.length;
  const data = new Float64Array(n * n);
  const jacobian = new Float64Array(n);
  for (let r = 0; r < B.rows; r++) {
    const i = r % N;
    inputs.forEach((j, J) => {
      outputs.forEach((o, O) => {
        jacobian[J * outputs.length + O] = A.data[i * A.cols + j]! * B.data[r * B.cols + o]!;
      });
    });
    for (let x = 0; x < n; x++) {
      const scaled = jacobian[x]! / rows.divisor;
      if (scaled === 0) continue;
      for (let y = 0; y < n; y++) data[x * n + y]! += scaled * jacobian[y]!;
    }
  }
  return { rows: n, cols: n, data };
}

/**
 * ‖Ā ⊗ B̄ − H‖/‖H‖ (Frobenius) of the whole block, from inner products alone: with H = (1/D) Σ_i a_i a_i' ⊗ B_iB_i',
 * ‖H‖² = D⁻² Σ_ij (a_i'a_j)² ‖B_i'B_j‖², ⟨H, Ā ⊗ B̄⟩ = D⁻¹ Σ_i a_i'Āa_i tr(B_i'B̄B_i), ‖Ā ⊗ B̄‖ = ‖Ā‖‖B̄‖.
 */
export function kroneckerError(rows: CurvatureRows, layer: number, { A: meanA, B: meanB }: Factors): number {
  const A = rows.A[layer]!;
  const B = rows.B[layer]!;
  const N = A.rows;
  const out = B.cols;
  // M_i = B_iB_i', one row of out² numbers an example.
  const moments = new Float64Array(N * out * out);
  for (let r = 0; r < B.rows; r++) {
    const base = (r % N) * out * out;
    for (let o = 0; o < out; o++) {
      const b = B.data[r * out + o]!;
      if (b === 0) continue;
      for (let p = 0; p < out; p++) moments[base + o * out + p]! += b * B.data[r * out + p]!;
    }
  }
  const row = (data: Float64Array, width: number, i: number) => data.subarray(i * width, (i + 1) * width);
  let own = 0;
  let cross = 0;
  for (let i = 0; i < N; i++) {
    const a = row(A.data, A.cols, i);
    const M = row(moments, out * out, i);
    cross += (quadratic(meanA, a) * inner(M, meanB.data)) / rows.divisor;
    for (let j = 0; j <= i; j++) {
      const product = inner(a, row(A.data, A.cols, j)) ** 2 * inner(M, row(moments, out * out, j));
      own += ((i === j ? 1 : 2) * product) / rows.divisor ** 2;
    }
  }
  const kronecker = inner(meanA.data, meanA.data) * inner(meanB.data, meanB.data);
  return Math.sqrt(Math.max(0, own - 2 * cross + kronecker) / own);
}

/** ‖X − Y‖/‖Y‖ (Frobenius). */
export function relativeDistance(X: ArrayLike<number>, Y: ArrayLike<number>): number {
  let distance = 0;
  let size = 0;
  for (let k = 0; k < Y.length; k++) {
    distance += (X[k]! - Y[k]!) ** 2;
    size += Y[k]! ** 2;
  }
  return Math.sqrt(distance / size);
}

function inner(x: Float64Array, y: Float64Array): number {
  let sum = 0;
  for (let k = 0; k < x.length; k++) sum += x[k]! * y[k]!;
  return sum;
}

function quadratic(S: Matrix, x: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < S.rows; i++)
    if (x[i] !== 0) sum += x[i]! * inner(S.data.subarray(i * S.cols, (i + 1) * S.cols), x);
  return sum;
}
