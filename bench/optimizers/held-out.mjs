// Problems of other kinds, made up after the defaults were chosen and tried once. The first two then showed that long steps have to
// shorten where the loss no longer falls, and took part in that choice; the last two were made up after it. The others had none.
import { draws, smoothImages } from "./problems.mjs";

/**
 * @typedef {import("./problems.mjs").Stream} Stream
 * @typedef {import("./tasks.mjs").Task} Task
 */

/**
 * Five classes by a linear map of 20 numbers whose scales fall as 1/k and that hang together from one to the next (0.9); three
 * labels in ten are drawn anew. @param {number} seed @returns {Stream}
 */
function noisyLabelStream(seed) {
  const { uniform, normal } = draws(seed);
  const [count, features, classes] = [100, 20, 5];
  const W = Float64Array.from({ length: features * classes }, normal);
  return () => {
    const inputs = new Float32Array(count * features);
    const targets = new Uint32Array(count);
    for (let i = 0; i < count; i++) {
      const scores = new Float64Array(classes);
      let x = normal();
      for (let j = 0; j < features; j++) {
        x = 0.9 * x + Math.sqrt(1 - 0.81) * normal();
        inputs[i * features + j] = x / (j + 1);
        for (let c = 0; c < classes; c++) scores[c] += x * W[j * classes + c];
      }
      const best = scores.indexOf(Math.max(...scores));
      targets[i] = uniform() < 0.3 ? Math.floor(classes * uniform()) : best;
    }
    return { inputs, targets, count };
  };
}

/** Twelve of 50 words, early ones oftener; the class is how many of them lie below 8, modulo 4. @param {number} seed @returns {Stream} */
function wordStream(seed) {
  const { uniform } = draws(seed);
  const [count, length] = [32, 12];
  return () => {
    const words = Uint32Array.from({ length: count * length }, () => Math.floor(50 * uniform() ** 2));
    const targets = Uint32Array.from(
      { length: count },
      (_, i) => words.subarray(i * length, (i + 1) * length).filter((word) => word < 8).length % 4,
    );
    return /** @type {ReturnType<Stream>} */ (/** @type {unknown} */ ({ inputs: words, targets, count }));
  };
}

/** Three spirals in the plane, one and a half turns each. @param {number} seed @returns {Stream} */
function spiralStream(seed) {
  const { uniform, normal } = draws(seed);
  const count = 64;
  return () => {
    const inputs = new Float32Array(2 * count);
    const targets = Uint32Array.from({ length: count }, () => Math.floor(3 * uniform()));
    targets.forEach((arm, i) => {
      const along = uniform();
      const angle = 2 * Math.PI * (arm / 3 + 1.5 * along);
      inputs[2 * i] = 2 * along * Math.cos(angle) + 0.05 * normal();
      inputs[2 * i + 1] = 2 * along * Math.sin(angle) + 0.05 * normal();
    });
    return { inputs, targets, count };
  };
}

/** Mean, deviation across and deviation down of the light in images of 16 × 16. @param {number} seed @returns {Stream} */
function momentStream(seed) {
  const { uniform } = draws(seed);
  const [count, side] = [40, 16];
  return () => {
    const inputs = smoothImages(uniform, count, side);
    const targets = new Float32Array(3 * count);
    for (let i = 0; i < count; i++) {
      const image = inputs.subarray(i * side * side, (i + 1) * side * side);
      const sums = [0, 0, 0, 0, 0];
      image.forEach((value, k) => {
        const [x, y] = [(k % side) / side - 0.5, Math.floor(k / side) / side - 0.5];
        [1, x, y, x * x, y * y].forEach((factor, m) => {
          sums[m] += value * factor;
        });
      });
      const [mass, x, y, xx, yy] = sums.map((sum, m) => (m === 0 ? sum : sum / sums[0]));
      targets.set(
        [mass / 64, 10 * Math.sqrt(Math.max(xx - x * x, 0)), 10 * Math.sqrt(Math.max(yy - y * y, 0))],
        3 * i,
      );
    }
    return { inputs, targets, count };
  };
}

