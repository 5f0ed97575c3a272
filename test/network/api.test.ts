/** The network as a user meets it: prediction, evaluation, weights, errors, memory. */

import {
  AbortedError,
  ArgumentError,
  DataError,
  LimitError,
  ShapeError,
  UnsupportedLayerError,
} from "../../src/errors.js";
import type { Batch, FisherOptions } from "../../src/model/index.js";
import {
  dense,
  halfSquaredError,
  leakyRelu,
  type Module,
  Network,
  relu,
  sigmoidCrossEntropy,
  softmaxCrossEntropy,
  tanh,
} from "../../src/network/index.js";
import { forward, lossAndGradients } from "../../src/reference/network.js";
import { assert, assertClose, assertEqual, assertThrows, kernelTest } from "../harness/kernel-test.js";
import {
  assertOver,
  columnsOf,
  expectedAccuracy,
  matrixOf,
  openManager,
  pass,
  questions,
  randomBatch,
  results,
  stacked,
  targetsOf,
  twin,
} from "./helpers.js";

const modules = [dense(6, 11), relu(), dense(11, 4)];

kernelTest("network: predictions of any number of examples", async (t) => {
  const manager = await openManager(t);
  const net = new Network(manager, modules, softmaxCrossEntropy(), { batchSize: 8 });
  const reference = await twin(net, modules);
  for (const count of [1, 7, 8, 9, 61]) {
    const inputs = t.random(count).normals(count * 6);
    const expected = forward(reference, matrixOf(inputs, count, 6)).outputs.data;
    assertClose(await net.predict(inputs, count), expected, 1e-5, `${count} predictions`);
  }
  manager.dispose();
});

kernelTest("network: evaluation of whole arrays and of chunks", async (t) => {
  const manager = await openManager(t);
  for (const loss of [softmaxCrossEntropy(), sigmoidCrossEntropy(), halfSquaredError()]) {
    const net = new Network(manager, modules, loss, { batchSize: 10 });
    const count = 77;
    const data = randomBatch(t.random(3), count, 6, 4, loss);
    const X = matrixOf(data.inputs, count, 6);
    const expected = lossAndGradients(await twin(net, modules), loss.kind, X, targetsOf(data, 4));
    const whole = await net.evaluate(data);
    assertClose([whole.loss], [expected.loss], 1e-5, `${loss.kind}: loss`);
    assertClose([whole.accuracy + 1], [expectedAccuracy(expected.outputs, data, loss) + 1], 1e-6, "accuracy");
    assertEqual(whole.count, count, "count");
    const width = data.targets.length / count;
    const supplied = await net.evaluate(
      (start, end): Batch => ({
        inputs: data.inputs.slice(6 * start, 6 * end),
        targets: data.targets.slice(width * start, width * end),
        count: end - start,
      }),
      { total: count },
    );
    assertEqual(supplied.loss, whole.loss, "loss by chunks");
    assertEqual(supplied.accuracy, whole.accuracy, "accuracy by chunks");
    net.dispose();
  }
  manager.dispose();
});

kernelTest(
  "network: evaluation and prediction forget the loaded batch, and keep G and statistics",
  async (t) => {
    const manager = await openManager(t);
    const net = new Network(manager, modules, softmaxCrossEntropy(), { batchSize: 10 });
    const data = randomBatch(t.random(3), 10, 6, 4, net.loss);
    const other = randomBatch(t.random(4), 30, 6, 4, net.loss);
    const first = pass(net, manager, data, { kind: "exact" });
    const before = await results(t, net, first);
    await net.evaluate(other);
    const [loss] = await t.download(net.statistics, { length: 1 });
    assertEqual(loss!, before.loss, "loss");
    assertOver(t, manager, first, "after an evaluation");
    assertThrows(() => net.recordPass(manager.record()), ArgumentError, /load/);
    const second = pass(net, manager, data, { kind: "exact" });
    await net.predict(other.inputs, 30);
    assertOver(t, manager, second, "after a prediction");
    assertThrows(() => net.recordPass(manager.record()), ArgumentError, /load/);
    const after = await results(t, net, pass(net, manager, data, { kind: "exact" }));
    assertEqual(JSON.stringify(after.G.map((g) => [...g])), JSON.stringify(before.G.map((g) => [...g])), "G");
    manager.dispose();
  },
);

