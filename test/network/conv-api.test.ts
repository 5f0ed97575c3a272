/** Convolutional networks as a user meets them: training, memory, errors. */

import { ArgumentError, LimitError, ShapeError, UnsupportedLayerError } from "../../src/errors.js";
import type { FactorGram, FisherOptions, Pass } from "../../src/model/index.js";
import {
  averagePool2d,
  conv2d,
  dense,
  flatten,
  globalAveragePool,
  type Module,
  maxPool2d,
  Network,
  type NetworkOptions,
  relu,
  softmaxCrossEntropy,
  tanh,
} from "../../src/network/index.js";
import { Adam, Kfac, Sgd } from "../../src/optimizers/index.js";
import type { PipelineManager } from "../../src/pipeline/index.js";
import { assert, assertEqual, assertThrows, trainingTest } from "../harness/kernel-test.js";
import type { Shape } from "./conv-helpers.js";
import { assertOver, columnsOf, download, openManager, pass, questions, randomBatch } from "./helpers.js";

const shape: Shape = [1, 8, 8];

const modules = (positions: "expand" | "reduce" = "expand"): Module[] => [
  conv2d(1, 4, 3, { padding: 1, positions }),
  relu(),
  maxPool2d(2),
  conv2d(4, 6, 3, { positions }),
  tanh(),
  averagePool2d([2, 1]),
  flatten(),
  dense(12, 5),
  relu(),
  dense(5, 3),
];

/** Bars that lie, stand, or cross, with some noise: classes that a convolution tells apart. */
function bars(random: { uniform(): number; integer(bound: number): number }, count: number) {
  const inputs = Float32Array.from({ length: 64 * count }, () => 0.3 * random.uniform());
  const targets = Uint32Array.from({ length: count }, () => random.integer(3));
  for (const [i, kind] of targets.entries()) {
    const [y, x] = [1 + random.integer(6), 1 + random.integer(6)];
    for (let k = 0; k < 8; k++) {
      if (kind !== 1) inputs[64 * i + 8 * y + k]! += 1;
      if (kind !== 0) inputs[64 * i + 8 * k + x]! += 1;
    }
  }
  return { inputs, targets, count };
}

for (const positions of ["expand", "reduce"] as const) {
  trainingTest(`conv network: K-FAC, SGD and Adam train it (${positions})`, async (t) => {
    const manager = await openManager(t);
    const makers = {
      kfac: (net: Network) =>
        new Kfac(manager, net, { learningRate: 0.2, damping: 1e-2, klClip: 1e-2, inverseEvery: 2 }),
      sgd: (net: Network) => new Sgd(manager, net, { learningRate: 0.1 }),
      adam: (net: Network) => new Adam(manager, net, { learningRate: 5e-3 }),
    };
    const test = bars(t.random(99), 90);
    for (const [name, make] of Object.entries(makers)) {
      const net = new Network(manager, modules(positions), softmaxCrossEntropy(), {
        batchSize: 40,
        input: shape,
        seed: 4,
      });
      const optimizer = make(net);
      const random = t.random(1);
      const before = await net.evaluate(test);
      for (let step = 0; step < 25; step++) {
        const record = await optimizer.step(bars(random, 40));
        assertEqual(record.status, "ok", `${name}: status of step ${record.step}`);
      }
      const after = await net.evaluate(test);
      const told = `${name}: loss ${before.loss} before, ${after.loss} after, accuracy ${after.accuracy}`;
      assert(after.loss < (name === "kfac" ? 0.3 : 0.9) * before.loss, told);
      optimizer.dispose();
      net.dispose();
    }
    manager.dispose();
  });
}

trainingTest(
  "conv network: a step after warm-up makes nothing new, and dispose() frees everything",
  async (t) => {
    const manager = await openManager(t);
    const empty = manager.counts;
    const net = new Network(manager, modules(), softmaxCrossEntropy(), {
      batchSize: 16,
      input: shape,
      // Several chunks in every convolution.
      chunkBytes: 20_000,
      fisher: { kind: "monteCarlo" },
    });
    await manager.prepare(net.kernels);
    const kfac = new Kfac(manager, net, { inverseEvery: 1 });
    const batch = randomBatch(t.random(1), 16, 64, 3, net.loss);
    await kfac.step(batch);
    await kfac.step(batch);
    const warm = JSON.stringify(manager.counts);
    for (let step = 0; step < 5; step++) await kfac.step(randomBatch(t.random(step), 16, 64, 3, net.loss));
    assertEqual(JSON.stringify(manager.counts), warm, "counts");
    kfac.dispose();
    net.dispose();
    net.dispose();
    await t.device.queue.onSubmittedWorkDone();
    manager.pool.dispose();
    const { tables, liveBuffers } = manager.counts;
    assertEqual(liveBuffers - tables, empty.liveBuffers, "buffers left");
    manager.dispose();
    assertEqual(manager.counts.liveBytes, 0, "bytes after the manager's end");
  },
);

