// The input factor of a convolution: the Gram matrix of all patches, with the bias's 1. The library makes patches a chunk at
// a time; no peer has such an operation, so each is given the whole patch matrix for nothing and multiplies it.
import { gramError } from "../check.mjs";
import { randoms, transposed } from "../data.mjs";
import { gramFlops } from "../flops.mjs";
import { Arena, recordedRunner } from "../gpu.mjs";

/**
 * @typedef {{ count: number, channels: number, size: number, kernel: number }} Shape images of size × size, padded so that
 *   there is a position for each pixel
 * @typedef {import("./index.mjs").InputsOf["gram"] & { images: Float32Array }} PatchInputs
 */

/** @type {Shape[]} */
const QUICK = [{ count: 8, channels: 8, size: 14, kernel: 3 }];
/** @type {Shape[]} */
const FULL = [
  { count: 250, channels: 1, size: 28, kernel: 5 },
  { count: 250, channels: 8, size: 14, kernel: 5 },
  { count: 32, channels: 32, size: 14, kernel: 3 },
];

/** @type {import("./index.mjs").Operation} */
export const convolution = {
  id: "convolution",
  title: "Convolution Gram",
  kind: "gram",
  cases: (extent) => (extent === "quick" ? QUICK : FULL).map(patchGram),
};

/** @param {Shape} shape @returns {import("./index.mjs").Case<PatchInputs>} */
function patchGram(shape) {
  const { count, channels, size, kernel } = shape;
  const d = channels * kernel * kernel + 1;
  const n = count * size * size;
  return {
    id: `convolution ${channels}x${size}x${size} k${kernel} N${count}`,
    label: `${channels} × ${size} × ${size}, kernel ${kernel}, ${count} images`,
    size: d,
    work: gramFlops(d, n),
    flops: gramFlops(d, n),
    bytes: 4 * d * n,
    inputs: (seed) => {
      const images = randoms(count * channels * size * size, seed);
      const X = patches(images, shape);
      return { images, X, A: transposed(X, n, d), d, n };
    },
    check: ([S], { A }) => gramError(S, A, d, n),
    tolerance: 1e-5,
    ours: (lab, sets) => ourFactor(lab, shape, d, sets),
  };
}

/** One position a row: channel by channel the kernel's pixels, then the 1. @param {Float32Array} images @param {Shape} shape */
function patches(images, { count, channels, size, kernel }) {
  const d = channels * kernel * kernel + 1;
  const half = (kernel - 1) / 2;
  const X = new Float32Array(count * size * size * d);
  let at = 0;
  for (let i = 0; i < count; i++) {
    for (let y = 0; y < size; y++) {
      for (let x = 0; x < size; x++) {
        for (let c = 0; c < channels; c++) {
          const plane = (i * channels + c) * size * size;
          for (let dy = -half; dy <= half; dy++) {
            for (let dx = -half; dx <= half; dx++, at++) {
              const inside = y + dy >= 0 && y + dy < size && x + dx >= 0 && x + dx < size;
              if (inside) X[at] = images[plane + (y + dy) * size + x + dx];
            }
          }
        }
        X[at++] = 1;
      }
    }
  }
  return X;
}

/**
 * The factor as a convolutional layer of a network records it, over one network a set of inputs.
 * @param {import("../gpu.mjs").Lab} lab @param {Shape} shape @param {number} d @param {readonly PatchInputs[]} sets
 */
function ourFactor(lab, { count, channels, size, kernel }, d, sets) {
  const { conv2d, flatten, dense, halfSquaredError } = lab.library;
  const { engine } = lab;
  const networks = sets.map(({ images }) => {
    const modules = [
      conv2d(channels, 1, kernel, { padding: (kernel - 1) / 2 }),
      flatten(),
      dense(size * size, 1),
    ];
    const network = engine.network(modules, halfSquaredError(), {
      batchSize: count,
      input: [channels, size, size],
    });
    network.load({ inputs: images, targets: new Float32Array(count), count });
    const recorder = engine.manager.record();
    const pass = network.recordPass(recorder);
    recorder.submit();
    return { network, inputs: pass.layers[0].inputs() };
  });
  const output = new Arena(lab, [{ rows: d, cols: d }]);
  return recordedRunner(
    lab,
    networks.map(({ inputs }) => inputs),
    (recorder, factor) => {
      if (!("gram" in factor)) throw new Error("the layer does not make its own Gram matrix");
      factor.gram(recorder, output.views[0]);
    },
    {
      output: () => output.read(),
      dispose() {
        for (const { network } of networks) network.dispose();
        output.dispose();
      },
    },
  );
}