/**
 * A smooth function of 20 numbers whose scales go from 0.01 to 100, with noise of Student's t with two degrees of freedom, whose
 * variance is infinite. @param {number} seed @returns {Stream}
 */
function heavyTailStream(seed) {
  const { uniform, normal } = draws(seed);
  const [count, features] = [50, 20];
  const w = Float64Array.from({ length: 3 * features }, normal);
  const scales = Float64Array.from({ length: features }, (_, j) => 10 ** ((4 * j) / (features - 1) - 2));
  return () => {
    const inputs = new Float32Array(count * features);
    const targets = new Float32Array(count);
    for (let i = 0; i < count; i++) {
      const z = [0, 0, 0];
      for (let j = 0; j < features; j++) {
        const x = normal();
        inputs[i * features + j] = scales[j] * x;
        for (let k = 0; k < 3; k++) z[k] += (x * w[k * features + j]) / Math.sqrt(features);
      }
      const noise = normal() / Math.sqrt(-Math.log(1 - uniform()));
      targets[i] = Math.tanh(2 * z[0]) + z[1] * z[2] + 0.2 * noise;
    }
    return { inputs, targets, count };
  };
}

/** Fifteen labels of 30 numbers, each a threshold of a random direction; the rarest holds for one example in fifty. @param {number} seed @returns {Stream} */
function rareLabelStream(seed) {
  const { normal } = draws(seed);
  const [count, features, labels] = [48, 30, 15];
  const W = Float64Array.from({ length: features * labels }, () => normal() / Math.sqrt(features));
  return () => {
    const inputs = Float32Array.from({ length: count * features }, normal);
    const targets = new Float32Array(count * labels);
    for (let i = 0; i < count; i++) {
      for (let l = 0; l < labels; l++) {
        let sum = 0;
        for (let j = 0; j < features; j++) sum += inputs[i * features + j] * W[l * features + j];
        targets[i * labels + l] = Math.abs(sum) > 0.5 + (1.8 * l) / (labels - 1) ? 1 : 0;
      }
    }
    return { inputs, targets, count };
  };
}

/** Forty numbers made of six by a fixed map, with noise; they are their own targets. @param {number} seed @returns {Stream} */
function factorStream(seed) {
  const { normal } = draws(seed);
  const [count, features, rank] = [24, 40, 6];
  const map = Float64Array.from({ length: rank * features }, normal);
  return () => {
    const inputs = new Float32Array(count * features);
    for (let i = 0; i < count; i++) {
      // Each factor half as strong as the one before.
      const factors = Array.from({ length: rank }, (_, k) => normal() / 2 ** k);
      for (let j = 0; j < features; j++) {
        const value = factors.reduce((sum, factor, k) => sum + factor * map[k * features + j], 0);
        inputs[i * features + j] = value + 0.05 * normal();
      }
    }
    return { inputs, targets: inputs, count };
  };
}

/** Images of 12 × 12: noise, and a bar that lies across, down, or along one of the diagonals; its brightness varies. @param {number} seed @returns {Stream} */
function barStream(seed) {
  const { uniform, normal } = draws(seed);
  const [count, side] = [20, 12];
  const directions = [
    [1, 0],
    [0, 1],
    [1, 1],
    [1, -1],
  ];
  return () => {
    const inputs = Float32Array.from({ length: count * side * side }, () => 0.5 * normal());
    const targets = Uint32Array.from({ length: count }, () => Math.floor(4 * uniform()));
    targets.forEach((way, i) => {
      const [dx, dy] = directions[way];
      const [x, y, light] = [3 + Math.floor(6 * uniform()), 3 + Math.floor(6 * uniform()), 0.5 + uniform()];
      for (let k = -3; k <= 3; k++) inputs[(i * side + y + dy * k) * side + x + dx * k] += light;
    });
    return { inputs, targets, count };
  };
}

