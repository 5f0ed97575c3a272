/** Steps on data sets on the GPU: sent again, in parts, by `fit`, and refused. */
import { imageDataset } from "../../src/data/index.js";
import { ArgumentError, DataError, type KfacError, LimitError, ShapeError } from "../../src/errors.js";
import { type AnyBatch, type DatasetBatch, microBatches } from "../../src/index.js";
import {
  dense,
  flatten,
  halfSquaredError,
  type Network,
  oneHot,
  relu,
  sigmoidCrossEntropy,
  softmaxCrossEntropy,
  tanh,
} from "../../src/network/index.js";
import type { Recorder } from "../../src/pipeline/index.js";
import type { FitData } from "../../src/training/index.js";
import { calls, dispatches } from "../curvature/spies.js";
import { createEngine } from "../harness/engine.js";
import {
  assert,
  assertEqual,
  assertThrows,
  kernelTest,
  type TestContext,
  trainingTest,
} from "../harness/kernel-test.js";
import { assertSame } from "../optimizers/helpers.js";
import { uploaded } from "./uploads.js";

const [COUNT, FEATURES, SIZE] = [37, 5, 8];
/** Of an example. */
const BYTES = 4 * (FEATURES + 1);

function examples(t: TestContext) {
  const random = t.random(3);
  return {
    inputs: random.normals(COUNT * FEATURES),
    targets: Uint32Array.from({ length: COUNT }, () => random.integer(3)),
    count: COUNT,
  };
}

function networkOf({ engine }: Pick<TestContext, "engine">, batchSize = SIZE): Network {
  const modules = [dense(FEATURES, 6), tanh(), dense(6, 3)];
  return engine.network(modules, softmaxCrossEntropy(), { batchSize, seed: 2 });
}

trainingTest("data sets: a step is sent again and uploads no example", async (t) => {
  const { engine } = t;
  const net = networkOf(t);
  const data = engine.dataset(examples(t));
  const optimizer = engine.kfac(net, { inverseEvery: 2 });
  const epochs = async (first: number, last: number) => {
    for (let epoch = first; epoch <= last; epoch++) {
      for (const batch of data.batches({ batchSize: SIZE, seed: 1, epoch })) await optimizer.step(batch);
    }
  };
  await epochs(0, 3);
  const counts = JSON.stringify(engine.manager.counts);
  assertEqual(await calls(net, "recordPass", () => epochs(4, 5)), 0, "passes recorded");
  assertEqual(JSON.stringify(engine.manager.counts), counts, "what the manager has made");
  const arrays = { ...examples(t), inputs: new Float32Array(FEATURES * SIZE), count: SIZE };
  const batch = { ...arrays, targets: arrays.targets.subarray(0, SIZE) };
  await optimizer.step(batch);
  const settings = (await uploaded(t.device, () => optimizer.step(batch))) - 4 * SIZE * (FEATURES + 3 + 1);
  const order = 4 * (5 + 24);
  const own = await uploaded(t.device, () => optimizer.step(data.range(3, 3 + SIZE, { seed: 1, epoch: 9 })));
  assertEqual(own, settings + order, "bytes of a shuffled batch");
  // Arrays and data set in turn: each is recorded afresh.
  const sgd = engine.sgd(net, { learningRate: 0.1 });
  const sent = async (given: DatasetBatch | AnyBatch) => {
    await sgd.step(given);
    return dispatches(t.device, () => sgd.step(given));
  };
  assertEqual(await sent(data.range(0, SIZE)), (await sent(batch)) + 2, "dispatches");
  assertEqual(await sent(data.range(0, SIZE)), (await sent(batch)) + 2, "dispatches");
  optimizer.dispose();
});

trainingTest("data sets: micro-batches, as of arrays", async (t) => {
  const { engine } = t;
  const own = examples(t);
  const data = engine.dataset(own);
  // The whole batch fits in the budget, or only one of its parts.
  const streamed = [30, SIZE].map((count) => engine.dataset(own, { budgetBytes: BYTES * count }));
  const weights = [];
  for (const whole of [own, data.all, ...streamed.map(({ all }) => all)]) {
    const net = networkOf(t);
    const optimizer = engine.kfac(net, { damping: "levenbergMarquardt", inverseEvery: 2 });
    for (let step = 1; step <= 12; step++) await optimizer.step(microBatches(whole, SIZE));
    weights.push(await net.weights());
    optimizer.dispose();
  }
  for (const one of weights.slice(1)) assertSame(one, weights[0]!, "weights");
});

