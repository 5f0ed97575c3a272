// @jax-js/jax, on its WebGPU and its WASM back end. Arrays are counted references: a call consumes its arguments, so `.ref`
// keeps them.

/** @type {Promise<any> | undefined} */
let loading;

/** @param {import("./index.mjs").Where} where */
async function library(where) {
  loading ??= where
    .module("@jax-js/jax")
    .then(async (jax) => ({ jax, devices: await jax.init("webgpu", "wasm") }));
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
        formulations: (/** @type {string} */ kind) => formulations(jax)[kind] ?? [],
        enter: () => void jax.defaultDevice(device),
        async finish(results) {
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

/** @returns {Record<string, import("./index.mjs").Formulation[]>} */
function formulations(jax) {
  const np = jax.numpy;
  const { cholesky } = np.linalg;
  const { triangularSolve } = jax.lax.linalg;
  const common = {
    read: async (arrays) => {
      const data = [];
      for (const array of arrays) data.push(await array.ref.data());
      return data;
    },
    free: (arrays) => arrays.forEach((array) => void array.dispose()),
    drop: (state) =>
      Object.values(state)
        .flat()
        .forEach((array) => void array?.dispose?.()),
  };
  const matrix = (data, rows, cols) => np.array(data, { shape: [rows, cols] });
  const eye = (n) => np.eye(n);
  const gramOf = (A) => np.matmul(A.ref, np.matrixTranspose(A));
  const jitted = jax.jit(gramOf);

  const throughCholesky = (S, n) => {
    const inverse = triangularSolve(cholesky(S), eye(n), { leftSide: true, lower: true });
    return np.matmul(np.matrixTranspose(inverse.ref), inverse);
  };
  const uploadList = ({ list }) => ({
    list: list.map(({ S, n }) => matrix(S, n, n)),
    sizes: list.map(({ n }) => n),
  });
  /** All matrices in one array, where they have one size. */
  const uploadStack = ({ list }) => {
    const { n } = list[0];
    if (list.length < 2 || list.some((one) => one.n !== n)) return undefined;
    const all = new Float32Array(list.length * n * n);
    list.forEach(({ S }, k) => void all.set(S, k * n * n));
    return { stack: np.array(all, { shape: [list.length, n, n] }), count: list.length };
  };
  const readStack = async ([array]) => {
    const [count, n] = array.shape;
    const data = await array.ref.data();
    return Array.from({ length: count }, (_, k) => data.subarray(k * n * n, (k + 1) * n * n));
  };
  return {
    gram: [
      {
        ...common,
        name: "jit of matmul(A, A')",
        upload: ({ A, d, n }) => ({ A: matrix(A, d, n) }),
        call: ({ A }) => [jitted(A.ref)],
      },
      {
        ...common,
        name: "matmul(A, A')",
        upload: ({ A, d, n }) => ({ A: matrix(A, d, n) }),
        call: ({ A }) => [gramOf(A.ref)],
      },
      {
        ...common,
        name: "matmul(X', X)",
        upload: ({ X, d, n }) => ({ X: matrix(X, n, d) }),
        call: ({ X }) => [np.matmul(np.matrixTranspose(X.ref), X.ref)],
      },
    ],
    matmul: [
      {
        ...common,
        name: "matmul",
        upload: ({ A, B, m, k, n }) => ({ A: matrix(A, m, k), B: matrix(B, k, n) }),
        call: ({ A, B }) => [np.matmul(A.ref, B.ref)],
      },
    ],
    sandwich: [
      {
        ...common,
        name: "matmul(matmul(P, G), Q)",
        upload: ({ P, G, Q, m, n }) => ({ P: matrix(P, m, m), G: matrix(G, m, n), Q: matrix(Q, n, n) }),
        call: ({ P, G, Q }) => [np.matmul(np.matmul(P.ref, G.ref), Q.ref)],
      },
    ],
    invert: [
      {
        ...common,
        name: "cholesky, triangularSolve, matmul",
        upload: uploadList,
        call: ({ list, sizes }) => list.map((S, k) => throughCholesky(S.ref, sizes[k])),
      },
      {
        ...common,
        name: "linalg.inv",
        upload: uploadList,
        call: ({ list }) => list.map((S) => np.linalg.inv(S.ref)),
      },
      {
        ...common,
        name: "linalg.inv of a stack",
        upload: uploadStack,
        call: ({ stack }) => [np.linalg.inv(stack.ref)],
        read: readStack,
      },
    ],
    eigh: [
      {
        ...common,
        name: "linalg.eigh",
        upload: uploadList,
        call: ({ list }) => list.flatMap((S) => np.linalg.eigh(S.ref)),
      },
      {
        ...common,
        name: "linalg.eigh of a stack",
        upload: uploadStack,
        call: ({ stack }) => np.linalg.eigh(stack.ref),
        read: async ([values, vectors]) => {
          const [count, n] = values.shape;
          const [V, L] = [await vectors.ref.data(), await values.ref.data()];
          return Array.from({ length: count }, (_, k) => [
            L.subarray(k * n, (k + 1) * n),
            V.subarray(k * n * n, (k + 1) * n * n),
          ]).flat();
        },
      },
    ],
  };
}