kernelTest("network: an aborted or failing evaluation ends, and leaves the network usable", async (t) => {
  const manager = await openManager(t);
  const net = new Network(manager, modules, softmaxCrossEntropy(), { batchSize: 4 });
  const data = randomBatch(t.random(3), 40, 6, 4, net.loss);
  const controller = new AbortController();
  controller.abort("enough");
  await assertThrows(() => net.evaluate(data, { signal: controller.signal }), AbortedError);
  const supplier = (start: number, end: number): Batch => ({
    inputs: start < 20 ? data.inputs.slice(6 * start, 6 * end) : new Float32Array(3),
    targets: data.targets.slice(start, end),
    count: end - start,
  });
  await assertThrows(() => net.evaluate(supplier, { total: 40 }), ShapeError, /inputs/);
  await assertThrows(() => net.evaluate(supplier, { total: 0 }), ArgumentError, /total/);
  await assertThrows(() => net.evaluate({ ...data, count: 39 }), ShapeError, /inputs/);
  assert((await net.evaluate(data)).loss > 0, "the network goes on");
  manager.dispose();
});

kernelTest("network: weights go out and in, bit for bit", async (t) => {
  const manager = await openManager(t);
  const net = new Network(manager, modules, softmaxCrossEntropy(), { seed: 1 });
  const first = await net.weights();
  assertEqual(first.map((w) => w.length).join(), "77,48", "lengths");
  const random = t.random(2);
  const own = first.map((w) => random.normals(w.length));
  net.setWeights(own);
  const read = await net.weights();
  for (const [l, w] of own.entries()) assertEqual(read[l]!.join(), w.join(), `layer ${l}`);
  const wrong: [Float32Array[], new (...args: never[]) => Error][] = [
    [[own[0]!], ArgumentError],
    [[own[0]!, own[0]!], ShapeError],
    [[own[0]!, own[1]!.map((w, i) => (i === 47 ? Number.NaN : w))], DataError],
    [[own[0]!.map((w, i) => (i === 0 ? Number.POSITIVE_INFINITY : w)), own[1]!], DataError],
  ];
  for (const [list, error] of wrong) {
    const bad = list.map((w) => w.map((x) => 2 * x));
    assertThrows(() => net.setWeights(bad), error);
  }
  const kept = await net.weights();
  for (const [l, w] of own.entries()) assertEqual(kept[l]!.join(), w.join(), `layer ${l} after errors`);
  const again = new Network(manager, modules, softmaxCrossEntropy(), { seed: 1 });
  const same = await again.weights();
  for (const [l, w] of first.entries()) assertEqual(same[l]!.join(), w.join(), `layer ${l} of the same seed`);
  const other = new Network(manager, modules, softmaxCrossEntropy(), { seed: 2 });
  assert((await other.weights())[0]!.join() !== first[0]!.join(), "another seed, other weights");
  manager.dispose();
});

kernelTest("network: padding of parameters and gradients is zero and stays so", async (t) => {
  const manager = await openManager(t);
  const net = new Network(manager, modules, softmaxCrossEntropy(), { batchSize: 12 });
  for (const count of [12, 5]) {
    pass(net, manager, randomBatch(t.random(count), count, 6, 4, net.loss), { kind: "exact" });
  }
  for (const [what, buffer] of Object.entries({ W: net.parameters, G: net.gradients })) {
    const all = await t.download(buffer, { length: net.length });
    const inside = new Uint8Array(net.length);
    for (const { W } of net.layers) {
      for (let i = 0; i < W.rows; i++) {
        inside.fill(1, W.offset + i * W.stride, W.offset + i * W.stride + W.cols);
      }
    }
    assert(inside.includes(0), "this network has padding");
    assert(
      all.every((value, k) => inside[k] === 1 || value === 0),
      `${what} has something in its padding`,
    );
  }
  manager.dispose();
});