trainingTest("conv network: net.kernels names all that a pass and its statistics dispatch", async (t) => {
  const manager = await openManager(t);
  const list = [...modules("reduce"), dense(3, 2)];
  const net = new Network(manager, list, softmaxCrossEntropy(), {
    batchSize: 6,
    input: shape,
    fisher: { kind: "exact" },
  });
  await manager.prepare(net.kernels);
  const { pipelines } = manager.counts;
  gramsOf(t, manager, pass(net, manager, randomBatch(t.random(1), 6, 64, 2, net.loss), { kind: "exact" }));
  assertEqual(manager.counts.pipelines, pipelines, "pipelines");
  manager.dispose();
});

function gramsOf(
  t: { poisoned(count: number): GPUBuffer },
  manager: PipelineManager,
  { layers }: Pass,
): void {
  const recorder = manager.record();
  for (const layer of layers) {
    for (const [statistics, size] of [
      [layer.inputs(), layer.in],
      [layer.outputs(), layer.out],
    ] as const) {
      if (!("gram" in statistics)) continue;
      const stride = Math.ceil(size / 4) * 4;
      const into = { buffer: t.poisoned(size * stride), offset: 0, rows: size, cols: size, stride };
      (statistics as FactorGram).gram(recorder, into);
    }
  }
  recorder.submit();
}

trainingTest("conv network: patches of a whole batch never exist", async (t) => {
  const manager = await openManager(t);
  const list = [conv2d(4, 4, 5, { padding: 2 }), relu(), globalAveragePool(), dense(4, 2)];
  const count = 16;
  const net = new Network(manager, list, softmaxCrossEntropy(), {
    batchSize: count,
    input: [4, 20, 20],
    chunkBytes: 65536,
  });
  pass(net, manager, randomBatch(t.random(1), count, 1600, 2, net.loss), { kind: "monteCarlo" });
  const patches = 4 * count * 400 * 101;
  assert(manager.counts.liveBytes < patches / 2, `${manager.counts.liveBytes} bytes, patches ${patches}`);
  manager.dispose();
});

trainingTest("conv network: the same batch gives the same bits, whatever was computed before", async (t) => {
  const manager = await openManager(t);
  const seen = new Set<string>();
  const net = new Network(manager, modules(), softmaxCrossEntropy(), { batchSize: 30, input: shape });
  const batch = bars(t.random(3), 30);
  for (let repeat = 0; repeat < 3; repeat++) {
    pass(net, manager, bars(t.random(repeat), 7 + repeat), { kind: "exact" });
    const fisher = { kind: "monteCarlo", seed: 4, step: 5 } as const;
    const { layers } = pass(net, manager, batch, fisher);
    const words: string[] = [];
    for (const [l, layer] of layers.entries()) {
      for (const view of [net.layers[l]!.G, columnsOf(manager, layer).rows]) {
        const x = await download(t, view);
        words.push(new Uint32Array(x.buffer, x.byteOffset, x.length).join());
      }
    }
    seen.add(words.join("\n"));
  }
  assertEqual(seen.size, 1, "different results");
  manager.dispose();
});

trainingTest("conv network: padding of parameters and gradients is zero and stays so", async (t) => {
  const manager = await openManager(t);
  const list = [conv2d(3, 5, 2), relu(), conv2d(5, 10, 2, { groups: 5 }), flatten(), dense(40, 3)];
  const net = new Network(manager, list, softmaxCrossEntropy(), { batchSize: 6, input: [3, 4, 4] });
  for (const count of [6, 5]) pass(net, manager, randomBatch(t.random(count), count, 48, 3, net.loss));
  for (const [what, buffer] of Object.entries({ W: net.parameters, G: net.gradients })) {
    const all = await t.download(buffer, { length: net.length });
    for (const { W } of net.layers) {
      for (let i = 0; i < W.rows; i++) all.fill(0, W.offset + i * W.stride, W.offset + i * W.stride + W.cols);
    }
    assert(
      all.every((value) => value === 0),
      `${what} has something in its padding`,
    );
  }
  manager.dispose();
});

trainingTest("conv network: a batch whose activations overflow does not enter the factors", async (t) => {
  const manager = await openManager(t);
  const net = new Network(manager, modules(), softmaxCrossEntropy(), { batchSize: 10, input: shape });
  const kfac = new Kfac(manager, net, { inverseEvery: 1 });
  await kfac.step(bars(t.random(1), 10));
  const weights = await net.weights();
  const A = await download(t, kfac.curvature.factors(1)!.A);
  net.setWeights(weights.map((w, l) => (l === 0 ? w.map(() => 1e38) : w)));
  const record = await kfac.step({ ...bars(t.random(2), 10), inputs: new Float32Array(640).fill(1e3) });
  assert(record.status !== "ok", "the record tells");
  assertEqual((await download(t, kfac.curvature.factors(1)!.A)).join(), A.join(), "Ā");
  for (const w of await net.weights()) assert(w.every(Number.isFinite), "weights are finite");
  manager.dispose();
});

