// numpy-ts: NumPy's interface over WASM kernels, in f32 and f64.
import { way } from "./way.mjs";

/**
 * What is used of it.
 * @typedef {{ readonly data: Float32Array | Float64Array, readonly T: NdArray, dispose?(): void }} NdArray
 * @typedef {{
 *   configureWasm(options: { maxMemory: number }): void,
 *   zeros(shape: readonly number[], type: NumberType): NdArray,
 *   matmul(A: NdArray, B: NdArray): NdArray,
 *   ascontiguousarray(A: NdArray): NdArray,
 *   linalg: { inv(S: NdArray): NdArray, eigh(S: NdArray): { w: NdArray, v: NdArray } },
 * }} Numpy
 * @typedef {"float32" | "float64"} NumberType
 * @typedef {import("../operations/index.mjs").InputsOf["invert"]} Matrices
 */

export const numpy = {
  /** @param {import("./index.mjs").Where} where */
  async load(where) {
    /** @type {Numpy} */
    const np = await where.module("numpy-ts");
    // Its own limit is 256 MiB; beyond it results are plain arrays, and slower.
    np.configureWasm({ maxMemory: 2 ** 30 });
    return {
      id: "numpy-ts",
      name: "numpy-ts",
      version: where.version("numpy-ts"),
      formulations: (/** @type {import("./way.mjs").Kind} */ kind) => formulations(np)[kind] ?? [],
      enter() {},
      finish() {},
    };
  },
};

/** @param {Numpy} np @returns {import("./way.mjs").Formulations} */
function formulations(np) {
  const dispose = (/** @type {NdArray} */ array) => void array.dispose?.();
  const care = {
    read: async (/** @type {readonly NdArray[]} */ arrays) => arrays.map((array) => array.data),
    free: (/** @type {readonly NdArray[]} */ arrays) => arrays.forEach(dispose),
    drop: (/** @type {Readonly<Record<string, NdArray | readonly NdArray[]>>} */ state) =>
      Object.values(state).flat().forEach(dispose),
  };
  const matrix = (
    /** @type {Float32Array} */ data,
    /** @type {number} */ rows,
    /** @type {number} */ cols,
    /** @type {NumberType} */ type = "float32",
  ) => {
    const array = np.zeros([rows, cols], type);
    array.data.set(data);
    return array;
  };
  const uploadList =
    (/** @type {NumberType} */ type) =>
    (/** @type {Matrices} */ { list }) => ({ list: list.map(({ S, n }) => matrix(S, n, n, type)) });
  return {
    gram: [
      way("gram", care, {
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
      }),
    ],
    matmul: [
      way("matmul", care, {
        name: "matmul",
        upload: ({ A, B, m, k, n }) => ({ A: matrix(A, m, k), B: matrix(B, k, n) }),
        call: ({ A, B }) => [np.matmul(A, B)],
      }),
    ],
    sandwich: [
      way("sandwich", care, {
        name: "matmul(matmul(P, G), Q)",
        upload: ({ P, G, Q, m, n }) => ({ P: matrix(P, m, m), G: matrix(G, m, n), Q: matrix(Q, n, n) }),
        call: ({ P, G, Q }) => {
          const half = np.matmul(P, G);
          const U = np.matmul(half, Q);
          dispose(half);
          return [U];
        },
      }),
    ],
    invert: /** @type {const} */ (["float32", "float64"]).map((type) =>
      way("invert", care, {
        name: `linalg.inv in ${type === "float32" ? "f32" : "f64"}`,
        upload: uploadList(type),
        call: ({ list }) => list.map((S) => np.linalg.inv(S)),
      }),
    ),
    eigh: [
      way("eigh", care, {
        name: "linalg.eigh",
        upload: uploadList("float32"),
        call: ({ list }) =>
          list.flatMap((S) => {
            const { w, v } = np.linalg.eigh(S);
            return [w, v];
          }),
      }),
    ],
  };
}
