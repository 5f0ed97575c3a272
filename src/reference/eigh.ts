/**
 * Eigen-decomposition of a symmetric matrix: Householder tridiagonalisation, then implicit QL. After the EISPACK
 * procedures tred2 and tql2 (Bowdler, Martin, Reinsch, Wilkinson 1968), as in JAMA (public domain).
 */
import { ArgumentError } from "../errors.js";
import { type Matrix, matrix, requireSquare } from "./matrix.js";
import { isFiniteMatrix, maxAbs } from "./reduce.js";

/** Eigenvalues and eigenvectors of a symmetric matrix. */
export interface Eigh {
  /** n eigenvalues, rising. */
  values: Float64Array;
  /** n × n; column k is the unit eigenvector of `values[k]`: S = V diag(values) V'. */
  vectors: Matrix;
}

/**
 * S = V diag(values) V' for a symmetric n × n matrix S; the lower triangle is read. The absolute error of an eigenvalue
 * is about n·2⁻⁵³·‖S‖.
 *
 * @throws ShapeError when S is not square, ArgumentError when it holds NaN or infinity.
 */
export function eigh(S: Matrix): Eigh {
  requireSquare("eigh", "S", S);
  if (!isFiniteMatrix(S)) throw new ArgumentError("eigh", "S", "holds NaN or infinity; pass finite numbers");
  const n = S.rows;
  const values = new Float64Array(n);
  const off = new Float64Array(n);
  const vectors = matrix(n, n);
  // Scaled to a largest element of 1, so that squares neither overflow nor underflow.
  const size = maxAbs(S);
  if (n === 0 || size === 0) {
    for (let i = 0; i < n; i++) vectors.data[i * n + i] = 1;
    return { values, vectors };
  }
  for (let i = 0; i < n; i++) {
    for (let j = 0; j <= i; j++) {
      const value = S.data[i * n + j]! / size;
      vectors.data[i * n + j] = value;
      vectors.data[j * n + i] = value;
    }
  }
  tridiagonalise(n, vectors.data, values, off);
  implicitQl(n, vectors.data, values, off);
  sortRising(n, vectors.data, values);
  for (let i = 0; i < n; i++) values[i]! *= size;
  return { values, vectors };
}

/** tred2: V (symmetric on entry) becomes the orthogonal transformation, d the diagonal, e[1…] the off-diagonal. */
function tridiagonalise(n: number, V: Float64Array, d: Float64Array, e: Float64Array): void {
  for (let j = 0; j < n; j++) d[j] = V[(n - 1) * n + j]!;
  for (let i = n - 1; i > 0; i--) {
    let scale = 0;
    let h = 0;
    for (let k = 0; k < i; k++) scale += Math.abs(d[k]!);
    if (scale === 0) {
      e[i] = d[i - 1]!;
      for (let j = 0; j < i; j++) {
        d[j] = V[(i - 1) * n + j]!;
        V[i * n + j] = 0;
        V[j * n + i] = 0;
      }
    } else {
      for (let k = 0; k < i; k++) {
        d[k]! /= scale;
        h += d[k]! * d[k]!;
      }
      const f = d[i - 1]!;
      const g = f > 0 ? -Math.sqrt(h) : Math.sqrt(h);
      e[i] = scale * g;
      h -= f * g;
      d[i - 1] = f - g;
      for (let j = 0; j < i; j++) e[j] = 0;
      for (let j = 0; j < i; j++) {
        const f1 = d[j]!;
        V[j * n + i] = f1;
        let g1 = e[j]! + V[j * n + j]! * f1;
        for (let k = j + 1; k <= i - 1; k++) {
          g1 += V[k * n + j]! * d[k]!;
          e[k]! += V[k * n + j]! * f1;
        }
        e[j] = g1;
      }
      let f2 = 0;
      for (let j = 0; j < i; j++) {
        e[j]! /= h;
        f2 += e[j]! * d[j]!;
      }
      const hh = f2 / (h + h);
      for (let j = 0; j < i; j++) e[j]! -= hh * d[j]!;
      for (let j = 0; j < i; j++) {
        const f3 = d[j]!;
        const g3 = e[j]!;
        for (let k = j; k <= i - 1; k++) V[k * n + j]! -= f3 * e[k]! + g3 * d[k]!;
        d[j] = V[(i - 1) * n + j]!;
        V[i * n + j] = 0;
      }
    }
    d[i] = h;
  }
  for (let i = 0; i < n - 1; i++) {
    V[(n - 1) * n + i] = V[i * n + i]!;
    V[i * n + i] = 1;
    const h = d[i + 1]!;
    if (h !== 0) {
      for (let k = 0; k <= i; k++) d[k] = V[k * n + i + 1]! / h;
      for (let j = 0; j <= i; j++) {
        let g = 0;
        for (let k = 0; k <= i; k++) g += V[k * n + i + 1]! * V[k * n + j]!;
        for (let k = 0; k <= i; k++) V[k * n + j]! -= g * d[k]!;
      }
    }
    for (let k = 0; k <= i; k++) V[k * n + i + 1] = 0;
  }
  for (let j = 0; j < n; j++) {
    d[j] = V[(n - 1) * n + j]!;
    V[(n - 1) * n + j] = 0;
  }
  V[n * n - 1] = 1;
  e[0] = 0;
}

