/** The fake engine's exact Hessians: the reference's operators and conjugate gradients, rounded to f32. */
import type { ConvolutionProblem, CurvatureSystem, HostMatrix } from "../../src/cli/engine.js";
import {
  APPROXIMATIONS,
  type CurvatureOperator,
  conjugateGradients,
  conv2d,
  conv2dWeightGradient,
  convGeometry,
  flatten,
  kroneckerSumOperator,
  type Matrix,
  matmul,
  matrix,
  type PositionBlock,
  patches,
  perPositionBlock,
  sandwich,
  subtract,
  tensor,
  unflatten,
} from "../../src/reference/index.js";

export const f64 = (m: HostMatrix): Matrix => matrix(m.rows, m.cols, m.data);
export const f32 = (m: Matrix): HostMatrix => ({
  rows: m.rows,
  cols: m.cols,
  data: Float32Array.from(m.data),
});

function system(
  operator: CurvatureOperator,
  block: () => PositionBlock,
  preconditioner?: (R: Matrix) => Matrix,
): CurvatureSystem {
  return {
    apply: async (V) => f32(operator.apply(f64(V))),
    solve: async (R, { damping, maxIterations }) => {
      const options = { damping, maxIterations, tolerance: 1e-5, preconditioner };
      const { solution, iterations } = conjugateGradients(operator, f64(R), options);
      return { solution: f32(solution), iterations, status: "converged" };
    },
    approximate: async (kind, R, damping) => f32(APPROXIMATIONS[kind](block()).solve(f64(R), damping)),
    dispose() {},
  };
}

export function fakeKroneckerSum(
  { A, B }: { A: HostMatrix[]; B: HostMatrix[] },
  inverses?: { left: HostMatrix; right: HostMatrix },
): CurvatureSystem {
  const examples = A.map((a, i) => ({ A: f64(a), B: f64(B[i]!) }));
  const solve = inverses && ((R: Matrix) => sandwich(f64(inverses.left), R, f64(inverses.right)));
  return system(kroneckerSumOperator(examples), () => perPositionBlock(examples, 1), solve);
}

export async function fakeConvolution(problem: ConvolutionProblem) {
  const [, channels, height, width] = problem.shape;
  const X = tensor(problem.shape, problem.inputs);
  const geometry = convGeometry({ channels, height, width }, problem);
  const { outHeight, outWidth } = geometry;
  const head = problem.head && f64(problem.head);
  const predict = (V: Matrix) => {
    const Z = flatten(conv2d(X, V, geometry));
    return head ? matmul(Z, head, { transposeB: true }) : Z;
  };
  const back = (e: Matrix) => {
    const dZ = head ? matmul(e, head) : e;
    return conv2dWeightGradient(X, unflatten(dZ, problem.W.rows, outHeight, outWidth), geometry);
  };
  const block = (): PositionBlock => {
    const A = patches(X, geometry);
    const B = Array.from({ length: problem.target.cols }, (_, c) => {
      const unit = matrix(1, problem.target.cols);
      unit.data[c] = 1;
      return matrix(problem.W.rows, geometry.positions, (head ? matmul(unit, head) : unit).data);
    });
    return { A, B: A.map(() => B), divisor: 1 };
  };
  const hessian = system({ shape: [problem.W.rows, problem.W.cols], apply: (V) => back(predict(V)) }, block);
  const gradient = f32(back(subtract(predict(f64(problem.W)), f64(problem.target))));
  return { ...hessian, gradient };
}