/** @type {readonly Task[]} */
export const HELD_OUT = [
  {
    ...{
      id: "noisy-labels",
      title: "Noisy labels",
      network: "20-100-5, leaky ReLU",
      loss: "softmax",
      batch: 100,
    },
    modules: ({ dense, leakyRelu }) => [dense(20, 100), leakyRelu(), dense(100, 5)],
    stream: noisyLabelStream,
  },
  {
    ...{ id: "words", title: "Sequences of words", loss: "softmax", batch: 32 },
    ...{ network: "12 of 50 words, dense 24, tanh, dense 24, ReLU at each, mean, 4" },
    input: { indices: 50, length: 12 },
    modules: ({ oneHot, dense, tanh, relu, globalAveragePool }) => [
      ...[oneHot(), dense(50, 24, { bias: false }), tanh(), dense(24, 24), relu()],
      ...[globalAveragePool(), dense(24, 4)],
    ],
    stream: wordStream,
  },
  {
    ...{ id: "spirals", title: "Spirals, residual network", loss: "softmax", batch: 64 },
    network: "2-32, three residual blocks of 32-32-32, 3, ReLU",
    modules: ({ graph, dense, relu, add }) => {
      const block = [relu(), dense(32, 32), relu(), dense(32, 32)];
      return graph({
        inputs: { point: 2 },
        values: {
          first: [dense(2, 32), "point"],
          a: [block, "first"],
          sumA: [add(), "first", "a"],
          b: [block, "sumA"],
          sumB: [add(), "sumA", "b"],
          c: [block, "sumB"],
          sumC: [add(), "sumB", "c"],
          out: [[relu(), dense(32, 3)], "sumC"],
        },
        output: "out",
      });
    },
    stream: spiralStream,
  },
  {
    ...{ id: "moments", title: "Convolutions, regression", loss: "squared", batch: 40, input: [1, 16, 16] },
    network: "conv8 3×3 stride 2, conv16 3×3 stride 2, ReLU, average pool, 3",
    modules: ({ conv2d, relu, averagePool2d, flatten, dense }) => [
      ...[
        conv2d(1, 8, 3, { stride: 2, padding: 1 }),
        relu(),
        conv2d(8, 16, 3, { stride: 2, padding: 1 }),
        relu(),
      ],
      ...[averagePool2d(2), flatten(), dense(64, 3)],
    ],
    stream: momentStream,
  },
  {
    ...{
      id: "heavy-tails",
      title: "Bad scales, heavy tails",
      network: "20-50-50-1, tanh",
      loss: "squared",
      batch: 50,
    },
    modules: ({ dense, tanh }) => [dense(20, 50), tanh(), dense(50, 50), tanh(), dense(50, 1)],
    stream: heavyTailStream,
  },
  {
    ...{
      id: "rare-labels",
      title: "Many labels, some rare",
      network: "30-64-64-15, logistic",
      loss: "sigmoid",
      batch: 48,
    },
    modules: ({ dense, logistic }) => [dense(30, 64), logistic(), dense(64, 64), logistic(), dense(64, 15)],
    stream: rareLabelStream,
  },
  {
    ...{ id: "factors", title: "Linear bottleneck", network: "40-6-40, linear", loss: "squared", batch: 24 },
    modules: ({ dense }) => [dense(40, 6), dense(6, 40)],
    stream: factorStream,
  },
  {
    ...{
      id: "bars",
      title: "Convolutions, tanh, batches of 20",
      loss: "softmax",
      batch: 20,
      input: [1, 12, 12],
    },
    network: "conv6 5×5, tanh, average pool, conv12 3×3, tanh, global average pool, 4",
    modules: ({ conv2d, tanh, averagePool2d, globalAveragePool, dense }) => [
      ...[
        conv2d(1, 6, 5),
        tanh(),
        averagePool2d(2),
        conv2d(6, 12, 3),
        tanh(),
        globalAveragePool(),
        dense(12, 4),
      ],
    ],
    stream: barStream,
  },
];
