/** Data sets on the GPU: the same bits as arrays, whatever is done with them. */
import type { AnyBatch, DatasetBatch, Engine, GpuDatasetOptions, Graph, Module } from "../../src/index.js";
import {
  add,
  conv2d,
  dense,
  flatten,
  graph,
  halfSquaredError,
  type InputForm,
  type Loss,
  type Network,
  oneHot,
  relu,
  sigmoidCrossEntropy,
  softmaxCrossEntropy,
  tanh,
} from "../../src/network/index.js";
import type { Optimizer, StepRecord } from "../../src/optimizers/index.js";
import { Permutation } from "../../src/random/index.js";
import { createEngine } from "../harness/engine.js";
import { assertEqual, kernelTest, type TestContext, trainingTest } from "../harness/kernel-test.js";
import { assertSame } from "../optimizers/helpers.js";

const COUNT = 37;
const SIZE = 8;

type Numbers = Float32Array | Uint32Array;

/** A network, and examples for it as arrays and as they are given to a data set. */
interface Case {
  readonly modules: readonly Module[] | Graph;
  readonly loss: Loss;
  readonly input?: InputForm;
  readonly data: (t: TestContext) => GpuDatasetOptions;
  /** Numbers that bytes stand for are those of arrays. */
  readonly arrays?: (options: GpuDatasetOptions) => Pick<AnyBatch, "inputs" | "targets">;
}

const integers = (t: TestContext, seed: number, length: number, bound: number) => {
  const random = t.random(seed);
  return Uint32Array.from({ length }, () => random.integer(bound));
};
const classes = (t: TestContext) => integers(t, 4, COUNT, 3);
const bytes = (t: TestContext, width: number) => Uint8Array.from(integers(t, 9, COUNT * width, 256));

const cases: Record<string, Case> = {
  "f32 vectors": {
    modules: [dense(5, 7), tanh(), dense(7, 3)],
    loss: softmaxCrossEntropy(),
    data: (t) => ({ inputs: t.random(1).normals(5 * COUNT), targets: classes(t), count: COUNT }),
  },
  "bytes as images": {
    modules: [conv2d(2, 3, 3), relu(), flatten(), dense(3 * 3 * 2, 3)],
    loss: softmaxCrossEntropy(),
    input: [2, 5, 4],
    data: (t) => ({ inputs: bytes(t, 40), targets: classes(t), count: COUNT }),
    arrays: ({ inputs, targets }) => ({
      inputs: Float32Array.from(inputs as Uint8Array, (byte) => byte / 255),
      targets: targets as Uint32Array,
    }),
  },
  "bytes with a scale, rows of targets": {
    modules: [dense(7, 5), tanh(), dense(5, 4)],
    loss: halfSquaredError(),
    data: (t) => ({
      inputs: bytes(t, 7),
      targets: t.random(3).normals(4 * COUNT),
      count: COUNT,
      scale: 0.03,
      offset: -1.5,
    }),
    arrays: ({ inputs, targets }) => ({
      inputs: Float32Array.from(inputs as Uint8Array, (byte) => -1.5 + 0.03 * byte),
      targets: targets as Float32Array,
    }),
  },
  "f16 vectors, classes as rows": {
    modules: [dense(3, 6), tanh(), dense(6, 3)],
    loss: sigmoidCrossEntropy(),
    data: (t) => ({
      inputs: Float32Array.from(integers(t, 6, 3 * COUNT, 2000), (n) => n / 512 - 2),
      targets: classes(t),
      classes: 3,
      count: COUNT,
      storage: "f16",
    }),
    arrays: ({ inputs, targets }) => ({
      inputs: inputs as Float32Array,
      targets: Float32Array.from({ length: 3 * COUNT }, (_, k) =>
        (targets as Uint32Array)[Math.floor(k / 3)] === k % 3 ? 1 : 0,
      ),
    }),
  },
  "sequences of indices": {
    modules: [oneHot(), dense(6, 4, { bias: false }), tanh(), flatten(), dense(12, 3)],
    loss: softmaxCrossEntropy(),
    input: { indices: 6, length: 3 },
    data: (t) => ({
      inputs: integers(t, 5, 3 * COUNT, 6),
      targets: classes(t),
      count: COUNT,
    }),
  },
  // One of the names is also one of a stored array's own.
  "two inputs": {
    modules: graph({
      inputs: { format: 3, right: { length: 2, features: 3 } },
      values: {
        a: [dense(3, 4), "format"],
        b: [[tanh(), flatten(), dense(6, 4)], "right"],
        sum: [add(), "a", "b"],
        out: [[tanh(), dense(4, 3)], "sum"],
      },
      output: "out",
    }),
    loss: softmaxCrossEntropy(),
    data: (t) => ({
      inputs: { format: t.random(1).normals(3 * COUNT), right: t.random(2).normals(6 * COUNT) },
      targets: classes(t),
      count: COUNT,
    }),
  },
};

function arraysOf({ data, arrays }: Case, t: TestContext): AnyBatch {
  const options = data(t);
  const { inputs, targets } = arrays?.(options) ?? (options as unknown as AnyBatch);
  return { inputs, targets, count: COUNT };
}

