/** Seeded matrices for the reference tests. */
import { gram, type Matrix, matrix, RandomStream, STREAM_DOMAINS, scale } from "../../src/reference/index.js";

export function randomMatrix(rows: number, cols: number, seed: number, size = 1): Matrix {
  const stream = new RandomStream(seed, 7, STREAM_DOMAINS.general);
  const out = matrix(rows, cols);
  for (let k = 0; k < out.data.length; k++) out.data[k] = size * stream.normal();
  return out;
}

/** A well-conditioned symmetric positive definite matrix. */
export function randomSpd(n: number, seed: number): Matrix {
  return scale(gram({ A: randomMatrix(n, 3 * n + 2, seed) }), 1 / (3 * n + 2));
}