trainingTest("conv network: K-FAC refuses groups and says why, SGD trains them", async (t) => {
  const manager = await openManager(t);
  const list = [conv2d(2, 4, 3, { groups: 2 }), relu(), globalAveragePool(), dense(4, 3)];
  const net = new Network(manager, list, softmaxCrossEntropy(), { batchSize: 12, input: [2, 5, 5] });
  const batch = randomBatch(t.random(1), 12, 50, 3, net.loss);
  const refused = /conv2d1.*2 groups.*fallback: "diagonal".*fallback: "gradient"/;
  assertThrows(() => new Kfac(manager, net), UnsupportedLayerError, refused);
  const sgd = new Sgd(manager, net, { learningRate: 0.1 });
  const first = await sgd.step(batch);
  for (let step = 0; step < 10; step++) await sgd.step(batch);
  assert((await sgd.step(batch)).loss < first.loss, "the loss falls");
  manager.dispose();
});

trainingTest("conv network: its table, and weights", async (t) => {
  const manager = await openManager(t);
  const list = [conv2d(2, 6, [3, 2], { groups: 2, name: "edges" }), maxPool2d(2), globalAveragePool()];
  const net = new Network(manager, list, softmaxCrossEntropy(), { input: [2, 6, 5] });
  assertEqual(
    JSON.stringify(net.describe().map((line) => Object.values(line))),
    '[["edges","conv2d",60,96,42],["maxPool2d1","maxPool2d",96,24,0],["globalAveragePool1","globalAveragePool",24,6,0]]',
    "describe()",
  );
  const { layers } = pass(net, manager, randomBatch(t.random(1), 3, 60, 6, net.loss));
  const sizes = layers.map((l) => `${l.name} ${l.in} ${l.out} ${l.count} ${l.positions}`);
  assertEqual(sizes.join(), "edges 7 6 3 16", "layers");
  assertEqual(net.layers.map((l) => `${l.name} ${l.in} ${l.out}`).join(), "edges 7 6", "trainable layers");
  const weights = await net.weights();
  const own = weights.map((w) => t.random(2).normals(w.length));
  net.setWeights(own);
  assertEqual((await net.weights())[0]!.join(), own[0]!.join(), "weights");
  manager.dispose();
});

trainingTest(
  "conv network: bad modules, shapes and options are refused, and no memory is kept",
  async (t) => {
    const manager = await openManager(t);
    const build = (list: readonly Module[], options: NetworkOptions = { input: shape }) =>
      new Network(manager, list, softmaxCrossEntropy(), options);
    const { liveBytes } = manager.counts;
    const head = [flatten(), dense(64, 3)];
    type Case = [() => unknown, new (...args: never[]) => Error, RegExp];
    const cases: Case[] = [
      [() => build(modules(), {}), ArgumentError, /input.*conv2d1 takes.*images/],
      [() => build(head, {}), ArgumentError, /input.*flatten1/],
      [() => build([dense(64, 3)]), ShapeError, /dense1.*1 × 8 × 8.*flatten/],
      [() => build([conv2d(1, 2, 3)]), ShapeError, /the output.*2 × 6 × 6.*globalAveragePool/],
      [() => build([conv2d(3, 2, 3), flatten()]), ShapeError, /conv2d1.*3 channels/],
      [() => build([conv2d(1, 2, 9), flatten()]), ShapeError, /conv2d1.*9 × 9 must fit/],
      [() => build([conv2d(1, 2, 4, { dilation: 3 }), flatten()]), ShapeError, /must fit/],
      [() => build([maxPool2d([9, 1]), ...head]), ShapeError, /maxPool2d1/],
      [() => build([flatten(), dense(63, 3)]), ShapeError, /64 outputs/],
      [() => build([...head, conv2d(1, 2, 1)]), ShapeError, /conv2d1.*takes images/],
      [() => build([averagePool2d(2), flatten()]), ArgumentError, /at least one dense or conv2d/],
      [() => build(head, { input: [1, 8] as never }), ArgumentError, /channels, height, width/],
      [() => build(head, { input: [1, 8, 0] }), ArgumentError, /input/],
      [() => build(modules(), { input: shape, chunkBytes: 0 }), ArgumentError, /chunkBytes/],
      [() => build(modules(), { input: shape, batchSize: 2 ** 27 }), LimitError, /./],
      [() => conv2d(0, 1, 1), ArgumentError, /inChannels/],
      [() => conv2d(1, 1, 0), ArgumentError, /kernel/],
      [() => conv2d(1, 1, [3, 1.5]), ArgumentError, /kernel/],
      [() => conv2d(1, 1, 3, { stride: 0 }), ArgumentError, /stride/],
      [() => conv2d(1, 1, 3, { padding: -1 }), ArgumentError, /padding/],
      [() => conv2d(1, 1, 3, { dilation: [1, 0] }), ArgumentError, /dilation/],
      [() => conv2d(4, 6, 3, { groups: 4 }), ArgumentError, /groups/],
      [() => conv2d(1, 1, 3, { positions: "mean" as never }), ArgumentError, /positions/],
      [() => maxPool2d(2, { stride: 0 }), ArgumentError, /stride/],
      [() => averagePool2d(0), ArgumentError, /kernel/],
    ];
    for (const [run, error, pattern] of cases) assertThrows(run, error, pattern);
    assertEqual(manager.counts.liveBytes, liveBytes, "bytes kept");
    const net = build(modules(), { input: shape, batchSize: 4 });
    const V = { buffer: t.upload(new Float32Array(400)), offset: 0, rows: 4, cols: 10, stride: 12 };
    const recorder = manager.record();
    assertThrows(() => net.recordPass(recorder), ArgumentError, /load/);
    const layer = pass(net, manager, randomBatch(t.random(1), 4, 64, 3, net.loss)).layers[0]!;
    assertThrows(() => layer.outputs(), ArgumentError, /has no columns.*recordPass/);
    assertThrows(() => layer.curvatureRows(recorder), ArgumentError, /has no columns.*recordPass/);
    assertThrows(() => layer.apply(recorder, V, { ...V, rows: 4 }), ShapeError, /into/);
    assertThrows(() => layer.pullback(recorder, V, V, 1), ShapeError, /rows/);
    assertThrows(() => net.load(randomBatch(t.random(1), 4, 63, 3, net.loss)), ShapeError, /inputs/);
    assertEqual(recorder.dispatches, 0, "dispatches");
    manager.dispose();
  },
);