/** Rows of whole arrays. */
function pick({ inputs, targets, count }: AnyBatch, indices: Uint32Array): AnyBatch {
  const rows = <T extends Numbers>(array: T): T => {
    const width = array.length / count;
    const own = new (array.constructor as new (length: number) => T)(indices.length * width);
    indices.forEach((from, to) => {
      own.set(array.subarray(from * width, (from + 1) * width), to * width);
    });
    return own;
  };
  const given = ArrayBuffer.isView(inputs)
    ? rows(inputs as Numbers)
    : Object.fromEntries(Object.entries(inputs).map(([name, array]) => [name, rows(array)]));
  return { inputs: given, targets: rows(targets), count: indices.length };
}

/** Bytes of some batches where they are streamed: rows begin with whole words. */
function budgetOf({ inputs, targets, storage }: GpuDatasetOptions): (batches: number) => number {
  const arrays = ArrayBuffer.isView(inputs) ? [inputs] : Object.values(inputs);
  const words = arrays.map(({ byteLength }) => Math.ceil(byteLength / (storage === "f16" ? 8 : 4) / COUNT));
  const perExample = 4 * words.reduce((sum, length) => sum + length, 0) + targets.byteLength / COUNT;
  return (batches) => Math.floor(batches * SIZE) * perExample;
}

/** The batches of some epochs, the last of each shorter than the others. */
function arrayBatches(all: AnyBatch, epochs: number): AnyBatch[] {
  return Array.from({ length: epochs }, (_, epoch) => {
    const order = new Permutation(COUNT, 5, epoch).slice(0, COUNT);
    return Array.from({ length: Math.ceil(COUNT / SIZE) }, (_, k) =>
      pick(all, order.subarray(k * SIZE, (k + 1) * SIZE)),
    );
  }).flat();
}

const optimizers: Record<string, (engine: Engine, net: Network) => Optimizer> = {
  SGD: (engine, net) => engine.sgd(net, { learningRate: 0.1, momentum: 0.9 }),
  "K-FAC": (engine, net) => engine.kfac(net, { inverseEvery: 3 }),
  "K-FAC by the reduction ratio": (engine, net) => engine.kfac(net, { damping: "levenbergMarquardt" }),
};

async function run(
  t: TestContext,
  own: Case,
  make: (engine: Engine, net: Network) => Optimizer,
  batchesOf: (engine: Engine) => Iterable<AnyBatch | DatasetBatch>,
) {
  const engine = await createEngine(t.device);
  const { modules, loss, input } = own;
  const net = engine.network(modules, loss, { batchSize: SIZE, seed: 2, ...(input && { input }) });
  const optimizer = make(engine, net);
  const records: Promise<StepRecord>[] = [];
  // Several under way: what is sent for one must not reach another.
  for (const batch of batchesOf(engine)) records.push(optimizer.step(batch));
  const done = await Promise.all(records);
  const result = { records: JSON.stringify(done), weights: await net.weights() };
  engine.dispose();
  return result;
}

for (const [name, own] of Object.entries(cases)) {
  for (const [kind, make] of Object.entries(optimizers)) {
    trainingTest(`data sets: ${kind} on ${name} takes the steps that it takes on arrays`, async (t) => {
      const expected = await run(t, own, make, () => arrayBatches(arraysOf(own, t), 3));
      const budget = budgetOf(own.data(t));
      // One batch of examples at a time, some ahead, and some that stay.
      const budgets = kind === "SGD" ? [1, 2.3, 3.5] : [2.3];
      const streamed = budgets.map((batches) => ({ budgetBytes: budget(batches), partBytes: 100 }));
      for (const options of [{}, { partBytes: 100 }, ...streamed]) {
        const actual = await run(t, own, make, function* (engine) {
          const data = engine.dataset(own.data(t), options);
          assertEqual(data.streamed, "budgetBytes" in options, "streamed");
          for (let epoch = 0; epoch < 3; epoch++) yield* data.batches({ batchSize: SIZE, seed: 5, epoch });
        });
        assertEqual(actual.records, expected.records, "records");
        assertSame(actual.weights, expected.weights, "weights");
      }
    });
  }

  kernelTest(`data sets: ${name} are evaluated and predicted like arrays`, async (t) => {
    const engine = await createEngine(t.device);
    const { modules, loss, input } = own;
    const net = engine.network(modules, loss, { batchSize: SIZE, seed: 2, ...(input && { input }) });
    const all = arraysOf(own, t);
    const expected = JSON.stringify(await net.evaluate(all));
    const predictions = await net.predict(all.inputs, COUNT);
    const listed = Uint32Array.of(3, 36, 0, 3, 12, 7, 8, 9, 35, 1, 2);
    const part = pick(all, listed);
    const some = JSON.stringify(await net.evaluate(part));
    for (const options of [{}, { budgetBytes: budgetOf(own.data(t))(1.5) }]) {
      const data = engine.dataset(own.data(t), options);
      assertEqual(JSON.stringify(await net.evaluate(data)), expected, "all");
      assertSame([await net.predict(data)], [predictions], "predictions");
      const batch = data.batch(listed);
      assertEqual(JSON.stringify(await net.evaluate(batch)), some, "some");
      assertSame(
        [await net.predict(batch)],
        [await net.predict(part.inputs, part.count)],
        "some predictions",
      );
    }
    engine.dispose();
  });
}