/** tql2: diagonalises the tridiagonal (d, e), turning the columns of V into eigenvectors. */
function implicitQl(n: number, V: Float64Array, d: Float64Array, e: Float64Array): void {
  for (let i = 1; i < n; i++) e[i - 1] = e[i]!;
  e[n - 1] = 0;
  let f = 0;
  let largest = 0;
  const eps = 2 ** -52;
  for (let l = 0; l < n; l++) {
    largest = Math.max(largest, Math.abs(d[l]!) + Math.abs(e[l]!));
    let m = l;
    while (m < n - 1 && Math.abs(e[m]!) > eps * largest) m++;
    if (m > l) {
      for (let sweep = 0; ; sweep++) {
        if (sweep > 200) {
          throw new ArgumentError("eigh", "S", "does not converge in 200 sweeps; check that it is symmetric");
        }
        let g = d[l]!;
        let p = (d[l + 1]! - g) / (2 * e[l]!);
        let r = Math.hypot(p, 1);
        if (p < 0) r = -r;
        d[l] = e[l]! / (p + r);
        d[l + 1] = e[l]! * (p + r);
        const dl1 = d[l + 1]!;
        let h = g - d[l]!;
        for (let i = l + 2; i < n; i++) d[i]! -= h;
        f += h;
        p = d[m]!;
        let c = 1;
        let c2 = 1;
        let c3 = 1;
        const el1 = e[l + 1]!;
        let s = 0;
        let s2 = 0;
        for (let i = m - 1; i >= l; i--) {
          c3 = c2;
          c2 = c;
          s2 = s;
          g = c * e[i]!;
          h = c * p;
          r = Math.hypot(p, e[i]!);
          e[i + 1] = s * r;
          s = e[i]! / r;
          c = p / r;
          p = c * d[i]! - s * g;
          d[i + 1] = h + s * (c * g + s * d[i]!);
          for (let k = 0; k < n; k++) {
            const a = V[k * n + i + 1]!;
            const b = V[k * n + i]!;
            V[k * n + i + 1] = s * b + c * a;
            V[k * n + i] = c * b - s * a;
          }
        }
        p = (-s * s2 * c3 * el1 * e[l]!) / dl1;
        e[l] = s * p;
        d[l] = c * p;
        if (!(Math.abs(e[l]!) > eps * largest)) break;
      }
    }
    d[l]! += f;
    e[l] = 0;
  }
}

function sortRising(n: number, V: Float64Array, d: Float64Array): void {
  const order = Array.from({ length: n }, (_, i) => i).sort((a, b) => d[a]! - d[b]!);
  const oldValues = d.slice();
  const oldVectors = V.slice();
  order.forEach((from, to) => {
    d[to] = oldValues[from]!;
    for (let k = 0; k < n; k++) V[k * n + to] = oldVectors[k * n + from]!;
  });
}
