/** What the solvers ask of the GPU, on the reference's arithmetic and rounded to f32. */
import { type HostMatrix, toF32, toF64 } from "../../src/host/index.js";
import {
  APPROXIMATIONS,
  type CurvatureOperator,
  conjugateGradients,
  conv2d,
  conv2dWeightGradient,
  eigh,
  flatten,
  gram,
  invert,
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
import type {
  Arithmetic,
  ConvolutionData,
  ConvolutionSystem,
  CurvatureSystem,
  ExampleSides,
} from "../../src/solve/arithmetic.js";

function system(
  operator: CurvatureOperator,
  block: () => PositionBlock,
  preconditioner?: (R: Matrix) => Matrix,
): CurvatureSystem {
  return {
    apply: async (V) => toF32(operator.apply(toF64(V))),
    solve: async (R, { damping, maxIterations }) => {
      const options = { damping, maxIterations, tolerance: 1e-5, preconditioner };
      const { solution, iterations } = conjugateGradients(operator, toF64(R), options);
      return { solution: toF32(solution), iterations, status: "converged" };
    },
    approximate: async (kind, R, damping) => toF32(APPROXIMATIONS[kind](block()).solve(toF64(R), damping)),
    dispose() {},
  };
}

function kroneckerSum(
  { A, B }: ExampleSides,
  inverses?: { left: HostMatrix; right: HostMatrix },
): CurvatureSystem {
  const examples = A.map((a, i) => ({ A: toF64(a), B: toF64(B[i]!) }));
  const solve = inverses && ((R: Matrix) => sandwich(toF64(inverses.left), R, toF64(inverses.right)));
  return system(kroneckerSumOperator(examples), () => perPositionBlock(examples, 1), solve);
}

async function convolution(problem: ConvolutionData): Promise<ConvolutionSystem> {
  const { geometry, count } = problem;
  const { channels, height, width, outHeight, outWidth } = geometry;
  const X = tensor([count, channels, height, width], problem.inputs);
  const head = problem.head && toF64(problem.head);
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
  const gradient = toF32(back(subtract(predict(toF64(problem.W)), toF64(problem.target))));
  return { ...hessian, gradient };
}

export const fakeArithmetic: Arithmetic = {
  adapter: "fake adapter",
  gram: async ({ A }) => toF32(gram({ A: (Array.isArray(A) ? A : [A]).map(toF64) })),
  matmul: async (A, B, options) => toF32(matmul(toF64(A), toF64(B), options)),
  invert: async (S, { damping = 0 } = {}) => {
    const { inverse, status } = invert(toF64(S), damping > 0 ? { damping } : {});
    // As inexact as f32 is.
    const rounded = toF32(inverse);
    rounded.data.forEach((x, k) => {
      rounded.data[k] = x * (1 + 1e-4 * Math.sin(k + 1));
    });
    return { inverse: rounded, status: status & 3, dampingBelowFloor: damping > 0 && (status & 4) !== 0 };
  },
  sandwich: async (P, G, Q) => toF32(sandwich(toF64(P), toF64(G), toF64(Q))),
  eigh: async (S) => {
    const { values, vectors } = eigh(toF64(S));
    return { values: Float32Array.from(values), vectors: toF32(vectors), status: 0 };
  },
  kroneckerSum,
  convolution,
};
