// numpy-ts: NumPy's interface over WASM kernels, in f32 and f64.

export const numpy = {
  /** @param {import("./index.mjs").Where} where */
  async load(where) {
    const np = await where.module("numpy-ts");
    // Its own limit is 256 MiB; beyond it results are plain arrays, and slower.
    np.configureWasm({ maxMemory: 2 ** 30 });
    return {
      id: "numpy-ts",
      name: "numpy-ts",
      version: where.version("numpy-ts"),
      formulations: (/** @type {string} */ kind) => formulations(np)[kind] ?? [],
      enter() {},
      finish() {},
    };
  },
};

/** @returns {Record<string, import("./index.mjs").Formulation[]>} */
function formulations(np) {
  const dispose = (array) => void array?.dispose?.();
  const common = {
    read: async (arrays) => arrays.map((array) => array.data),
    free: (arrays) => arrays.forEach(dispose),
    drop: (state) => Object.values(state).flat().forEach(dispose),
  };
  const matrix = (data, rows, cols, type = "float32") => {
    const array = np.zeros([rows, cols], type);
    array.data.set(data);
    return array;
  };
  const uploadList =
    (type) =>
    ({ list }) => ({ list: list.map(({ S, n }) => matrix(S, n, n, type)) });
  const product = (/** @type {() => any} */ body) => [body()];
  return {
    gram: [
      {
        ...common,
        // The transposed view alone takes ten times as long as a transposed copy.
        name: "matmul(A, copy of A')",
        upload: ({ A, d, n }) => ({ A: matrix(A, d, n) }),
        call: ({ A }) => {
          const view = A.T;
          const copy = np.ascontiguousarray(view);
          const S = np.matmul(A, copy);
          dispose(copy);
          dispose(view);
          return [S];
        },
      },
    ],
    matmul: [
      {
        ...common,
        name: "matmul",
        upload: ({ A, B, m, k, n }) => ({ A: matrix(A, m, k), B: matrix(B, k, n) }),
        call: ({ A, B }) => product(() => np.matmul(A, B)),
      },
    ],
    sandwich: [
      {
        ...common,
        name: "matmul(matmul(P, G), Q)",
        upload: ({ P, G, Q, m, n }) => ({ P: matrix(P, m, m), G: matrix(G, m, n), Q: matrix(Q, n, n) }),
        call: ({ P, G, Q }) => {
          const half = np.matmul(P, G);
          const U = np.matmul(half, Q);
          dispose(half);
          return [U];
        },
      },
    ],
    invert: ["float32", "float64"].map((type) => ({
      ...common,
      name: `linalg.inv in ${type === "float32" ? "f32" : "f64"}`,
      upload: uploadList(type),
      call: ({ list }) => list.map((S) => np.linalg.inv(S)),
    })),
    eigh: [
      {
        ...common,
        name: "linalg.eigh",
        upload: uploadList("float32"),
        call: ({ list }) =>
          list.flatMap((S) => {
            const { w, v } = np.linalg.eigh(S);
            return [w, v];
          }),
      },
    ],
  };
}
