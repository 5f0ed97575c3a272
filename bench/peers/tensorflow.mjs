// @tensorflow/tfjs-core with its WebGPU and its WASM back end. It has no inverse, Cholesky factor or eigen-decomposition.
/** @type {Promise<any> | undefined} */
let loading;

/** @param {import("./index.mjs").Where} where */
function library(where) {
  loading ??= (async () => {
    const tf = await where.module("@tensorflow/tfjs-core");
    await where.module("@tensorflow/tfjs-backend-webgpu");
    const wasm = await where.module("@tensorflow/tfjs-backend-wasm");
    (wasm.default ?? wasm).setWasmPaths(`${where.folderOf("@tensorflow/tfjs-backend-wasm")}/`);
    return tf.default ?? tf;
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
        formulations: (/** @type {string} */ kind) => formulations(tf)[kind] ?? [],
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

/** @returns {Record<string, import("./index.mjs").Formulation[]>} */
function formulations(tf) {
  const common = {
    read: async (tensors) => {
      const data = [];
      for (const tensor of tensors) data.push(await tensor.data());
      return data;
    },
    free: (tensors) => tf.dispose(tensors),
    drop: (state) => tf.dispose(state),
  };
  const matrix = (data, rows, cols) => tf.tensor2d(data, [rows, cols]);
  const tidy = (/** @type {() => any} */ body) => [tf.tidy(body)];
  return {
    gram: [
      {
        ...common,
        name: "matMul(A, transpose(A))",
        upload: ({ A, d, n }) => ({ A: matrix(A, d, n) }),
        call: ({ A }) => tidy(() => tf.matMul(A, tf.transpose(A))),
      },
      {
        ...common,
        name: "matMul(A, A, false, true)",
        upload: ({ A, d, n }) => ({ A: matrix(A, d, n) }),
        call: ({ A }) => tidy(() => tf.matMul(A, A, false, true)),
      },
      {
        ...common,
        name: "matMul(X, X, true)",
        upload: ({ X, d, n }) => ({ X: matrix(X, n, d) }),
        call: ({ X }) => tidy(() => tf.matMul(X, X, true, false)),
      },
    ],
    matmul: [
      {
        ...common,
        name: "matMul",
        upload: ({ A, B, m, k, n }) => ({ A: matrix(A, m, k), B: matrix(B, k, n) }),
        call: ({ A, B }) => tidy(() => tf.matMul(A, B)),
      },
    ],
    sandwich: [
      {
        ...common,
        name: "matMul(matMul(P, G), Q)",
        upload: ({ P, G, Q, m, n }) => ({ P: matrix(P, m, m), G: matrix(G, m, n), Q: matrix(Q, n, n) }),
        call: ({ P, G, Q }) => tidy(() => tf.matMul(tf.matMul(P, G), Q)),
      },
    ],
  };
}
