// The libraries that the benchmark sets beside this one. They live in bench/node_modules, so that installing the library
// stays light, and each is loaded when it is wanted: one that does not load is a row that says so.
import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";

/**
 * @typedef {{ A: Float32Array, X: Float32Array, d: number, n: number }} GramInputs A is d × n, X its transpose
 * @typedef {{ A: Float32Array, B: Float32Array, m: number, k: number, n: number }} MatmulInputs
 * @typedef {{ P: Float32Array, G: Float32Array, Q: Float32Array, m: number, n: number }} SandwichInputs
 * @typedef {{ list: { S: Float32Array, n: number }[] }} SymmetricInputs one matrix or several
 *
 * @typedef {object} Formulation one way for a library to do an operation
 * @property {string} name
 * @property {(inputs: any) => any} upload untimed, and may take its time
 * @property {(states: any[], first: number, repetitions: number) => Promise<number>} [timed] instead of calls, where the
 *   library runs elsewhere and times itself: milliseconds of all repetitions
 * @property {(state: any) => any} call begins one repetition; the result may not be there yet
 * @property {(result: any) => Promise<ArrayLike<number>[]>} read untimed
 * @property {(result: any) => void} free
 * @property {(state: any) => void} drop
 *
 * @typedef {object} Peer
 * @property {string} id
 * @property {string} name
 * @property {string} version
 * @property {number} [looseness] by which its errors may pass the tolerance
 * @property {boolean} [variant] of another peer, left out where it has nothing of its own
 * @property {() => void} [dispose]
 * @property {(kind: string) => Formulation[]} formulations none where the library has no such operation
 * @property {() => Promise<void> | void} enter makes it the library's current back end
 * @property {(results: any[]) => Promise<void> | void} finish waits until all results are there
 */

/** @type {Record<string, () => Promise<{ load: (where: Where) => Promise<Peer> }>>} */
const LOADERS = {
  "jax-webgpu": async () => (await import("./jax.mjs")).webgpu,
  "jax-wasm": async () => (await import("./jax.mjs")).wasm,
  "tfjs-webgpu": async () => (await import("./tensorflow.mjs")).webgpu,
  "tfjs-wasm": async () => (await import("./tensorflow.mjs")).wasm,
  "numpy-ts": async () => (await import("./numpy-ts.mjs")).numpy,
  "ml-matrix": async () => (await import("./ml-matrix.mjs")).mlMatrix,
  scipy: async () => (await import("./native.mjs")).scipy,
  torch: async () => (await import("./native.mjs")).torch,
  "torch-tf32": async () => (await import("./native.mjs")).torchTf32,
};

export const PEERS = Object.keys(LOADERS);

const root = fileURLToPath(new URL("..", import.meta.url));

/**
 * The peers' packages.
 * @typedef {{ folderOf: (name: string) => string, module: (name: string) => Promise<any>, version: (name: string) => string }} Where
 */

/** @type {Where} */
const packages = {
  folderOf: (name) => dirname(createRequire(import.meta.url).resolve(name)),
  module: (name) => import(name),
  version: (name) => JSON.parse(readFileSync(`${root}/node_modules/${name}/package.json`, "utf8")).version,
};

/** Whether the packages are installed. */
export const installed = () => existsSync(`${root}/node_modules/.package-lock.json`);

/**
 * Loads one library.
 * @param {string} id
 * @returns {Promise<Peer | { id: string, name: string, error: string }>}
 */
export async function loadPeer(id) {
  const loader = LOADERS[id];
  if (!loader) throw new Error(`no peer ${id}: there are ${PEERS.join(", ")}`);
  try {
    return await (await loader()).load(packages);
  } catch (error) {
    return { id, name: id, error: messageOf(error) };
  }
}

/** @param {unknown} error */
export function messageOf(error) {
  const text =
    error instanceof Error
      ? `${error.name === "Error" ? "" : `${error.name}: `}${error.message}`
      : String(error);
  return text.split("\n")[0].slice(0, 200);
}

/**
 * The libraries ask for WebGPU as a page would.
 * @param {GPU} gpu
 */
export function installNavigator(gpu) {
  const userAgent = `Node.js/${process.versions.node.split(".")[0]}`;
  const known = globalThis.navigator;
  if (known?.userAgent) Object.defineProperty(known, "gpu", { value: gpu, configurable: true });
  else Object.defineProperty(globalThis, "navigator", { value: { gpu, userAgent }, configurable: true });
}
