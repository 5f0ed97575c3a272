// Data of the small problems, made by code from a seed: the same batches for every optimiser. The recipes are those of small
// problems that are hard in one way each: depth, few examples, columns that are never active, targets of any scale.
import { generator } from "../data.mjs";

/**
 * @typedef {import("../../src/index.js").Batch} Batch
 * @typedef {() => Batch} Stream the next batch, without end
 */

/** Numbers of one seed: uniform in [0, 1) and standard normal. @param {number} seed */
export function draws(seed) {
  const uniform = generator(seed);
  const normal = () => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform());
  return { uniform, normal };
}

/**
 * Three Gaussian bumps of random place and width on a square, clipped to [0, 1].
 * @param {() => number} uniform @param {number} count @param {number} [side]
 * @returns {Float32Array} count × side²
 */
export function smoothImages(uniform, count, side = 28) {
  const images = new Float32Array(count * side * side);
  for (let n = 0; n < count; n++) {
    const image = new Float64Array(side * side);
    for (let bump = 0; bump < 3; bump++) {
      const [x, y, width] = [side * uniform(), side * uniform(), (side / 4) * uniform() + 2];
      for (let k = 0; k < image.length; k++) {
        const [dy, dx] = [Math.floor(k / side) - y, (k % side) - x];
        image[k] += Math.exp(-(dx * dx + dy * dy) / (2 * width * width));
      }
    }
    images.set(
      image.map((value) => Math.min(1, value)),
      n * image.length,
    );
  }
  return images;
}

/** 200 smooth images, all of them in each batch, and their own targets. @param {number} seed @returns {Stream} */
export function smoothImageStream(seed) {
  const inputs = smoothImages(draws(seed).uniform, 200);
  const batch = { inputs, targets: inputs, count: 200 };
  return () => batch;
}

/**
 * scale · (sin(x W) + noise), 12 numbers to 3, batches of 64.
 * @param {number} scale
 * @returns {(seed: number) => Stream}
 */
export const regressionStream = (scale) => (seed) => {
  const { normal } = draws(seed);
  const [count, features, outputs] = [64, 12, 3];
  const W = Float64Array.from({ length: features * outputs }, normal);
  return () => {
    const inputs = Float32Array.from({ length: count * features }, normal);
    const targets = new Float32Array(count * outputs);
    for (let i = 0; i < count; i++) {
      for (let c = 0; c < outputs; c++) {
        let sum = 0;
        for (let j = 0; j < features; j++) sum += inputs[i * features + j] * W[j * outputs + c];
        targets[i * outputs + c] = scale * (Math.sin(sum) + 0.1 * normal());
      }
    }
    return { inputs, targets, count };
  };
};

/** Four classes by the signs of x₀x₁ and x₂, of 16 numbers; batches of 128. @param {number} seed @returns {Stream} */
export function deepStream(seed) {
  const { normal } = draws(seed);
  const [count, features] = [128, 16];
  return () => {
    const inputs = Float32Array.from({ length: count * features }, normal);
    const targets = Uint32Array.from({ length: count }, (_, i) => {
      const [a, b, c] = inputs.subarray(i * features);
      return (a * b > 0 ? 1 : 0) + (c > 0 ? 2 : 0);
    });
    return { inputs, targets, count };
  };
}

/** Three classes by |x₀| > 0.7 and x₁ > 0, of 10 numbers; batches of 8. @param {number} seed @returns {Stream} */
export function smallBatchStream(seed) {
  const { normal } = draws(seed);
  const [count, features] = [8, 10];
  return () => {
    const inputs = Float32Array.from({ length: count * features }, normal);
    const targets = Uint32Array.from({ length: count }, (_, i) => {
      const [a, b] = inputs.subarray(i * features);
      return (Math.abs(a) > 0.7 ? 1 : 0) + (b > 0 ? 1 : 0);
    });
    return { inputs, targets, count };
  };
}

/**
 * Six ones among 400 columns, the early ones far more often and the last hundred never; the class is how many lie below 40,
 * modulo 4, and for a tenth of the examples the sum of the columns modulo 4. Batches of 64.
 * @param {number} seed @returns {Stream}
 */
export function sparseStream(seed) {
  const { uniform } = draws(seed);
  const [count, features] = [64, 400];
  return () => {
    const inputs = new Float32Array(count * features);
    const targets = new Uint32Array(count);
    for (let i = 0; i < count; i++) {
      const columns = Array.from({ length: 6 }, () => Math.floor(300 * uniform() ** 2));
      for (const column of columns) inputs[i * features + column] = 1;
      const sum = columns.reduce((total, column) => total + column, 0);
      const low = columns.filter((column) => column < 40).length;
      targets[i] = (uniform() < 0.1 ? sum : low) % 4;
    }
    return { inputs, targets, count };
  };
}

/**
 * Normal weights of deviation gain/√in, biases zero: out × (in + 1) of each layer of a chain. The gain is √2 before ReLU and
 * 1 before anything else.
 * @param {readonly number[]} sizes @param {readonly string[]} activations @param {number} seed
 * @returns {Float32Array[]}
 */
export function chainWeights(sizes, activations, seed) {
  // Apart from the seed of the data.
  const { normal } = draws(seed + 0x5eed);
  return activations.map((activation, l) => {
    const [inputs, outputs] = [sizes[l], sizes[l + 1]];
    const scale = Math.sqrt((activation === "relu" ? 2 : 1) / inputs);
    const W = new Float32Array(outputs * (inputs + 1));
    for (let i = 0; i < outputs; i++) {
      for (let j = 0; j < inputs; j++) W[i * (inputs + 1) + j] = scale * normal();
    }
    return W;
  });
}