trainingTest("conv network: a pass is over when another batch or pass takes its memory", async (t) => {
  const manager = await openManager(t);
  for (const positions of ["expand", "reduce"] as const) {
    const net = new Network(manager, modules(positions), softmaxCrossEntropy(), {
      batchSize: 4,
      input: shape,
    });
    const batch = randomBatch(t.random(1), 4, 64, 3, net.loss);
    const record = (fisher?: FisherOptions) => {
      const recorder = manager.record();
      const recorded = net.recordPass(recorder, fisher);
      recorder.submit();
      return recorded;
    };
    const numbers = async ({ layers }: Pass) => {
      const rows = await Promise.all(layers.map((layer) => download(t, columnsOf(manager, layer).rows)));
      return rows.map((row) => row.join()).join("\n");
    };
    net.load(batch);
    const first = record({ kind: "monteCarlo" });
    const before = await numbers(first);
    const second = record({ kind: "exact" });
    assertOver(t, manager, first, "after a pass for which derivatives grew");
    const third = record();
    assertOver(t, manager, second, "after a pass without columns");
    net.load(batch);
    assertOver(t, manager, third, "after another batch");
    const fourth = record({ kind: "monteCarlo" });
    assertOver(t, manager, first, "after a pass just like it");
    assertEqual(await numbers(fourth), before, "the same pass again");
    await net.evaluate(batch);
    assertOver(t, manager, fourth, "after an evaluation");
    const fifth = pass(net, manager, batch, { kind: "exact" });
    net.dispose();
    assertOver(t, manager, fifth, "after dispose()");
  }
  manager.dispose();
});

trainingTest(
  "conv network: a pass without columns has inputs and products, and says what it lacks",
  async (t) => {
    const manager = await openManager(t);
    for (const positions of ["expand", "reduce"] as const) {
      const net = new Network(manager, modules(positions), softmaxCrossEntropy(), {
        batchSize: 4,
        input: shape,
      });
      const recorded = pass(net, manager, randomBatch(t.random(1), 3, 64, 3, net.loss));
      assertEqual(recorded.fisher, undefined, "fisher");
      assertEqual(recorded.layers.map((l) => l.count * l.positions).join(), "192,12,3,3", "rows");
      for (const curved of recorded.layers) {
        const recorder = manager.record();
        const ask = questions(t, recorder, curved);
        for (const question of ["outputs", "curvatureRows"] as const) {
          const message = new RegExp(`${curved.name}.${question}.*has no columns`);
          assertThrows(ask[question], ArgumentError, message);
        }
        assertEqual(recorder.dispatches, 0, "dispatches");
        ask.inputs();
        ask.apply();
        ask.pullback();
        assert(recorder.dispatches >= 2, "products are recorded");
        recorder.submit();
      }
      net.dispose();
    }
    manager.dispose();
  },
);
