// jax-js's side, on its WebGPU back end. It is loaded here alone, when somebody presses the button.
import type { Array as JaxArray } from "@jax-js/jax";
import type { Case, HostArray, Operation } from "./cases.js";
import type { Contender } from "./contender.js";

type Jax = typeof import("@jax-js/jax");
/** Arrays are counted references: a call consumes its arguments, and `.ref` keeps them. */
type Formulation = [name: string, call: (inputs: readonly JaxArray[]) => JaxArray];

/** @throws Error when jax-js finds no WebGPU of its own */
export async function loadJax(): Promise<(one: Case) => Contender[]> {
  const jax = await import("@jax-js/jax");
  const devices = await jax.init("webgpu");
  if (!devices.includes("webgpu")) throw new Error("jax-js found no WebGPU adapter");
  jax.defaultDevice("webgpu");
  const all = formulations(jax);
  return (one) => all[one.operation].map((formulation) => contender(jax, one, formulation));
}

/** All the ways to ask for it that are worth a try; the fastest one counts. */
function formulations(jax: Jax): Record<Operation, Formulation[]> {
  const { numpy: np, lax, jit } = jax;
  const gramOf = (X: JaxArray) => np.matmul(np.matrixTranspose(X.ref), X);
  const jitted = jit(gramOf);
  return {
    gram: [
      ["jit(X' X)", ([X]) => jitted(X!.ref)],
      ["matmul(X', X)", ([X]) => gramOf(X!.ref)],
    ],
    invert: [
      [
        "cholesky, triangularSolve, matmul",
        ([S]) => {
          const lower = np.linalg.cholesky(S!.ref);
          const eye = np.eye(S!.shape[0]!);
          const half = lax.linalg.triangularSolve(lower, eye, { leftSide: true, lower: true });
          return np.matmul(np.matrixTranspose(half.ref), half);
        },
      ],
      ["linalg.inv", ([S]) => np.linalg.inv(S!.ref)],
    ],
    matmul: [["matmul", ([A, B]) => np.matmul(A!.ref, B!.ref)]],
  };
}

function contender(
  { numpy: np, getWebGPUDevice }: Jax,
  { inputs }: Case,
  [name, call]: Formulation,
): Contender {
  const upload = ({ data, rows, cols }: HostArray) => np.array(data, { shape: [rows, cols] });
  const arrays = inputs.map(upload);
  return {
    formulation: name,
    async run(repetitions) {
      const results: JaxArray[] = [];
      try {
        for (let k = 0; k < repetitions; k++) results.push(call(arrays));
        // This dispatches what is pending; then the queue says when it is done, without a read-back.
        for (const result of results) await result.ref.gpuBuffer();
        await getWebGPUDevice().queue.onSubmittedWorkDone();
      } finally {
        for (const result of results) result.dispose();
      }
    },
    async output() {
      return Float32Array.from((await call(arrays).data()) as Float32Array);
    },
    dispose() {
      for (const array of arrays) array.dispose();
    },
  };
}
