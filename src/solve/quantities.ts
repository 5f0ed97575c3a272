/** Loss, gradient and Hessian of J = Σ ½‖target_i − B_i'WA_i‖² in f64, and the gradient on the GPU. */

import { toF32, toF64 } from "../host/index.js";
import {
  add,
  dot,
  kroneckerSumOperator,
  type Matrix,
  matmul,
  matrix,
  type NewtonExample,
  newtonError,
  subtract,
} from "../reference/index.js";
import type { Arithmetic } from "./arithmetic.js";

export function lossInF64(examples: readonly NewtonExample[], W: Matrix): number {
  return examples.reduce((sum, example) => {
    const e = newtonError(example, W);
    return sum + 0.5 * dot(e, e);
  }, 0);
}

/** G = −Σ B e A'. */
export function gradientInF64(examples: readonly NewtonExample[], W: Matrix): Matrix {
  return examples.reduce(
    (sum, example) =>
      subtract(sum, matmul(matmul(example.B, newtonError(example, W)), example.A, { transposeB: true })),
    matrix(W.rows, W.cols),
  );
}

/** −G − (H + λI) δ: what a step δ leaves, the gradient there with its sign turned. */
export function missingIn(
  examples: readonly NewtonExample[],
  W: Matrix,
  damping: number,
): (delta: Matrix) => Matrix {
  const gradient = gradientInF64(examples, W);
  const { apply } = kroneckerSumOperator(examples);
  return (delta) => add(add(apply(delta), delta, 1, damping), gradient, -1, -1);
}

/** G on the GPU, in f32. */
export async function gradientOnGpu(
  gpu: Arithmetic,
  examples: readonly NewtonExample[],
  W: Matrix,
): Promise<Matrix> {
  let gradient = matrix(W.rows, W.cols);
  const hostW = toF32(W);
  for (const { A, B, target } of examples) {
    const [hostA, hostB] = [toF32(A), toF32(B)];
    const BW = await gpu.matmul(hostB, hostW, { transposeA: true });
    const e = subtract(target, toF64(await gpu.matmul(BW, hostA)));
    const Be = await gpu.matmul(hostB, toF32(e));
    gradient = subtract(gradient, toF64(await gpu.matmul(Be, hostA, { transposeB: true })));
  }
  return gradient;
}
