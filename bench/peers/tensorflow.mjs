// @tensorflow/tfjs-core with its WebGPU and its WASM back end. It has no inverse, Cholesky factor or eigen-decomposition.
import { way } from "./way.mjs";

/**
 * What is used of it.
 * @typedef {{ data(): Promise<Float32Array> }} Tensor
 * @typedef {{ device: GPUDevice, ensureCommandEncoderReady(): void, endComputePassEncoder(): void, submitQueue(): void }} GpuBackend
 * @typedef {{
 *   setBackend(name: string): Promise<boolean>,
 *   getBackend(): string,
 *   backend(): GpuBackend,
 *   ready(): Promise<void>,
 *   dispose(tensors: unknown): void,
 *   tidy(body: () => Tensor): Tensor,
 *   tensor2d(data: Float32Array, shape: readonly [number, number]): Tensor,
 *   transpose(A: Tensor): Tensor,
 *   matMul(A: Tensor, B: Tensor, transposeA?: boolean, transposeB?: boolean): Tensor,
 * }} TensorFlow
 * @typedef {{ setWasmPaths(folder: string): void }} WasmBackend
 */

/**
 * A module of ES or of CommonJS.
 * @template {object} T
 * @typedef {T | { default: T }} Module
 */

/** @type {Promise<TensorFlow> | undefined} */
let loading;

/** @param {import("./index.mjs").Where} where */
function library(where) {
  loading ??= (async () => {
    /** @type {Module<TensorFlow>} */
    const tf = await where.module("@tensorflow/tfjs-core");
    await where.module("@tensorflow/tfjs-backend-webgpu");
    /** @type {Module<WasmBackend>} */
    const wasm = await where.module("@tensorflow/tfjs-backend-wasm");
    ("default" in wasm ? wasm.default : wasm).setWasmPaths(
      `${where.folderOf("@tensorflow/tfjs-backend-wasm")}/`,
    );
    return "default" in tf ? tf.default : tf;
  })();
  return loading;
}

/** @param {"webgpu" | "wasm"} name */
function backend(name) {
  return {
    /** @param {import("./index.mjs").Where} where */
    async load(where) {
      const tf = await library(where);
      if (!(await tf.setBackend(name))) throw new Error(`no ${name} back end`);
      await tf.ready();
      return {
        id: `tfjs-${name}`,
        name: `tfjs ${name}`,
        version: where.version("@tensorflow/tfjs-core"),
        formulations: (/** @type {import("./way.mjs").Kind} */ kind) => formulations(tf)[kind] ?? [],
        enter: async () => {
          if (tf.getBackend() !== name) await tf.setBackend(name);
        },
        async finish() {
          // WASM has computed by now; WebGPU holds back what it has recorded until there is more of it.
          if (name === "wasm") return;
          const own = tf.backend();
          own.ensureCommandEncoderReady();
          own.endComputePassEncoder();
          own.submitQueue();
          await own.device.queue.onSubmittedWorkDone();
        },
      };
    },
  };
}

export const webgpu = backend("webgpu");
export const wasm = backend("wasm");

/** @param {TensorFlow} tf @returns {import("./way.mjs").Formulations} */
function formulations(tf) {
  const care = {
    read: async (/** @type {readonly Tensor[]} */ tensors) => {
      const data = [];
      for (const tensor of tensors) data.push(await tensor.data());
      return data;
    },
    free: (/** @type {readonly Tensor[]} */ tensors) => tf.dispose(tensors),
    drop: (/** @type {Readonly<Record<string, Tensor>>} */ state) => tf.dispose(state),
  };
  const matrix = (/** @type {Float32Array} */ data, /** @type {number} */ rows, /** @type {number} */ cols) =>
    tf.tensor2d(data, [rows, cols]);
  const tidy = (/** @type {() => Tensor} */ body) => [tf.tidy(body)];
  return {
    gram: [
      way("gram", care, {
        name: "matMul(A, transpose(A))",
        upload: ({ A, d, n }) => ({ A: matrix(A, d, n) }),
        call: ({ A }) => tidy(() => tf.matMul(A, tf.transpose(A))),
      }),
      way("gram", care, {
        name: "matMul(A, A, false, true)",
        upload: ({ A, d, n }) => ({ A: matrix(A, d, n) }),
        call: ({ A }) => tidy(() => tf.matMul(A, A, false, true)),
      }),
      way("gram", care, {
        name: "matMul(X, X, true)",
        upload: ({ X, d, n }) => ({ X: matrix(X, n, d) }),
        call: ({ X }) => tidy(() => tf.matMul(X, X, true, false)),
      }),
    ],
    matmul: [
      way("matmul", care, {
        name: "matMul",
        upload: ({ A, B, m, k, n }) => ({ A: matrix(A, m, k), B: matrix(B, k, n) }),
        call: ({ A, B }) => tidy(() => tf.matMul(A, B)),
      }),
    ],
    sandwich: [
      way("sandwich", care, {
        name: "matMul(matMul(P, G), Q)",
        upload: ({ P, G, Q, m, n }) => ({ P: matrix(P, m, m), G: matrix(G, m, n), Q: matrix(Q, n, n) }),
        call: ({ P, G, Q }) => tidy(() => tf.matMul(tf.matMul(P, G), Q)),
      }),
    ],
  };
}
