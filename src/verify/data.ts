/** Random problems, the same on every adapter. */
import { RandomStream } from "../random/index.js";
import { eigh, type Matrix, matmul, matrix, symmetrize, transpose } from "../reference/index.js";

export class Draw {
  readonly #random: RandomStream;

  constructor(seed: number) {
    this.#random = new RandomStream(seed);
  }

  /** Standard normal numbers that f32 holds exactly. */
  matrix(rows: number, cols: number, scale = 1): Matrix {
    const m = matrix(rows, cols);
    for (let k = 0; k < m.data.length; k++) m.data[k] = Math.fround(scale * this.#random.normal());
    return m;
  }

  /** Symmetric positive definite with eigenvalues from 1/κ to 1, equally spaced in logarithm. */
  spd(n: number, condition: number): Matrix {
    const G = this.matrix(n, n);
    const Q = eigh(symmetrize(matmul(G, G, { transposeB: true }))).vectors;
    const D = matrix(n, n);
    for (let k = 0; k < n; k++) D.data[k * n + k] = condition ** -(n > 1 ? k / (n - 1) : 0);
    const S = symmetrize(matmul(matmul(Q, D), transpose(Q)));
    return matrix(n, n, S.data.map(Math.fround));
  }
}

/** λ_max/λ_min. */
export function condition(S: Matrix): number {
  const { values } = eigh(S);
  return values[values.length - 1]! / values[0]!;
}
