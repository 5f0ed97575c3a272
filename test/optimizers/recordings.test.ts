/** Steps whose commands were recorded before: the same numbers bit by bit, and nothing asked again. */
import type { Batch, Engine } from "../../src/index.js";
import {
  conv2d,
  dense,
  flatten,
  type Graph,
  halfSquaredError,
  type Module,
  maxPool2d,
  type Network,
  relu,
  softmaxCrossEntropy,
  tanh,
} from "../../src/network/index.js";
import { linear, type Optimizer, type StepRecord } from "../../src/optimizers/index.js";
import { calls, dispatches } from "../curvature/spies.js";
import { createEngine } from "../harness/engine.js";
import { assert, assertEqual, type TestContext, trainingTest } from "../harness/kernel-test.js";
import { formsOf, randomGraphBatch } from "../network/graph-helpers.js";
import { graphs } from "../network/graphs.js";
import { randomBatch } from "../network/helpers.js";
import { assertSame } from "./helpers.js";

const LOSS = softmaxCrossEntropy();
const SIZE = 16;
const dense3: Module[] = [dense(7, 11), tanh(), dense(11, 9), relu(), dense(9, 4)];

interface Run {
  readonly engine: Engine;
  readonly net: Network;
  readonly optimizer: Optimizer;
  readonly batch: (count?: number) => Batch;
}

interface Case {
  readonly make: (engine: Engine, net: Network) => Optimizer;
  readonly steps?: number;
  readonly modules?: Module[] | Graph;
  readonly features?: number;
  readonly input?: [number, number, number];
  readonly loss?: typeof LOSS;
  /** Before step `step`, from 1. */
  readonly before?: (step: number, run: Run) => unknown;
  /** Examples of a step's batch. */
  readonly count?: (step: number) => number;
}

/** Records and weights of some steps, on batches that are always the same ones. */
async function train(t: TestContext, repeats: boolean, own: Case) {
  const { steps = 12, modules = dense3, features = 7, input, loss = LOSS, count = () => SIZE } = own;
  const engine = await createEngine(t.device);
  engine.manager.repeats = repeats;
  const net = engine.network(modules, loss, { batchSize: SIZE, seed: 3, ...(input && { input }) });
  const random = t.random(8);
  const batch = (examples = SIZE) => randomBatch(random, examples, features, net.outputs, loss);
  const optimizer = own.make(engine, net);
  const records: StepRecord[] = [];
  for (let step = 1; step <= steps; step++) {
    await own.before?.(step, { engine, net, optimizer, batch });
    records.push(await optimizer.step(batch(count(step))));
  }
  const weights = await net.weights();
  const state = await optimizer.state();
  engine.dispose();
  return { records, weights, state: Object.values(state) };
}

async function sameAsRecorded(t: TestContext, own: Case): Promise<void> {
  const repeated = await train(t, true, own);
  const afresh = await train(t, false, own);
  assertSame(repeated.weights, afresh.weights, "weights");
  assertSame(repeated.state, afresh.state, "state");
  assertEqual(JSON.stringify(repeated.records), JSON.stringify(afresh.records), "records");
}

