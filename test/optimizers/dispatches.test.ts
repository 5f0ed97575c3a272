/** Dispatches of a step as GPUs get it: each costs the host and the GPU some time, however little there is to do. */
import {
  conv2d,
  dense,
  flatten,
  type Module,
  maxPool2d,
  relu,
  softmaxCrossEntropy,
} from "../../src/network/index.js";
import { dispatches } from "../curvature/spies.js";
import { createEngine } from "../harness/engine.js";
import { assertEqual, trainingTest } from "../harness/kernel-test.js";
import { randomBatch } from "../network/helpers.js";

const LOSS = softmaxCrossEntropy();
const SIZE = 20;

interface Kind {
  readonly modules: Module[];
  readonly features: number;
  readonly input?: [number, number, number];
  /** Of a step of SGD, of Adam, and of K-FAC where inverses are kept and where all are renewed. */
  readonly expected: Readonly<Record<"sgd" | "adam" | "kept" | "renewed", number>>;
}

const networks: Record<string, Kind> = {
  "three dense layers": {
    modules: [dense(40, 30), relu(), dense(30, 20), relu(), dense(20, 10)],
    features: 40,
    expected: { sgd: 12, adam: 14, kept: 25, renewed: 33 },
  },
  "two convolutions and a dense layer": {
    modules: [
      conv2d(1, 8, 5, { padding: 2 }),
      relu(),
      maxPool2d(2),
      conv2d(8, 16, 5, { padding: 2 }),
      relu(),
      maxPool2d(2),
      flatten(),
      dense(16 * 9, 10),
    ],
    features: 144,
    input: [1, 12, 12],
    expected: { sgd: 26, adam: 28, kept: 54, renewed: 74 },
  },
};

for (const [name, { modules, features, input, expected }] of Object.entries(networks)) {
  trainingTest(`dispatches of a step: ${name}`, async (t) => {
    const engine = await createEngine(t.device);
    // Software adapters get smaller chunks and other forms of the products.
    const { capabilities } = engine.manager.handle;
    Object.defineProperties(capabilities, { software: { value: false }, vendor: { value: "nvidia" } });
    const batch = randomBatch(t.random(1), SIZE, features, 10, LOSS);
    const found: Record<string, number> = {};
    for (const kind of ["sgd", "adam", "kfac"] as const) {
      const net = engine.network(modules, LOSS, { batchSize: SIZE, seed: 1, ...(input && { input }) });
      const optimizer = {
        sgd: () => engine.sgd(net, { learningRate: 0.01 }),
        adam: () => engine.adam(net),
        // As many as a batch of 250 gets.
        kfac: () => engine.kfac(net, { samples: 2 }),
      }[kind]();
      await optimizer.step(batch);
      await optimizer.step(batch);
      // Inverses are renewed in steps 1, 2, 4, 8 …
      found[kind === "kfac" ? "kept" : kind] = await dispatches(t.device, () => optimizer.step(batch));
      if (kind === "kfac") found.renewed = await dispatches(t.device, () => optimizer.step(batch));
      optimizer.dispose();
      net.dispose();
    }
    const text = (counts: Record<string, number>) => JSON.stringify(counts, Object.keys(expected));
    assertEqual(text(found), text(expected), "dispatches");
    engine.dispose();
  });
}
