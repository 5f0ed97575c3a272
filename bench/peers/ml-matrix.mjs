// ml-matrix: f64 in plain JavaScript.
import { way } from "./way.mjs";

/**
 * What is used of it.
 * @typedef {{ rows: number, to1DArray(): number[], mmul(other: MlMatrix): MlMatrix, mmulByTranspose(): MlMatrix, gram(): MlMatrix }} MlMatrix
 * @typedef {{
 *   Matrix: { from1DArray(rows: number, cols: number, data: Float32Array): MlMatrix, eye(n: number): MlMatrix },
 *   CholeskyDecomposition: new (S: MlMatrix) => { solve(right: MlMatrix): MlMatrix },
 *   EigenvalueDecomposition: new (S: MlMatrix, options: { assumeSymmetric: boolean }) =>
 *     { realEigenvalues: number[], eigenvectorMatrix: MlMatrix },
 *   inverse(S: MlMatrix): MlMatrix,
 * }} MlLibrary
 * @typedef {import("../operations/index.mjs").InputsOf["invert"]} Matrices
 */

export const mlMatrix = {
  /** @param {import("./index.mjs").Where} where */
  async load(where) {
    /** @type {MlLibrary | { default: MlLibrary }} */
    const module = await where.module("ml-matrix");
    const ml = "Matrix" in module ? module : module.default;
    return {
      id: "ml-matrix",
      name: "ml-matrix",
      version: where.version("ml-matrix"),
      formulations: (/** @type {import("./way.mjs").Kind} */ kind) => formulations(ml)[kind] ?? [],
      enter() {},
      finish() {},
    };
  },
};

/** @param {MlLibrary} ml @returns {import("./way.mjs").Formulations} */
function formulations(ml) {
  const { Matrix, CholeskyDecomposition, EigenvalueDecomposition, inverse } = ml;
  const care = {
    read: async (/** @type {readonly (MlMatrix | number[])[]} */ results) =>
      results.map((result) => (Array.isArray(result) ? result : result.to1DArray())),
    free() {},
    drop() {},
  };
  const matrix = (/** @type {Float32Array} */ data, /** @type {number} */ rows, /** @type {number} */ cols) =>
    Matrix.from1DArray(rows, cols, data);
  const uploadList = (/** @type {Matrices} */ { list }) => ({
    list: list.map(({ S, n }) => matrix(S, n, n)),
  });
  return {
    gram: [
      way("gram", care, {
        name: "A.mmulByTranspose()",
        upload: ({ A, d, n }) => ({ A: matrix(A, d, n) }),
        call: ({ A }) => [A.mmulByTranspose()],
      }),
      way("gram", care, {
        name: "X.gram()",
        upload: ({ X, d, n }) => ({ X: matrix(X, n, d) }),
        call: ({ X }) => [X.gram()],
      }),
    ],
    matmul: [
      way("matmul", care, {
        name: "mmul",
        upload: ({ A, B, m, k, n }) => ({ A: matrix(A, m, k), B: matrix(B, k, n) }),
        call: ({ A, B }) => [A.mmul(B)],
      }),
    ],
    sandwich: [
      way("sandwich", care, {
        name: "P.mmul(G).mmul(Q)",
        upload: ({ P, G, Q, m, n }) => ({ P: matrix(P, m, m), G: matrix(G, m, n), Q: matrix(Q, n, n) }),
        call: ({ P, G, Q }) => [P.mmul(G).mmul(Q)],
      }),
    ],
    invert: [
      way("invert", care, {
        name: "CholeskyDecomposition.solve(I)",
        upload: uploadList,
        call: ({ list }) => list.map((S) => new CholeskyDecomposition(S).solve(Matrix.eye(S.rows))),
      }),
      way("invert", care, {
        name: "inverse",
        upload: uploadList,
        call: ({ list }) => list.map((S) => inverse(S)),
      }),
    ],
    eigh: [
      way("eigh", care, {
        name: "EigenvalueDecomposition",
        upload: uploadList,
        call: ({ list }) =>
          list.flatMap((S) => {
            const { realEigenvalues, eigenvectorMatrix } = new EigenvalueDecomposition(S, {
              assumeSymmetric: true,
            });
            return [realEigenvalues, eigenvectorMatrix];
          }),
      }),
    ],
  };
}