const cases: Record<string, Case> = {
  "SGD, with everything that changes": {
    make: (engine, net) =>
      engine.sgd(net, { learningRate: linear(0.3, 0.05, 9), momentum: 0.8, weightDecay: 0.01 }),
    before(step, { optimizer }) {
      if (step === 5) optimizer.change({ gradientClip: 0.2 } as never);
      if (step === 7) optimizer.change({ weightDecay: 0, gradientClip: 0 } as never);
      if (step === 9) optimizer.learningRate = 0.2;
    },
  },
  Adam: { make: (engine, net) => engine.adam(net, { learningRate: 0.01, weightDecay: 0.1 }) },
  AdamW: { make: (engine, net) => engine.adamW(net, { learningRate: 0.01 }) },
  "Newton's method": { make: (engine, net) => engine.newton(net, { maxIterations: 4 }), steps: 4 },
  "K-FAC by itself": { make: (engine, net) => engine.kfac(net), steps: 30 },
  "K-FAC, every few steps": {
    make: (engine, net) =>
      engine.kfac(net, { factorEvery: 3, inverseEvery: 5, learningRate: 0.1, damping: 0.1, seed: 4 }),
    steps: 18,
    before(step, { optimizer }) {
      if (step === 9) optimizer.change({ klClip: 0.001, damping: 0.3 } as never);
      if (step === 12)
        optimizer.change({ inverseEvery: 2, learningRate: "model", momentum: "model" } as never);
      if (step === 15) optimizer.change({ damping: "levenbergMarquardt", fisher: "empirical" } as never);
    },
  },
  "K-FAC by the reduction ratio": {
    make: (engine, net) => engine.kfac(net, { damping: "levenbergMarquardt", fisher: "exact" }),
    steps: 14,
  },
  EKFAC: { make: (engine, net) => engine.kfac(net, { curvature: "ekfac", inverseEvery: 4 }) },
  "EKFAC without damping": {
    make: (engine, net) => engine.kfac(net, { curvature: "ekfac", inverseEvery: 4, learningRate: 0.01 }),
    before(step, { optimizer }) {
      const { curvature } = optimizer as ReturnType<Engine["kfac"]>;
      if (step === 6) curvature.storedDamping = undefined;
      if (step === 6 || step === 10)
        (optimizer as ReturnType<Engine["kfac"]>).damping = step === 6 ? 1e-30 : 0.1;
    },
  },
  "diagonal curvature": { make: (engine, net) => engine.kfac(net, { curvature: "diagonal" }) },
  "curvature of a batch": { make: (engine, net) => engine.kfac(net, { curvature: "batch:ekfac" }), steps: 6 },
  "a network of convolutions": {
    make: (engine, net) => engine.kfac(net, { inverseEvery: 3 }),
    modules: [
      conv2d(2, 3, 3, { padding: 1 }),
      relu(),
      maxPool2d(2),
      conv2d(3, 4, 3, { stride: 2 }),
      flatten(),
      dense(4, 3),
    ],
    features: 2 * 6 * 6,
    input: [2, 6, 6],
    steps: 8,
  },
  "batches of many sizes": {
    make: (engine, net) => engine.kfac(net, { inverseEvery: 4 }),
    count: (step) => [SIZE, SIZE, 5, 1][step % 4]!,
    steps: 16,
  },
  "more kinds of steps than are kept": {
    make: (engine, net) => engine.kfac(net),
    count: (step) => 1 + (step % SIZE),
    before(step, { optimizer }) {
      const fisher = (["exact", "monteCarlo", "empirical"] as const)[step % 3];
      optimizer.change({ gradientClip: step % 5, klClip: step % 7, fisher } as never);
    },
    steps: 140,
  },
  "classes and values in turn": {
    make: (engine, net) => engine.sgd(net, { learningRate: 0.1 }),
    async before(step, { optimizer, batch, net }) {
      const own = batch();
      const targets = Float32Array.from({ length: SIZE * net.outputs }, (_, k) => (k % net.outputs ? 0 : 1));
      if (step % 2 === 0) await optimizer.step({ ...own, targets });
    },
  },
  "a half squared error": {
    make: (engine, net) => engine.kfac(net),
    loss: halfSquaredError(),
  },
  "what others do between the steps": {
    make: (engine, net) => engine.kfac(net, { inverseEvery: 3 }),
    async before(step, { engine, net, batch }) {
      if (step === 4) await net.evaluate(batch());
      if (step === 5) await net.predict(batch().inputs, SIZE);
      // More columns than before: the network's memory is made anew.
      if (step === 7) {
        net.load(batch());
        const recorder = engine.manager.record();
        net.recordPass(recorder, { kind: "monteCarlo", samples: 40 });
        recorder.submit();
      }
      if (step === 9) {
        const other = engine.network(dense3, LOSS, { batchSize: 3 });
        await engine.kfac(other).step(batch(3));
        other.dispose();
      }
    },
  },
  "a state put back": {
    make: (engine, net) => engine.kfac(net, { inverseEvery: 3 }),
    async before(step, { optimizer }) {
      if (step === 8) optimizer.restore(await optimizer.state());
    },
  },
};

