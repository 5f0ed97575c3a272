import type { FisherOptions } from "../../src/model/index.js";
import {
  dense,
  halfSquaredError,
  leakyRelu,
  logistic,
  type Module,
  Network,
  relu,
  sigmoidCrossEntropy,
  softmaxCrossEntropy,
  tanh,
} from "../../src/network/index.js";
import { kernelTest } from "../harness/kernel-test.js";
import { checkPass, openManager, randomBatch } from "./helpers.js";

const losses = { halfSquaredError, softmaxCrossEntropy, sigmoidCrossEntropy };
const activations = { relu, leakyRelu: () => leakyRelu(0.2), tanh, logistic };
const fishers: FisherOptions[] = [
  { kind: "exact" },
  { kind: "monteCarlo", seed: 7, step: 3 },
  { kind: "monteCarlo", seed: 0xfedcba98, step: 0xffffffff, samples: 3 },
  { kind: "empirical" },
];

for (const [name, loss] of Object.entries(losses)) {
  for (const [kind, activation] of Object.entries(activations)) {
    kernelTest(`network: ${name} with ${kind}, all kinds of B`, async (t) => {
      const manager = await openManager(t);
      const modules = [dense(7, 12), activation(), dense(12, 9, { bias: false }), activation(), dense(9, 5)];
      const net = new Network(manager, modules, loss(), { batchSize: 24, seed: 11 });
      const random = t.random(5);
      for (const [index, fisher] of fishers.entries()) {
        const batch = randomBatch(random, 24 - 5 * index, 7, 5, loss(), index % 2 === 1);
        await checkPass(t, manager, net, modules, batch, fisher, `batch ${batch.count}`);
      }
      manager.dispose();
    });
  }
}

kernelTest("network: sizes around the tile edges", async (t) => {
  const random = t.random(1);
  const sizes = [1, 7, 8, 9, 15, 16, 17, 31, 33, 63, 64, 65, 70];
  for (const [index, size] of sizes.entries()) {
    const manager = await openManager(t);
    const other = sizes[(index * 5 + 3) % sizes.length]!;
    const count = sizes[(index * 7 + 1) % sizes.length]!;
    const loss = size === 1 ? sigmoidCrossEntropy() : softmaxCrossEntropy();
    const modules = [dense(other, size), relu(), dense(size, size)];
    const net = new Network(manager, modules, loss, { batchSize: 70, seed: index });
    const fisher: FisherOptions = { kind: "monteCarlo", seed: index, step: size };
    const batch = randomBatch(random, count, other, size, loss);
    await checkPass(t, manager, net, modules, batch, fisher, `${count} of ${other} → ${size}`);
    manager.dispose();
  }
});

const shapes: Record<string, Module[]> = {
  "a single layer": [dense(6, 3)],
  "a deep linear network": [dense(6, 9), dense(9, 2, { bias: false }), dense(2, 3)],
  "activations first and last": [tanh(), dense(6, 5), relu(), dense(5, 3), tanh()],
  "several activations in a row": [
    relu(),
    tanh(),
    dense(6, 5),
    leakyRelu(),
    logistic(),
    tanh(),
    dense(5, 3),
    logistic(),
    tanh(),
  ],
  "no bias": [dense(6, 8, { bias: false }), tanh(), dense(8, 3, { bias: false })],
};

for (const [name, modules] of Object.entries(shapes)) {
  kernelTest(`network: ${name}`, async (t) => {
    const manager = await openManager(t);
    const net = new Network(manager, modules, halfSquaredError(), { batchSize: 20, seed: 3 });
    const random = t.random(2);
    for (const fisher of fishers) {
      const batch = randomBatch(random, 17, 6, 3, halfSquaredError());
      await checkPass(t, manager, net, modules, batch, fisher, name, 5e-5);
    }
    manager.dispose();
  });
}

kernelTest("network: a pass without curvature, a full batch, then a smaller and a larger one", async (t) => {
  const manager = await openManager(t);
  const modules = [dense(10, 20), tanh(), dense(20, 4)];
  const net = new Network(manager, modules, softmaxCrossEntropy(), { batchSize: 33 });
  const random = t.random(9);
  for (const [count, fisher] of [
    [33, fishers[0]],
    [5, undefined],
    [1, fishers[2]],
    [33, undefined],
    [18, fishers[0]],
  ] as const) {
    const batch = randomBatch(random, count, 10, 4, softmaxCrossEntropy());
    await checkPass(t, manager, net, modules, batch, fisher, `batch of ${count}`);
  }
  manager.dispose();
});

kernelTest("network: a wide batch takes more than one chunk of the reductions", async (t) => {
  const manager = await openManager(t);
  const modules = [dense(3, 2)];
  const net = new Network(manager, modules, softmaxCrossEntropy(), { batchSize: 9000 });
  const batch = randomBatch(t.random(4), 9000, 3, 2, softmaxCrossEntropy());
  await checkPass(t, manager, net, modules, batch, { kind: "exact" }, "9000 examples");
  manager.dispose();
});