kernelTest("network: bad batches are refused before anything is written", async (t) => {
  const manager = await openManager(t);
  const [inputs, count] = [t.random(1).normals(6 * 5), 5];
  const classes = Uint32Array.of(0, 1, 2, 3, 0);
  const values = new Float32Array(20).fill(0.25);
  const withAt = (data: Float32Array, at: number, value: number) =>
    data.map((x, k) => (k === at ? value : x));
  type Case = [Partial<Batch>, new (...args: never[]) => Error, RegExp];
  const common: Case[] = [
    [{ count: 0 }, ArgumentError, /count/],
    [{ count: 9 }, ArgumentError, /count/],
    [{ count: 2.5 }, ArgumentError, /count/],
    [{ count: 4 }, ShapeError, /inputs/],
    [{ inputs: [1, 2] as unknown as Float32Array }, ArgumentError, /Float32Array/],
    [{ inputs: withAt(inputs, 29, Number.NaN) }, DataError, /inputs.*NaN in example 4, position 5/],
    [{ inputs: withAt(inputs, 0, Number.NEGATIVE_INFINITY) }, DataError, /-Infinity/],
    [{ targets: withAt(values, 3, Number.NaN) }, DataError, /targets/],
    [{ targets: values.subarray(1) }, ShapeError, /targets/],
  ];
  const forLoss: [Network, Batch, Case[]][] = [
    [
      new Network(manager, modules, softmaxCrossEntropy(), { batchSize: 8 }),
      { inputs, targets: classes, count },
      [
        [{ targets: classes.subarray(1) }, ShapeError, /targets/],
        [{ targets: Uint32Array.of(0, 1, 4, 3, 0) }, DataError, /class 4 in example 2/],
        [{ targets: withAt(values, 6, 0.5) }, DataError, /add up/],
        [{ targets: withAt(values, 6, -0.5) }, DataError, /from 0 to 1/],
      ],
    ],
    [
      new Network(manager, modules, sigmoidCrossEntropy(), { batchSize: 8 }),
      { inputs, targets: values, count },
      [
        [{ targets: classes }, ArgumentError, /Float32Array/],
        [{ targets: withAt(values, 6, 1.5) }, DataError, /from 0 to 1/],
      ],
    ],
    [
      new Network(manager, modules, halfSquaredError(), { batchSize: 8 }),
      { inputs, targets: values, count },
      [[{ targets: classes }, ArgumentError, /Float32Array/]],
    ],
  ];
  for (const [net, good, cases] of forLoss) {
    const kept = pass(net, manager, good);
    const before = await results(t, net, kept);
    for (const [change, error, pattern] of [...common, ...cases]) {
      assertThrows(() => net.load({ ...good, ...change }), error, pattern);
    }
    // The batch before is still there, and so is its pass.
    assertEqual(JSON.stringify(await results(t, net, kept)), JSON.stringify(before), "the pass before");
    const recorder = manager.record();
    const again = net.recordPass(recorder);
    recorder.submit();
    const after = await results(t, net, again);
    assertEqual(JSON.stringify(after), JSON.stringify(before), "the pass after the errors");
    await assertThrows(() => net.predict(inputs, 4), ShapeError, /inputs/);
    await assertThrows(() => net.predict(withAt(inputs, 7, Number.NaN), 5), DataError, /NaN/);
  }
  manager.dispose();
});

kernelTest("network: bad modules and options are refused, and no memory is kept", async (t) => {
  const manager = await openManager(t);
  const build = (list: readonly Module[], options = {}) =>
    new Network(manager, list, softmaxCrossEntropy(), options);
  const { liveBytes } = manager.counts;
  assertThrows(() => build([dense(3, 4), relu(), dense(5, 2)]), ShapeError, /dense2.*4 outputs/);
  assertThrows(
    () => build([{ kind: "attention" } as unknown as Module]),
    UnsupportedLayerError,
    /attention1/,
  );
  assertThrows(() => build([relu()]), ArgumentError, /dense/);
  assertThrows(() => build([]), ArgumentError, /dense/);
  assertThrows(
    () => build([dense(2, 2, { name: "a" }), dense(2, 2, { name: "a" })]),
    ArgumentError,
    /a twice/,
  );
  assertThrows(() => dense(0, 4), ArgumentError, /in/);
  assertThrows(() => dense(4, 1.5), ArgumentError, /out/);
  assertThrows(() => leakyRelu(-0.1), ArgumentError, /slope/);
  assertThrows(() => build(modules, { batchSize: 0 }), ArgumentError, /batchSize/);
  assertThrows(() => build(modules, { fisher: { kind: "best" } }), ArgumentError, /kind/);
  assertThrows(
    () => build(modules, { fisher: { kind: "monteCarlo", samples: 0 } }),
    ArgumentError,
    /samples/,
  );
  for (const loss of [{ kind: "hinge" }, { kind: "toString" }, {}, null, undefined, softmaxCrossEntropy]) {
    assertThrows(() => new Network(manager, modules, loss as never), ArgumentError, /loss must be one of/);
  }
  for (const bad of [null, undefined, 5, [dense(2, 2)], {}]) {
    assertThrows(() => build([dense(3, 2), bad as never]), ArgumentError, /modules\[1\] must be a module/);
  }
  assertThrows(() => build(modules, { batchSize: 2 ** 27 }), LimitError);
  assertEqual(manager.counts.liveBytes, liveBytes, "bytes kept");
  const net = build(modules, { batchSize: 4 });
  net.load(randomBatch(t.random(1), 4, 6, 4, net.loss));
  for (const fisher of [
    { kind: "monteCarlo", seed: -1 },
    { kind: "monteCarlo", step: 2 ** 32 },
    { kind: "monteCarlo", samples: 1.5 },
    { kind: "none" },
  ]) {
    const recorder = manager.record();
    assertThrows(() => net.recordPass(recorder, fisher as never), ArgumentError);
    assertEqual(recorder.dispatches, 0, "dispatches");
  }
  manager.dispose();
});