trainingTest("data sets: fit takes them, whole, in shares, and to validate", async (t) => {
  const { engine } = t;
  const own = examples(t);
  const data = engine.dataset(own);
  const streamed = engine.dataset(own, { budgetBytes: 22 * BYTES });
  const losses = (given: FitData, options: object) => async () => {
    const net = networkOf(t);
    const optimizer = engine.kfac(net);
    const history = await engine.fit(net, optimizer, given, { epochs: 3, seed: 4, ...options });
    const { epochs } = history;
    const found = { epochs: JSON.stringify(epochs.map(({ seconds, ...rest }) => rest)) };
    const weights = await net.weights();
    optimizer.dispose();
    return { ...found, weights };
  };
  for (const [arrays, resident] of [
    [{ validation: own }, { validation: data }],
    [{ validation: 0.3 }, { validation: 0.3 }],
    [{ shuffle: false }, { shuffle: false }],
    [{ batchSize: 20 }, { batchSize: 20 }],
    [
      { dropLast: true, start: { epoch: 2, step: 3 } },
      { dropLast: true, start: { epoch: 2, step: 3 } },
    ],
  ]) {
    const expected = await losses(own, arrays!)();
    const actual = await losses(data, resident!)();
    assertEqual(actual.epochs, expected.epochs, "epochs");
    assertSame(actual.weights, expected.weights, "weights");
    const sent = await losses(
      streamed,
      resident!.validation === data ? { validation: streamed } : resident!,
    )();
    assertEqual(sent.epochs, expected.epochs, "epochs of a streamed data set");
    assertSame(sent.weights, expected.weights, "weights of a streamed data set");
  }
});

kernelTest("data sets: labelled images, with what each loss asks for", async (t) => {
  const { engine } = t;
  const random = t.random(5);
  const images = {
    shape: [COUNT, 2, 3],
    data: Uint8Array.from({ length: COUNT * 6 }, () => random.integer(256)),
  };
  const labels = { shape: [COUNT], data: Uint8Array.from({ length: COUNT }, () => random.integer(4)) };
  const dataset = imageDataset(images, labels, { classes: 4 });
  const data = engine.dataset(dataset);
  assertEqual(data.classes, 4, "classes");
  for (const loss of [softmaxCrossEntropy(), sigmoidCrossEntropy(), halfSquaredError()]) {
    const net = engine.network([dense(6, 4), relu(), dense(4, 4)], loss, { batchSize: 10, seed: 1 });
    const { batchOf } = await import("../../src/data/index.js");
    const all = batchOf(dataset, [...Array(COUNT).keys()], loss);
    assertEqual(JSON.stringify(await net.evaluate(data)), JSON.stringify(await net.evaluate(all)), loss.kind);
  }
});

kernelTest("data sets: what is in them is refused when they are made", async (t) => {
  const { engine } = t;
  const own = examples(t);
  const before = engine.manager.counts.liveBuffers;
  const refuses = (kind: new (...given: never[]) => KfacError, message: RegExp, change: object) =>
    assertThrows(() => engine.dataset({ ...own, ...change }), kind, message);
  const nan = own.inputs.slice();
  nan[17] = Number.NaN;
  await refuses(DataError, /inputs: hold NaN in example 3, position 2/, { inputs: nan });
  await refuses(DataError, /inputs.x: hold NaN/, { inputs: { x: nan } });
  await refuses(ShapeError, /inputs has shape \[184\]/, { inputs: own.inputs.subarray(1) });
  await refuses(ArgumentError, /inputs must be a Float32Array, Uint8Array/, {
    inputs: new Float64Array(COUNT),
  });
  await refuses(ArgumentError, /inputs must be an array, or arrays by name, got null/, { inputs: null });
  await refuses(ArgumentError, /inputs must hold an array/, { inputs: {} });
  await refuses(ArgumentError, /count must be a positive integer, got 0/, { count: 0 });
  await refuses(ArgumentError, /one class an example, got 2/, { targets: new Uint32Array(2 * COUNT) });
  await refuses(DataError, /targets: hold class 2 in example \d+; pass classes from 0 to 1/, { classes: 2 });
  await refuses(DataError, /targets: hold Infinity in example 36/, {
    targets: new Float32Array(COUNT).fill(1 / 0, COUNT - 1),
  });
  await refuses(ArgumentError, /storage must be "f32" or "f16", got "u8"/, { storage: "u8" });
  await refuses(ArgumentError, /scale must be a finite number, got Infinity/, { scale: 1 / 0 });
  await refuses(ArgumentError, /partBytes must be a positive number, got 0/, { partBytes: 0 });
  const large = own.inputs.slice();
  large[4] = 7e4;
  await refuses(DataError, /hold 70000 in example 0, position 4; f16 ends at 65504/, {
    inputs: large,
    storage: "f16",
  });
  assertEqual(engine.manager.counts.liveBuffers, before, "buffers");
  const { maxStorageBufferBindingSize } = t.device.limits;
  if (maxStorageBufferBindingSize > 2 ** 28) return;
  const inputs = new Uint8Array(maxStorageBufferBindingSize + 4);
  await assertThrows(() => engine.dataset({ inputs, targets: [1] as never, count: 1 }), ArgumentError);
  const one = { inputs, targets: new Uint8Array(1), count: 1 };
  await assertThrows(() => engine.dataset(one), LimitError);
});

