// The libraries that the benchmark sets beside this one. They live in bench/node_modules, so that installing the library
// stays light, and each is loaded when it is wanted: one that does not load is a row that says so.
import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";

/**
 * @typedef {import("./way.mjs").Kind} Kind
 * @typedef {import("./way.mjs").Formulation} Formulation
 *
 * @typedef {{
 *   id: string,
 *   name: string,
 *   version: string,
 *   looseness?: number,
 *   variant?: boolean,
 *   dispose?(): void,
 *   formulations(kind: Kind): readonly Formulation[],
 *   enter(): Promise<void> | void,
 *   finish(results: readonly unknown[]): Promise<void> | void,
 * }} Peer its errors may pass the tolerance by `looseness`; a `variant` of another peer is left out where it has nothing of
 *   its own; `formulations` gives none where the library has no such operation; `enter` makes it the library's current back
 *   end, `finish` waits until all results are there
 *
 * @typedef {{ id: string, name: string, error: string }} AbsentPeer one that does not load, and why
 * @typedef {Peer | AbsentPeer} MaybePeer
 */

/** @type {Readonly<Record<string, () => Promise<{ load(where: Where): Promise<Peer> }>>>} */
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
 * The peers' packages. What a module holds is the peer's own business: it names the part that it uses.
 * @typedef {{
 *   folderOf(name: string): string,
 *   module<T>(name: string): Promise<T>,
 *   version(name: string): string,
 * }} Where
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
 * @returns {Promise<MaybePeer>}
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
