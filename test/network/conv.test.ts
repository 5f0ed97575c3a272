/** Convolutional networks: passes, curvature rows, factors and operators against f64. */
import type { FisherOptions } from "../../src/model/index.js";
import {
  averagePool2d,
  type Conv2dOptions,
  conv2d,
  dense,
  flatten,
  globalAveragePool,
  halfSquaredError,
  leakyRelu,
  logistic,
  type Module,
  maxPool2d,
  Network,
  type NetworkOptions,
  type Pair,
  relu,
  softmaxCrossEntropy,
  tanh,
} from "../../src/network/index.js";
import { convForward } from "../../src/reference/conv-network.js";
import { assertClose, networkTest, type TestContext } from "../harness/kernel-test.js";
import { checkConvPass, convTwin, images, type Shape } from "./conv-helpers.js";
import { openManager, randomBatch } from "./helpers.js";

const fishers: FisherOptions[] = [
  { kind: "exact" },
  { kind: "monteCarlo", seed: 7, step: 3, samples: 2 },
  { kind: "empirical" },
];

async function check(
  t: TestContext,
  modules: readonly Module[],
  shape: Shape,
  what: string,
  options: NetworkOptions & { counts?: number[] } = {},
): Promise<void> {
  const manager = await openManager(t);
  const { counts = [5, 2, 3], ...rest } = options;
  const loss = softmaxCrossEntropy();
  const net = new Network(manager, modules, loss, { batchSize: 5, seed: 3, input: shape, ...rest });
  const random = t.random(2);
  for (const [index, fisher] of fishers.entries()) {
    const count = counts[index % counts.length]!;
    const batch = randomBatch(random, count, net.features, net.outputs, loss);
    await checkConvPass(t, manager, net, modules, shape, batch, fisher, `${what}, ${count} examples`);
  }
  const count = 11;
  const batch = randomBatch(random, count, net.features, net.outputs, loss);
  const expected = convForward(await convTwin(net, modules), images(batch, shape)).outputs;
  assertClose(await net.predict(batch.inputs, count), expected.data, 2e-5, `${what}: predictions`);
  manager.dispose();
}

const geometries: Record<string, { shape: Shape; kernel: number | Pair; options: Conv2dOptions }> = {
  "3 × 3": { shape: [2, 7, 6], kernel: 3, options: {} },
  "1 × 1": { shape: [3, 4, 5], kernel: 1, options: {} },
  "1 × 1, stride 2": { shape: [5, 5, 4], kernel: 1, options: { stride: 2, bias: false } },
  "padding 2": { shape: [1, 6, 5], kernel: 5, options: { padding: 2 } },
  "stride 2, padding 1": { shape: [4, 8, 7], kernel: 3, options: { stride: 2, padding: 1 } },
  "stride beyond the kernel": { shape: [3, 9, 8], kernel: 2, options: { stride: 3 } },
  "dilation 2": { shape: [2, 8, 9], kernel: 3, options: { dilation: 2, padding: [2, 1] } },
  "stride 2 and dilation 3": {
    shape: [2, 9, 10],
    kernel: 3,
    options: { stride: 2, dilation: 3, padding: 2 },
  },
  "stride 4 and dilation 2": {
    shape: [2, 11, 12],
    kernel: 3,
    options: { stride: 4, dilation: 2, padding: 1 },
  },
  "everything uneven": {
    shape: [3, 7, 10],
    kernel: [2, 3],
    options: { stride: [2, 1], padding: [1, 0], dilation: [1, 2] },
  },
  "a kernel larger than the image": { shape: [2, 3, 3], kernel: 5, options: { padding: 2 } },
  "a kernel as large as the image": { shape: [3, 4, 3], kernel: [4, 3], options: {} },
  "padding beyond the kernel": { shape: [2, 3, 2], kernel: 2, options: { padding: 3 } },
  "many channels": { shape: [19, 4, 4], kernel: 3, options: { padding: 1 } },
  "two groups": { shape: [4, 6, 5], kernel: 3, options: { groups: 2, padding: 1 } },
  "three groups without bias": {
    shape: [6, 5, 5],
    kernel: 2,
    options: { groups: 3, bias: false, stride: 2 },
  },
};