kernelTest("network: what is no data, and a network disposed of, are refused in words", async (t) => {
  const manager = await openManager(t);
  const net = new Network(manager, modules, softmaxCrossEntropy(), { batchSize: 4 });
  const good = randomBatch(t.random(1), 6, 6, 4, net.loss);
  const { inputs, targets } = good;
  for (const bad of [
    undefined,
    null,
    3,
    {},
    { ...good, inputs: [...inputs] },
    { ...good, inputs: undefined },
    { ...good, targets: [...targets] },
    { ...good, targets: undefined },
  ]) {
    await assertThrows(() => net.evaluate(bad as never), ArgumentError);
    assertThrows(() => net.load(bad as never), ArgumentError);
  }
  net.dispose();
  const gone = /network is disposed of/;
  await assertThrows(() => net.evaluate(good), ArgumentError, gone);
  await assertThrows(() => net.predict(inputs, 6), ArgumentError, gone);
  await assertThrows(() => net.weights(), ArgumentError, gone);
  assertThrows(() => net.setWeights([]), ArgumentError);
  assertThrows(() => net.load({ ...good, count: 4 }), ArgumentError, gone);
  manager.dispose();
});

kernelTest("network: its table, and names", async (t) => {
  const manager = await openManager(t);
  const list = [dense(6, 11, { name: "first" }), tanh(), dense(11, 4, { bias: false })];
  const net = new Network(manager, list, softmaxCrossEntropy());
  assertEqual(
    JSON.stringify(net.describe().map((line) => Object.values(line))),
    '[["first","dense",6,11,77],["tanh1","tanh",11,11,0],["dense2","dense",11,4,44]]',
    "describe()",
  );
  assertEqual(
    net.layers.map(({ name, in: i, out }) => `${name} ${i} ${out}`).join(),
    "first 7 11,dense2 11 4",
    "layers",
  );
  manager.dispose();
});

kernelTest("network: the same batch gives the same bits", async (t) => {
  const manager = await openManager(t);
  const seen = new Set<string>();
  for (let repeat = 0; repeat < 3; repeat++) {
    const net = new Network(manager, [dense(70, 65), tanh(), dense(65, 10)], softmaxCrossEntropy(), {
      batchSize: 64,
    });
    const fisher = { kind: "monteCarlo", seed: 4, step: 5 } as const;
    const recorded = pass(net, manager, randomBatch(t.random(9), 50, 70, 10, net.loss), fisher);
    const { loss, accuracy, G, B } = await results(t, net, recorded);
    const words = [...G, ...B].map((x) => new Uint32Array(x.buffer, x.byteOffset, x.length).join());
    seen.add([loss, accuracy, ...words].join("\n"));
    net.dispose();
  }
  assertEqual(seen.size, 1, "different results");
  manager.dispose();
});

kernelTest("network: a step after warm-up makes nothing new, and dispose() frees everything", async (t) => {
  const manager = await openManager(t);
  const empty = manager.counts;
  const net = new Network(manager, modules, softmaxCrossEntropy(), {
    batchSize: 16,
    fisher: { kind: "monteCarlo" },
  });
  await manager.prepare(net.kernels);
  const { pipelines } = manager.counts;
  const step = (number: number) => {
    const batch = randomBatch(t.random(number), 16, 6, 4, net.loss);
    return pass(net, manager, batch, { kind: "monteCarlo", seed: 1, step: number });
  };
  step(0);
  assertEqual(manager.counts.pipelines, pipelines, "pipelines: net.kernels names them all");
  const warm = JSON.stringify(manager.counts);
  for (let number = 1; number <= 5; number++) assert(step(number).dispatches <= 16, "dispatches");
  assertEqual(JSON.stringify(manager.counts), warm, "counts");
  await t.device.queue.onSubmittedWorkDone();
  net.dispose();
  net.dispose();
  const { tables, liveBuffers } = manager.counts;
  assertEqual(liveBuffers - tables - manager.pool.idleBytes / 256, empty.liveBuffers, "buffers left");
  manager.dispose();
  assertEqual(manager.counts.liveBuffers, 0, "buffers after the manager's end");
  assertEqual(manager.counts.liveBytes, 0, "bytes after the manager's end");
});

