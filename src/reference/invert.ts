/** Damped inverse of a symmetric positive definite matrix, the twin of the GPU operation `invert`. */
import { ArgumentError } from "../errors.js";
import {
  cholesky,
  STATUS_DAMPING_BELOW_FLOOR,
  STATUS_NON_FINITE,
  STATUS_NOT_POSITIVE_DEFINITE,
  solveLower,
} from "./cholesky.js";
import { identity, type Matrix, matrix, requireSquare } from "./matrix.js";
import { isFiniteMatrix, norm } from "./reduce.js";

/** Smallest damping that f32 resolves, relative to the largest eigenvalue. */
export const F32_DAMPING_FLOOR = 1e-5;

/** Options of `invert`. */
export interface InvertOptions {
  /** λ ≥ 0 added to the diagonal before equilibration, in the units of S. Defaults to none. */
  damping?: number;
  /** See `cholesky`; relative to the equilibrated matrix, whose diagonal is 1. */
  pivotFloor?: number;
}

/** An inverse and how far it is to be trusted. */
export interface InvertResult {
  /** (S + λI)⁻¹, n × n, exactly symmetric, always finite; zero when `status` has bit 2. */
  inverse: Matrix;
  /** Bits `STATUS_*` of cholesky.ts; 0 when all is well. */
  status: number;
  /** Smallest pivot of the equilibrated matrix before clamping, in (0, 1] when all is well; NaN for non-finite input. */
  minPivot: number;
}

/**
 * (S + λI)⁻¹ = D^-½ (D^-½ (S + λI) D^-½)⁻¹ D^-½ with D = diag(S) + λ, by Cholesky. The equilibrated matrix has a unit
 * diagonal, so neither the pivots nor the floor depend on the scale of S. S is n × n and symmetric; only its lower
 * triangle is read. Failures are reported in `status`, never thrown; a clamped result is finite and must not be used
 * as an inverse. The status bit for a damping below the f32 floor is set only when `damping` is given (0 included).
 *
 * @throws ShapeError when S is not square, ArgumentError when damping is negative or not finite.
 */
export function invert(S: Matrix, options: InvertOptions = {}): InvertResult {
  requireSquare("invert", "S", S);
  const { damping, pivotFloor } = options;
  if (damping !== undefined && !(damping >= 0 && Number.isFinite(damping))) {
    throw new ArgumentError(
      "invert",
      "damping",
      `must be a finite number that is not negative, got ${damping}`,
    );
  }
  const n = S.rows;
  if (!isFiniteMatrix(S)) {
    return { inverse: matrix(n, n), status: STATUS_NON_FINITE, minPivot: Number.NaN };
  }
  const lambda = damping ?? 0;
  let status = 0;
  if (damping !== undefined && damping < dampingFloor(S)) status |= STATUS_DAMPING_BELOW_FLOOR;

  const scales = new Float64Array(n);
  let minPivot = Number.POSITIVE_INFINITY;
  for (let i = 0; i < n; i++) {
    const d = S.data[i * n + i]! + lambda;
    if (!(d > 0)) {
      status |= STATUS_NOT_POSITIVE_DEFINITE;
      minPivot = Math.min(minPivot, d);
    }
    scales[i] = d > 0 ? 1 / Math.sqrt(d) : 1;
  }
  const balanced = matrix(n, n);
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < i; j++) {
      const value = S.data[i * n + j]! * scales[i]! * scales[j]!;
      balanced.data[i * n + j] = value;
      balanced.data[j * n + i] = value;
    }
    balanced.data[i * n + i] = S.data[i * n + i]! + lambda > 0 ? 1 : 0;
  }
  const factor = cholesky(balanced, { pivotFloor });
  status |= factor.status;
  minPivot = Math.min(minPivot, factor.minPivot);

  // (L L')⁻¹ = L⁻' L⁻¹, so element (i, j) is the dot product of columns i and j of L⁻¹, from row max(i, j) down.
  const V = solveLower(factor.lower, identity(n)).data;
  const inverse = matrix(n, n);
  for (let k = 0; k < n; k++) {
    for (let i = 0; i <= k; i++) {
      const f = V[k * n + i]!;
      if (f !== 0) for (let j = 0; j <= i; j++) inverse.data[i * n + j]! += f * V[k * n + j]!;
    }
  }
  for (let i = 0; i < n; i++) {
    for (let j = 0; j <= i; j++) {
      const value = inverse.data[i * n + j]! * scales[i]! * scales[j]!;
      inverse.data[i * n + j] = value;
      inverse.data[j * n + i] = value;
    }
  }
  if (!isFiniteMatrix(inverse)) {
    return { inverse: matrix(n, n), status: status | STATUS_NOT_POSITIVE_DEFINITE, minPivot };
  }
  return { inverse, status, minPivot };
}

/** 1e-5 · λ_max(S): the smallest damping that f32 resolves, in the units of S. */
export function dampingFloor(S: Matrix): number {
  return F32_DAMPING_FLOOR * largestEigenvalue(S);
}

/**
 * λ_max of a symmetric positive semi-definite n × n matrix by power iteration from a fixed start, to about 1e-6 or
 * 1,000 multiplications; never above the true value but for rounding.
 *
 * @throws ShapeError when S is not square.
 */
export function largestEigenvalue(S: Matrix): number {
  requireSquare("largestEigenvalue", "S", S);
  const n = S.rows;
  let x = matrix(n, 1);
  // A start without zeros or symmetry, so that it has a part along every usual eigenvector.
  for (let i = 0; i < n; i++) x.data[i] = 1 + 0.5 * Math.sin(1 + i * 2.399963229728653);
  let value = 0;
  for (let k = 0; k < 1000; k++) {
    const size = norm(x);
    if (size === 0) return 0;
    for (let i = 0; i < n; i++) x.data[i]! /= size;
    const y = matrix(n, 1);
    for (let i = 0; i < n; i++) {
      let s = 0;
      for (let j = 0; j < n; j++) s += S.data[i * n + j]! * x.data[j]!;
      y.data[i] = s;
    }
    const next = norm(y);
    if (Math.abs(next - value) <= 1e-9 * next) return next;
    value = next;
    x = y;
  }
  return value;
}