for (const [name, { shape, kernel, options }] of Object.entries(geometries)) {
  networkTest(`conv2d: ${name}`, async (t) => {
    const channels = shape[0];
    const groups = options.groups ?? 1;
    // A layer below, so that the input gradient is asked for; as many outputs as make an odd number, if they may.
    const out = groups === 1 ? 7 : 3 * groups;
    const modules = (positions: "expand" | "reduce") => [
      conv2d(shape[0], channels, 1, { positions }),
      tanh(),
      conv2d(channels, out, kernel, { ...options, positions }),
      relu(),
      globalAveragePool(),
      dense(out, 4),
    ];
    await check(t, modules("expand"), shape, name);
    await check(t, modules("reduce"), shape, `${name}, reduce`);
  });
}

networkTest("conv2d: each channel a group", async (t) => {
  const modules = [
    conv2d(3, 6, 3, { padding: 1 }),
    relu(),
    conv2d(6, 6, 3, { groups: 6 }),
    tanh(),
    conv2d(6, 4, 1),
    flatten(),
  ];
  await check(t, modules, [3, 4, 4], "depthwise");
});

const pools: Record<string, Module[]> = {
  "maximum of 2": [maxPool2d(2)],
  "overlapping maxima": [maxPool2d(3, { stride: 2 })],
  "maxima with gaps": [maxPool2d([2, 1], { stride: 3 })],
  "maximum of everything": [maxPool2d([6, 7])],
  "maximum of a logistic function": [logistic(), maxPool2d(2)],
  "overlapping maxima of a leaky function": [leakyRelu(0.3), maxPool2d(3, { stride: 2 })],
  "mean of 2": [averagePool2d(2)],
  "overlapping means": [averagePool2d([3, 2], { stride: 1 })],
  "means with gaps": [averagePool2d(1, { stride: [2, 3] })],
};

for (const [name, pool] of Object.entries(pools)) {
  networkTest(`pool: ${name}`, async (t) => {
    const modules = [
      conv2d(2, 5, 1),
      ...pool,
      tanh(),
      conv2d(5, 6, [1, 1], { positions: "reduce" }),
      globalAveragePool(),
    ];
    await check(t, modules, [2, 6, 7], name);
  });
}

const stacks: Record<string, Module[]> = {
  "two convolutions, pools, two dense layers": [
    conv2d(2, 6, 3, { padding: 1 }),
    relu(),
    maxPool2d(2),
    conv2d(6, 9, 3, { padding: 1 }),
    relu(),
    averagePool2d(2, { stride: 1 }),
    flatten(),
    dense(9 * 2 * 2, 8),
    relu(),
    dense(8, 3),
  ],
  "activations and pools first": [tanh(), averagePool2d(2), logistic(), conv2d(2, 3, 2), tanh(), flatten()],
  "several activations in a row": [
    conv2d(2, 5, 3),
    tanh(),
    logistic(),
    tanh(),
    flatten(),
    tanh(),
    logistic(),
    dense(5 * 4 * 5, 4),
  ],
  "flatten only": [flatten(), dense(2 * 6 * 7, 5), tanh(), dense(5, 3)],
  "pooling only": [averagePool2d(2), maxPool2d(2, { stride: 1 }), flatten(), dense(2 * 2 * 2, 5)],
  "a logistic function in front of a global pool": [
    conv2d(2, 5, 3, { positions: "reduce" }),
    logistic(),
    globalAveragePool(),
    tanh(),
    dense(5, 3),
  ],
};

for (const [name, modules] of Object.entries(stacks)) {
  networkTest(`conv network: ${name}`, async (t) => {
    await check(t, modules, [2, 6, 7], name);
  });
}

networkTest("conv network: chunks of several examples, of one, and of lines", async (t) => {
  const modules = [
    conv2d(2, 3, 2, { bias: false }),
    tanh(),
    conv2d(3, 6, 3, { padding: 2, stride: [1, 2] }),
    relu(),
    flatten(),
    dense(6 * 7 * 4, 4),
  ];
  // 28 numbers in a patch and 28 positions; 32 numbers count for each.
  for (const positions of [1000, 3 * 28, 2 * 28, 28, 27, 9, 4, 1]) {
    await check(t, modules, [2, 6, 7], `${positions} positions a chunk`, { chunkBytes: positions * 4 * 32 });
  }
});

networkTest("conv network: half squared error at every position", async (t) => {
  const manager = await openManager(t);
  const modules = [conv2d(2, 3, 3, { padding: 1 }), tanh(), conv2d(3, 2, 1), flatten()];
  const shape: Shape = [2, 3, 4];
  const net = new Network(manager, modules, halfSquaredError(), { batchSize: 4, input: shape });
  for (const fisher of fishers) {
    const batch = randomBatch(t.random(5), 4, 24, 24, net.loss);
    await checkConvPass(t, manager, net, modules, shape, batch, fisher, "per position");
  }
  manager.dispose();
});