kernelTest("network: a pass is over when another batch or pass takes its memory", async (t) => {
  const manager = await openManager(t);
  const net = new Network(manager, modules, softmaxCrossEntropy(), { batchSize: 8 });
  const batch = randomBatch(t.random(1), 8, 6, 4, net.loss);
  const record = (fisher?: FisherOptions) => {
    const recorder = manager.record();
    const recorded = net.recordPass(recorder, fisher);
    recorder.submit();
    return recorded;
  };
  net.load(batch);
  const columns = { kind: "monteCarlo", samples: 2, seed: 3 } as const;
  const first = record(columns);
  const before = await results(t, net, first);
  // Each takes the place of the one before: planned rows, more rows than there were, none at all, another batch.
  const second = record({ kind: "exact" });
  assertOver(t, manager, first, "after a pass for which derivatives grew");
  const third = record();
  assertOver(t, manager, second, "after a pass without columns");
  net.load(batch);
  assertOver(t, manager, third, "after another batch");
  const fourth = record(columns);
  assertOver(t, manager, first, "after a pass just like it");
  assertEqual(JSON.stringify(await results(t, net, fourth)), JSON.stringify(before), "the same pass again");
  // What cannot be recorded takes nothing.
  assertThrows(() => record({ kind: "monteCarlo", samples: 2 ** 27 }), LimitError);
  assertThrows(() => record({ kind: "monteCarlo", seed: -1 }), ArgumentError, /seed/);
  assertEqual(JSON.stringify(await results(t, net, fourth)), JSON.stringify(before), "after errors");
  net.dispose();
  assertOver(t, manager, fourth, "after dispose()");
  manager.dispose();
});

kernelTest("network: a pass without columns has inputs and products, and says what it lacks", async (t) => {
  const manager = await openManager(t);
  const net = new Network(manager, modules, softmaxCrossEntropy(), { batchSize: 8 });
  const recorded = pass(net, manager, randomBatch(t.random(1), 5, 6, 4, net.loss));
  assertEqual(recorded.fisher, undefined, "fisher");
  assertEqual(recorded.count, 5, "count");
  for (const curved of recorded.layers) {
    const recorder = manager.record();
    const ask = questions(t, recorder, curved);
    for (const question of ["outputs", "curvatureRows"] as const) {
      const message = new RegExp(`${curved.name}.${question}.*has no columns`);
      assertThrows(ask[question], ArgumentError, message);
    }
    assertEqual(recorder.dispatches, 0, "dispatches");
    assertEqual(stacked(curved.inputs()).rows.rows, 5, "rows of inputs");
    ask.apply();
    ask.pullback();
    assert(recorder.dispatches >= 2, "products are recorded");
    recorder.submit();
  }
  manager.dispose();
});

kernelTest("network: a pass keeps the columns it was recorded with", async (t) => {
  const manager = await openManager(t);
  const net = new Network(manager, modules, softmaxCrossEntropy(), { batchSize: 8 });
  const fisher: FisherOptions = { kind: "monteCarlo", samples: 3, seed: 2 };
  const recorded = pass(net, manager, randomBatch(t.random(1), 5, 6, 4, net.loss), fisher);
  fisher.kind = "exact";
  fisher.samples = 1;
  assertEqual(JSON.stringify(recorded.fisher), '{"kind":"monteCarlo","samples":3,"seed":2}', "fisher");
  for (const curved of recorded.layers) {
    assertEqual(JSON.stringify([curved.count, curved.positions]), "[5,1]", "examples and positions");
    const { rows, columns, divisor } = columnsOf(manager, curved);
    assertEqual(JSON.stringify([rows.rows, columns, divisor]), "[15,3,15]", "columns");
    assertEqual(stacked(curved.outputs()).scale, 1 / 15, "scale");
  }
  manager.dispose();
});

kernelTest("network: more columns than planned make room once", async (t) => {
  const manager = await openManager(t);
  const net = new Network(manager, modules, softmaxCrossEntropy(), { batchSize: 8 });
  const batch = randomBatch(t.random(1), 8, 6, 4, net.loss);
  pass(net, manager, batch);
  pass(net, manager, batch, { kind: "exact" });
  const { liveBytes } = manager.counts;
  pass(net, manager, batch);
  pass(net, manager, batch, { kind: "monteCarlo", samples: 4 });
  pass(net, manager, batch, { kind: "exact" });
  const { buffers, tables } = manager.counts;
  pass(net, manager, batch, { kind: "exact" });
  assertEqual(manager.counts.buffers, buffers, "buffers made");
  assertEqual(manager.counts.tables, tables, "tables made");
  assert(manager.counts.liveBytes < liveBytes + 4096, "bytes in use");
  manager.dispose();
});