kernelTest("data sets: batches that do not fit are refused, and nothing is loaded", async (t) => {
  const { engine } = t;
  const own = examples(t);
  const net = networkOf(t);
  const data = engine.dataset(own);
  const sgd = engine.sgd(net, { learningRate: 0.1 });
  const refuses = (kind: new (...given: never[]) => KfacError, message: RegExp, change: object) =>
    assertThrows(() => net.load(engine.dataset({ ...own, ...change }).range(0, 4)), kind, message);
  await assertThrows(() => data.batch([0, COUNT]), ArgumentError, /indices\[1\] must be .* 0 to 36, got 37/);
  await assertThrows(() => data.batch([0.5]), ArgumentError, /indices\[0\]/);
  await assertThrows(() => data.batch([]), ArgumentError, /indices.length/);
  await assertThrows(() => data.range(3, 3), ArgumentError, /end must be an integer from 4 to 37, got 3/);
  await assertThrows(() => data.range(37, 38), ArgumentError, /start must be/);
  await assertThrows(() => data.range(0, 4, { seed: -1 }), ArgumentError, /seed/);
  await assertThrows(() => [...data.batches({ batchSize: 0 })], ArgumentError, /batchSize/);
  await assertThrows(() => sgd.step(data.all), ArgumentError, /count must be an integer from 1 to 8, got 37/);
  await assertThrows(() => net.load(data as never), ArgumentError);
  await assertThrows(
    () => net.load({ dataset: {}, count: 1 } as never),
    ArgumentError,
    /batch of a data set of engine.dataset/,
  );
  await refuses(ShapeError, /inputs has shape \[37 × 4\], expected \[37 × 5\]/, {
    inputs: new Float32Array(4 * COUNT),
  });
  await refuses(ArgumentError, /inputs must be numbers, got indices/, {
    inputs: new Uint32Array(FEATURES * COUNT),
  });
  await refuses(DataError, /targets: hold class 3 in example 0; pass classes from 0 to 2/, {
    targets: new Uint32Array(COUNT).fill(3),
  });
  await refuses(ShapeError, /targets has shape \[37 × 2\], expected \[37 × 3\]/, {
    targets: new Float32Array(2 * COUNT),
  });
  await refuses(DataError, /targets: add up to 0 in example 0/, { targets: new Float32Array(3 * COUNT) });
  await refuses(DataError, /targets: hold -1 in example 0/, {
    targets: new Float32Array(3 * COUNT).fill(-1),
  });
  const words = engine.network([oneHot(), flatten(), dense(6 * 2, 3)], softmaxCrossEntropy(), {
    input: { indices: 6, length: 2 },
  });
  const indices = new Uint32Array(2 * COUNT);
  indices[9] = 6;
  const far = engine.dataset({ ...own, inputs: indices });
  await assertThrows(
    () => words.check(far),
    DataError,
    /inputs: hold index 6 in example 4, position 1; pass indices from 0 to 5/,
  );
  await assertThrows(() => words.predict(data), ArgumentError, /inputs must be indices/);
  const fitted = engine.fit(words, engine.sgd(words, { learningRate: 1 }), far, { epochs: 1 });
  await assertThrows(() => fitted, DataError, /hold index 6/);
  const other = await createEngine(t.device);
  const foreign = other.dataset(own);
  await assertThrows(() => net.load(foreign.range(0, 4)), ArgumentError, /lies on another engine's device/);
  other.dispose();
  net.load(data.range(0, 4));
  data.dispose();
  await assertThrows(() => data.range(0, 4), ArgumentError, /is disposed of/);
  const recorder = engine.manager.record();
  await assertThrows(() => net.recordPass(recorder), ArgumentError, /data set is disposed of/);
  recorder.end();
  await assertThrows(() => net.evaluate(data), ArgumentError, /is disposed of/);
  assert(data.bytes > 4 * COUNT * FEATURES, "bytes");
});

kernelTest("data sets: the loss of a batch that no pass was over", async (t) => {
  const { engine } = t;
  const net = networkOf(t);
  const data = engine.dataset(examples(t));
  const losses = engine.manager.createStorage("loss", 2);
  const lossOf = async (record: (recorder: Recorder) => void) => {
    const recorder = engine.manager.record();
    record(recorder);
    net.recordLoss(recorder, { buffer: losses, index: 0 });
    const reading = recorder.read(losses, 0, 4);
    recorder.submit();
    return new Float32Array(await reading)[0];
  };
  const expected = new Map();
  for (const start of [0, 9]) {
    const { loss } = await net.evaluate(data.range(start, start + SIZE));
    expected.set(start, Math.fround(loss));
  }
  assert(expected.get(0) !== expected.get(9), "two losses");
  for (const start of [0, 9]) {
    net.load(data.range(start, start + SIZE));
    assertEqual(await lossOf(() => {}), expected.get(start), "without a pass");
    assertEqual(await lossOf((recorder) => net.recordPass(recorder)), expected.get(start), "behind a pass");
    assertEqual(await lossOf(() => {}), expected.get(start), "in another recording");
  }
  engine.manager.destroyBuffer(losses);
});
