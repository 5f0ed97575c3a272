/**
 * Derivatives by central differences, for checking the analytic ones: nothing here uses factors, Jacobians or backward
 * passes of this package. All matrices of second derivatives are on column-major vec(W).
 */
import { ShapeError } from "../errors.js";
import { add, copy, type Matrix, matrix, scale, subtract, vec } from "./matrix.js";

/** ∂f/∂W of a scalar function, of W's shape. `step` is the distance to either side. */
export function finiteDifferenceGradient(f: (W: Matrix) => number, W: Matrix, step = 1e-6): Matrix {
  const out = matrix(W.rows, W.cols);
  for (let k = 0; k < W.data.length; k++) {
    out.data[k] = (f(moved(W, k, step)) - f(moved(W, k, -step))) / (2 * step);
  }
  return out;
}

/**
 * Jacobian of each example's outputs: f maps W to N × C outputs, the result holds one C × (rows·cols of W) matrix per
 * example. Exact up to rounding where f is linear in W, so a `step` of about 1 is then best.
 */
export function finiteDifferenceJacobians(f: (W: Matrix) => Matrix, W: Matrix, step = 1e-6): Matrix[] {
  const result: Matrix[] = [];
  const n = W.data.length;
  for (let k = 0; k < n; k++) {
    const D = scale(subtract(f(moved(W, k, step)), f(moved(W, k, -step))), 0.5 / step);
    const column = (k % W.cols) * W.rows + Math.floor(k / W.cols);
    for (let i = 0; i < D.rows; i++) {
      result[i] ??= matrix(D.cols, n);
      for (let c = 0; c < D.cols; c++) result[i]!.data[c * n + column] = D.data[i * D.cols + c]!;
    }
  }
  return result;
}

/**
 * The definition of the GGN: (1/N) Σ_i J_i' Λ_i J_i with J_i by differences and Λ_i the loss's C × C Hessian.
 *
 * @throws ShapeError unless there is one Hessian per example.
 */
export function finiteDifferenceGgn(
  f: (W: Matrix) => Matrix,
  W: Matrix,
  lossHessians: readonly Matrix[],
  step = 1e-6,
): Matrix {
  const jacobians = finiteDifferenceJacobians(f, W, step);
  if (jacobians.length !== lossHessians.length) {
    throw new ShapeError("finiteDifferenceGgn", "lossHessians", [lossHessians.length], [jacobians.length]);
  }
  const n = W.data.length;
  const H = matrix(n, n);
  jacobians.forEach((J, i) => {
    const L = lossHessians[i]!;
    for (let c = 0; c < J.rows; c++) {
      for (let d = 0; d < J.rows; d++) {
        const weight = L.data[c * J.rows + d]! / jacobians.length;
        if (weight === 0) continue;
        for (let p = 0; p < n; p++) {
          const left = weight * J.data[c * n + p]!;
          for (let q = 0; q < n; q++) H.data[p * n + q]! += left * J.data[d * n + q]!;
        }
      }
    }
  });
  return H;
}

/** Hessian of a scalar function from second differences of its values; the error is about 2⁻⁵³·|f|/step² + step². */
export function finiteDifferenceHessian(f: (W: Matrix) => number, W: Matrix, step = 1e-3): Matrix {
  const n = W.data.length;
  const H = matrix(n, n);
  const units = Array.from({ length: n }, (_, p) => {
    const unit = matrix(W.rows, W.cols);
    unit.data[(p % W.rows) * W.cols + Math.floor(p / W.rows)] = step;
    return unit;
  });
  for (let p = 0; p < n; p++) {
    for (let q = 0; q <= p; q++) {
      const both = add(units[p]!, units[q]!);
      const across = subtract(units[p]!, units[q]!);
      const value =
        (f(add(W, both)) - f(add(W, across)) - f(subtract(W, across)) + f(subtract(W, both))) /
        (4 * step ** 2);
      H.data[p * n + q] = value;
      H.data[q * n + p] = value;
    }
  }
  return H;
}

/** Hessian from first differences of a gradient, column by column (not symmetrised). */
export function finiteDifferenceHessianOfGradient(
  gradient: (W: Matrix) => Matrix,
  W: Matrix,
  step = 1e-5,
): Matrix {
  const n = W.data.length;
  const H = matrix(n, n);
  for (let k = 0; k < n; k++) {
    const D = vec(scale(subtract(gradient(moved(W, k, step)), gradient(moved(W, k, -step))), 0.5 / step));
    const column = (k % W.cols) * W.rows + Math.floor(k / W.cols);
    for (let r = 0; r < n; r++) H.data[r * n + column] = D.data[r]!;
  }
  return H;
}

/** W with `step` added to its k-th number (row-major). */
function moved(W: Matrix, k: number, step: number): Matrix {
  const out = copy(W);
  out.data[k]! += step;
  return out;
}
