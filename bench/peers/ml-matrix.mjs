// ml-matrix: f64 in plain JavaScript.

export const mlMatrix = {
  /** @param {import("./index.mjs").Where} where */
  async load(where) {
    const module = await where.module("ml-matrix");
    const ml = module.Matrix ? module : module.default;
    return {
      id: "ml-matrix",
      name: "ml-matrix",
      version: where.version("ml-matrix"),
      formulations: (/** @type {string} */ kind) => formulations(ml)[kind] ?? [],
      enter() {},
      finish() {},
    };
  },
};

/** @returns {Record<string, import("./index.mjs").Formulation[]>} */
function formulations(ml) {
  const { Matrix, CholeskyDecomposition, EigenvalueDecomposition, inverse } = ml;
  const common = {
    read: async (results) => results.map((result) => (Array.isArray(result) ? result : result.to1DArray())),
    free() {},
    drop() {},
  };
  const matrix = (data, rows, cols) => Matrix.from1DArray(rows, cols, data);
  const uploadList = ({ list }) => ({ list: list.map(({ S, n }) => matrix(S, n, n)) });
  return {
    gram: [
      {
        ...common,
        name: "A.mmulByTranspose()",
        upload: ({ A, d, n }) => ({ A: matrix(A, d, n) }),
        call: ({ A }) => [A.mmulByTranspose()],
      },
      {
        ...common,
        name: "X.gram()",
        upload: ({ X, d, n }) => ({ X: matrix(X, n, d) }),
        call: ({ X }) => [X.gram()],
      },
    ],
    matmul: [
      {
        ...common,
        name: "mmul",
        upload: ({ A, B, m, k, n }) => ({ A: matrix(A, m, k), B: matrix(B, k, n) }),
        call: ({ A, B }) => [A.mmul(B)],
      },
    ],
    sandwich: [
      {
        ...common,
        name: "P.mmul(G).mmul(Q)",
        upload: ({ P, G, Q, m, n }) => ({ P: matrix(P, m, m), G: matrix(G, m, n), Q: matrix(Q, n, n) }),
        call: ({ P, G, Q }) => [P.mmul(G).mmul(Q)],
      },
    ],
    invert: [
      {
        ...common,
        name: "CholeskyDecomposition.solve(I)",
        upload: uploadList,
        call: ({ list }) => list.map((S) => new CholeskyDecomposition(S).solve(Matrix.eye(S.rows))),
      },
      {
        ...common,
        name: "inverse",
        upload: uploadList,
        call: ({ list }) => list.map((S) => inverse(S)),
      },
    ],
    eigh: [
      {
        ...common,
        name: "EigenvalueDecomposition",
        upload: uploadList,
        call: ({ list }) =>
          list.flatMap((S) => {
            const { realEigenvalues, eigenvectorMatrix } = new EigenvalueDecomposition(S, {
              assumeSymmetric: true,
            });
            return [realEigenvalues, eigenvectorMatrix];
          }),
      },
    ],
  };
}
