// What the optimisers are set to. A new task is an entry here.
import { HELD_OUT } from "./held-out.mjs";
import { digitStream } from "./mnist.mjs";
import {
  chainWeights,
  deepStream,
  regressionStream,
  smallBatchStream,
  smoothImageStream,
  sparseStream,
} from "./problems.mjs";

/**
 * @typedef {import("../gpu.mjs").Library} Library
 * @typedef {import("../../src/index.js").Module} Module
 * @typedef {import("../../src/index.js").Loss} Loss
 * @typedef {import("../../src/index.js").Graph} Graph
 * @typedef {import("../../src/index.js").InputForm} InputForm
 * @typedef {import("./problems.mjs").Stream} Stream
 *
 * @typedef {object} Task
 * @property {string} id
 * @property {string} title
 * @property {string} network in words
 * @property {"softmax" | "sigmoid" | "squared"} loss
 * @property {number} batch examples of a step
 * @property {InputForm} [input] of a list of modules: channels, height and width of images, a vocabulary and a length
 * @property {(library: Library) => Module[] | Graph} modules
 * @property {(seed: number) => Float32Array[]} [weights] those to begin with; by default the library's own for the seed
 * @property {(seed: number, library: Library) => Stream} stream
 *
 * @typedef {"relu" | "tanh" | "linear"} Activation
 */

/**
 * Dense layers, each with its activation.
 * @param {readonly number[]} sizes @param {readonly Activation[]} activations one for each layer
 * @returns {(library: Library) => Module[]}
 */
const chain =
  (sizes, activations) =>
  ({ dense, relu, tanh }) =>
    activations.flatMap((activation, l) => {
      const layer = dense(sizes[l], sizes[l + 1]);
      if (activation === "linear") return [layer];
      return [layer, activation === "relu" ? relu() : tanh()];
    });

/**
 * A chain whose first weights have the gain of their activation.
 * @param {readonly number[]} sizes @param {readonly Activation[]} activations
 */
const scaledChain = (sizes, activations) => ({
  modules: chain(sizes, activations),
  weights: (/** @type {number} */ seed) => chainWeights(sizes, activations, seed),
});

/** @type {(id: string, title: string, scale: number) => Task} */
const regression = (id, title, scale) => ({
  ...{ id, title, network: "12-64-64-3, tanh", loss: "squared", batch: 64 },
  ...scaledChain([12, 64, 64, 3], ["tanh", "tanh", "linear"]),
  stream: regressionStream(scale),
});

const DEPTH = 12;

/** @type {readonly Task[]} */
export const TASKS = [
  {
    ...{ id: "mnist", title: "MNIST classifier", network: "784-256-128-10, ReLU" },
    ...{ loss: "softmax", batch: 500 },
    modules: chain([784, 256, 128, 10], ["relu", "relu", "linear"]),
    stream: digitStream(500),
  },
  {
    ...{ id: "mnist-cnn", title: "MNIST CNN", network: "conv8 5×5, pool, conv16 5×5, pool, dense 10, ReLU" },
    ...{ loss: "softmax", batch: 250, input: [1, 28, 28] },
    modules: ({ conv2d, relu, maxPool2d, flatten, dense }) => [
      ...[conv2d(1, 8, 5, { padding: 2 }), relu(), maxPool2d(2)],
      ...[conv2d(8, 16, 5, { padding: 2 }), relu(), maxPool2d(2)],
      ...[flatten(), dense(784, 10)],
    ],
    stream: digitStream(250),
  },
  {
    ...{ id: "small-autoencoder", title: "Small auto-encoder, full batch" },
    ...{ network: "784-200-30-200-784, ReLU, linear code", loss: "sigmoid", batch: 200 },
    modules: chain([784, 200, 30, 200, 784], ["relu", "linear", "relu", "linear"]),
    stream: smoothImageStream,
  },
  regression("targets-1e-3", "Targets of scale 0.001", 1e-3),
  regression("targets-1e3", "Targets of scale 1000", 1e3),
  {
    ...{
      id: "deep",
      title: "Deep narrow tanh",
      network: "16, 12 × 32, 4, tanh",
      loss: "softmax",
      batch: 128,
    },
    ...scaledChain([16, ...Array(DEPTH).fill(32), 4], [...Array(DEPTH).fill("tanh"), "linear"]),
    stream: deepStream,
  },
  {
    ...{ id: "batch-8", title: "Batches of 8", network: "10-40-3, ReLU", loss: "softmax", batch: 8 },
    ...scaledChain([10, 40, 3], ["relu", "linear"]),
    stream: smallBatchStream,
  },
  {
    ...{
      id: "sparse",
      title: "One-hot sparse inputs",
      network: "400-64-4, ReLU",
      loss: "softmax",
      batch: 64,
    },
    ...scaledChain([400, 64, 4], ["relu", "linear"]),
    stream: sparseStream,
  },
];

/** Those whose defaults were looked at, and those that took no part. */
export const ALL_TASKS = [...TASKS, ...HELD_OUT];

/** The benchmark of the field: trained by epochs, and only when it is asked for. */
export const AUTOENCODER = {
  id: "autoencoder",
  title: "MNIST auto-encoder",
  network: "784-1000-500-250-30 and mirror, ReLU, linear code",
  batch: 1000,
  /** Training losses whose epochs are told. */
  marks: [60, 57, 55, 53],
  modules: chain(
    [784, 1000, 500, 250, 30, 250, 500, 1000, 784],
    ["relu", "relu", "relu", "linear", "relu", "relu", "relu", "linear"],
  ),
};

/** @param {Library} library @param {Task["loss"]} loss @returns {Loss} */
export function lossOf({ softmaxCrossEntropy, sigmoidCrossEntropy, halfSquaredError }, loss) {
  if (loss === "softmax") return softmaxCrossEntropy();
  return loss === "sigmoid" ? sigmoidCrossEntropy() : halfSquaredError();
}
