// @jax-js/jax, on its WebGPU and its WASM back end. Arrays are counted references: a call consumes its arguments, so `.ref`
// keeps them.
import { way } from "./way.mjs";

/**
 * @typedef {typeof import("@jax-js/jax")} Jax
 * @typedef {import("@jax-js/jax").Array} JaxArray
 * @typedef {import("../operations/index.mjs").InputsOf["invert"]} Matrices
 */

/** @type {Promise<{ jax: Jax, devices: readonly string[] }> | undefined} */
let loading;

/** @param {import("./index.mjs").Where} where */
function library(where) {
  /** @type {Promise<Jax>} */
  const module = where.module("@jax-js/jax");
  loading ??= module.then(async (jax) => ({ jax, devices: await jax.init("webgpu", "wasm") }));
  return loading;
}

/** @param {"webgpu" | "wasm"} device */
function backend(device) {
  return {
    /** @param {import("./index.mjs").Where} where */
    async load(where) {
      const { jax, devices } = await library(where);
      if (!devices.includes(device)) throw new Error(`no ${device} back end`);
      return {
        id: `jax-${device}`,
        name: `jax-js ${device}`,
        version: where.version("@jax-js/jax"),
        formulations: (/** @type {import("./way.mjs").Kind} */ kind) => formulations(jax)[kind] ?? [],
        enter: () => void jax.defaultDevice(device),
        async finish(/** @type {readonly JaxArray[][]} */ results) {
          const arrays = results.flat();
          if (device === "wasm") return void (await jax.blockUntilReady(arrays));
          // Dispatches what is pending; then the queue says when it is done, without a read-back.
          for (const array of arrays) await array.ref.gpuBuffer();
          await jax.getWebGPUDevice().queue.onSubmittedWorkDone();
        },
      };
    },
  };
}

export const webgpu = backend("webgpu");
export const wasm = backend("wasm");

/** @param {Jax} jax @returns {import("./way.mjs").Formulations} */
function formulations(jax) {
  const np = jax.numpy;
  const { cholesky } = np.linalg;
  const { triangularSolve } = jax.lax.linalg;
  const care = {
    read: async (/** @type {readonly JaxArray[]} */ arrays) => {
      const data = [];
      for (const array of arrays) data.push(await array.ref.data());
      return data;
    },
    free: (/** @type {readonly JaxArray[]} */ arrays) => arrays.forEach((array) => void array.dispose()),
    drop: (/** @type {Readonly<Record<string, JaxArray | readonly JaxArray[]>>} */ state) =>
      Object.values(state)
        .flat()
        .forEach((array) => void array.dispose()),
  };
  const matrix = (/** @type {Float32Array} */ data, /** @type {number} */ rows, /** @type {number} */ cols) =>
    np.array(/** @type {Float32Array<ArrayBuffer>} */ (data), { shape: [rows, cols] });
  const gramOf = (/** @type {JaxArray} */ A) => np.matmul(A.ref, np.matrixTranspose(A));
  const jitted = jax.jit(gramOf);

  const throughCholesky = (/** @type {JaxArray} */ S) => {
    const eye = np.eye(S.shape[0]);
    const inverse = triangularSolve(cholesky(S), eye, { leftSide: true, lower: true });
    return np.matmul(np.matrixTranspose(inverse.ref), inverse);
  };
  const uploadList = (/** @type {Matrices} */ { list }) => ({
    list: list.map(({ S, n }) => matrix(S, n, n)),
  });
  /** All matrices in one array, where they have one size. */
  const uploadStack = (/** @type {Matrices} */ { list }) => {
    const { n } = list[0];
    if (list.length < 2 || list.some((one) => one.n !== n)) return undefined;
    const all = new Float32Array(list.length * n * n);
    list.forEach(({ S }, k) => void all.set(S, k * n * n));
    return { stack: np.array(all, { shape: [list.length, n, n] }) };
  };
  /** The parts of a stack one by one. @param {JaxArray} array */
  const partsOf = async (array) => {
    const [count, ...shape] = array.shape;
    const size = shape.reduce((product, length) => product * length, 1);
    const data = await array.ref.data();
    return Array.from({ length: count }, (_, k) => data.subarray(k * size, (k + 1) * size));
  };
  return {
    gram: [
      way("gram", care, {
        name: "jit of matmul(A, A')",
        upload: ({ A, d, n }) => ({ A: matrix(A, d, n) }),
        call: ({ A }) => [jitted(A.ref)],
      }),
      way("gram", care, {
        name: "matmul(A, A')",
        upload: ({ A, d, n }) => ({ A: matrix(A, d, n) }),
        call: ({ A }) => [gramOf(A.ref)],
      }),
      way("gram", care, {
        name: "matmul(X', X)",
        upload: ({ X, d, n }) => ({ X: matrix(X, n, d) }),
        call: ({ X }) => [np.matmul(np.matrixTranspose(X.ref), X.ref)],
      }),
    ],
    matmul: [
      way("matmul", care, {
        name: "matmul",
        upload: ({ A, B, m, k, n }) => ({ A: matrix(A, m, k), B: matrix(B, k, n) }),
        call: ({ A, B }) => [np.matmul(A.ref, B.ref)],
      }),
    ],
    sandwich: [
      way("sandwich", care, {
        name: "matmul(matmul(P, G), Q)",
        upload: ({ P, G, Q, m, n }) => ({ P: matrix(P, m, m), G: matrix(G, m, n), Q: matrix(Q, n, n) }),
        call: ({ P, G, Q }) => [np.matmul(np.matmul(P.ref, G.ref), Q.ref)],
      }),
    ],
    invert: [
      way("invert", care, {
        name: "cholesky, triangularSolve, matmul",
        upload: uploadList,
        call: ({ list }) => list.map((S) => throughCholesky(S.ref)),
      }),
      way("invert", care, {
        name: "linalg.inv",
        upload: uploadList,
        call: ({ list }) => list.map((S) => np.linalg.inv(S.ref)),
      }),
      way("invert", care, {
        name: "linalg.inv of a stack",
        upload: uploadStack,
        call: ({ stack }) => [np.linalg.inv(stack.ref)],
        read: ([array]) => partsOf(array),
      }),
    ],
    eigh: [
      way("eigh", care, {
        name: "linalg.eigh",
        upload: uploadList,
        call: ({ list }) => list.flatMap((S) => np.linalg.eigh(S.ref)),
      }),
      way("eigh", care, {
        name: "linalg.eigh of a stack",
        upload: uploadStack,
        call: ({ stack }) => np.linalg.eigh(stack.ref),
        read: async ([values, vectors]) => {
          const [V, L] = [await partsOf(vectors), await partsOf(values)];
          return L.flatMap((list, k) => [list, V[k]]);
        },
      }),
    ],
  };
}