for (const [name, own] of Object.entries(cases)) {
  trainingTest(`steps sent again: ${name}, bit by bit`, (t) => sameAsRecorded(t, own));
}

for (const [name, modules] of Object.entries(graphs)) {
  trainingTest(`steps sent again: ${name}`, async (t) => {
    const found = [];
    for (const repeats of [true, false]) {
      const engine = await createEngine(t.device);
      engine.manager.repeats = repeats;
      const net = engine.network(modules, halfSquaredError(), { batchSize: 4, seed: 3 });
      const optimizer = engine.kfac(net, { inverseEvery: 2, fallback: "diagonal" });
      const random = t.random(9);
      for (let step = 1; step <= 7; step++) {
        await optimizer.step(randomGraphBatch(random, formsOf(modules), 4, net));
      }
      found.push(await net.weights());
      engine.dispose();
    }
    assertSame(found[0]!, found[1]!, "weights");
  });
}

trainingTest("steps sent again: two networks in turn, with steps under way", async (t) => {
  const found = [];
  for (const repeats of [true, false]) {
    const engine = await createEngine(t.device);
    engine.manager.repeats = repeats;
    const nets = [3, 4].map((seed) => engine.network(dense3, LOSS, { batchSize: SIZE, seed }));
    const optimizers = nets.map((net, k) => (k === 0 ? engine.kfac(net) : engine.adam(net)));
    const random = t.random(10);
    const steps = [];
    for (let step = 1; step <= 12; step++) {
      for (const own of optimizers) steps.push(own.step(randomBatch(random, SIZE, 7, 4, LOSS)));
    }
    await Promise.all(steps);
    found.push((await Promise.all(nets.map((net) => net.weights()))).flat());
    engine.dispose();
  }
  assertSame(found[0]!, found[1]!, "weights");
});

trainingTest("steps sent again: nothing is recorded, made or kept after each kind's first", async (t) => {
  const engine = await createEngine(t.device);
  const net = engine.network(dense3, LOSS, { batchSize: SIZE, seed: 3 });
  const optimizer = engine.kfac(net, { inverseEvery: 4, factorEvery: 2 });
  const batch = randomBatch(t.random(1), SIZE, 7, 4, LOSS);
  const take = async (steps: number) => {
    for (let step = 1; step <= steps; step++) await optimizer.step(batch);
  };
  await take(12);
  const counts = engine.manager.counts;
  assertEqual(await calls(net, "recordPass", () => take(12)), 0, "passes recorded");
  assertEqual(JSON.stringify(engine.manager.counts), JSON.stringify(counts), "what the manager has made");
  const sent = await dispatches(t.device, () => take(4));
  engine.manager.repeats = false;
  assertEqual(await calls(net, "recordPass", () => take(4)), 4, "passes recorded without");
  assertEqual(await dispatches(t.device, () => take(4)), sent, "dispatches of four steps");
  engine.dispose();
});

trainingTest("steps sent again: kinds of layers that do not say so are asked at every step", async (t) => {
  const { registerLayer, layerKinds } = await import("../../src/layers/registry.js");
  const known = layerKinds().find(({ kind }) => kind === "tanh")!;
  const { repeats, ...silent } = known;
  assert(repeats === true, "tanh repeats");
  if (!layerKinds().some(({ kind }) => kind === "silent")) registerLayer({ ...silent, kind: "silent" });
  const engine = await createEngine(t.device);
  const net = engine.network([dense(7, 5), { ...tanh(), kind: "silent" } as Module, dense(5, 4)], LOSS, {
    batchSize: SIZE,
  });
  const optimizer = engine.sgd(net, { learningRate: 0.1 });
  const batch = randomBatch(t.random(1), SIZE, 7, 4, LOSS);
  await optimizer.step(batch);
  const take = async () => {
    for (let step = 1; step <= 3; step++) await optimizer.step(batch);
  };
  assertEqual(await calls(net, "recordPass", take), 3, "passes recorded");
  engine.dispose();
});
