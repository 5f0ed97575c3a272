// Useful operations of each problem, additions and multiplications counted apart: what GFLOP/s are computed from, whoever
// did the work. A Gram matrix counts its lower triangle only.

/** Gram matrix of d × N. @param {number} d @param {number} n */
export const gramFlops = (d, n) => d * d * n;

/** Product (m × k)(k × n). @param {number} m @param {number} k @param {number} n */
export const matmulFlops = (m, k, n) => 2 * m * k * n;

/** Inverses of symmetric positive definite matrices. @param {readonly number[]} sizes */
export const invertFlops = (sizes) => sizes.reduce((sum, n) => sum + n ** 3, 0);

/** P G Q, with P m × m and Q n × n. @param {number} m @param {number} n */
export const sandwichFlops = (m, n) => 2 * (m * m * n + m * n * n);
