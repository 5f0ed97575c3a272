// A linear network with chosen sizes and conditioning.
import { eigh, gram, type Matrix, matmul, matrix, RandomStream, transpose } from "kfac-webgpu/reference";

export interface ProblemSize {
  /** m, the rows of W. */
  outputs: number;
  /** n, the columns of W. */
  inputs: number;
  /** N, the columns of A. */
  examples: number;
  /** κ of H; each of its two factors has the square root of it. */
  condition: number;
  seed: number;
}

/** Ŷ ≈ B'WA: all numbers are ones that f32 holds exactly, so that the GPU and the reference start from the same. */
export interface Problem {
  /** n × N. */
  A: Matrix;
  /** m × c. */
  B: Matrix;
  /** c × N. */
  target: Matrix;
  /** m × n, where both methods start. */
  W: Matrix;
}

/** c, the outputs of the network. */
export const NETWORK_OUTPUTS = 12;

export function makeProblem({ outputs, inputs, examples, condition, seed }: ProblemSize): Problem {
  const random = new RandomStream(seed);
  const kappa = Math.sqrt(condition);
  const A = conditioned(random, inputs, examples, kappa);
  const B = conditioned(random, outputs, NETWORK_OUTPUTS, kappa);
  const goal = normal(random, outputs, inputs);
  const noise = normal(random, NETWORK_OUTPUTS, examples);
  const target = matmul(matmul(B, goal, { transposeA: true }), A);
  // What no W can explain, so that the least loss is not zero.
  for (let k = 0; k < target.data.length; k++)
    target.data[k] = Math.fround(target.data[k]! + 0.3 * noise.data[k]!);
  return { A, B, target, W: normal(random, outputs, inputs) };
}

/** d × count normal numbers, bent so that XX' has eigenvalues from 1/κ to 1, times the count over d. */
function conditioned(random: RandomStream, d: number, count: number, kappa: number): Matrix {
  const Z = normal(random, d, count);
  const { values, vectors } = eigh(gram({ A: Z }));
  const X = matmul(vectors, Z, { transposeA: true });
  for (let i = 0; i < d; i++) {
    const wanted = (count / d) * kappa ** -(d > 1 ? i / (d - 1) : 0);
    const factor = Math.sqrt(wanted / values[i]!);
    for (let j = 0; j < count; j++) X.data[i * count + j]! *= factor;
  }
  // Back from the eigenbasis, whose axes would make the factors diagonal.
  const turned = matmul(turn(random, d), X);
  return matrix(d, count, turned.data.map(Math.fround));
}

/** A random orthogonal matrix. */
function turn(random: RandomStream, d: number): Matrix {
  const Z = normal(random, d, d + 2);
  return transpose(eigh(gram({ A: Z })).vectors);
}

function normal(random: RandomStream, rows: number, cols: number): Matrix {
  const m = matrix(rows, cols);
  for (let k = 0; k < m.data.length; k++) m.data[k] = Math.fround(random.normal());
  return m;
}
