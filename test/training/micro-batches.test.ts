/** Steps on more examples than the network takes at a time. */
import { microBatches } from "../../src/data/index.js";
import { ArgumentError } from "../../src/errors.js";
import type { AnyBatch } from "../../src/model/index.js";
import { add, dense, graph, type Network, softmaxCrossEntropy, tanh } from "../../src/network/index.js";
import type { FitData } from "../../src/training/index.js";
import {
  assertClose,
  assertEqual,
  assertThrows,
  type TestContext,
  trainingTest,
} from "../harness/kernel-test.js";
import { flat } from "../optimizers/helpers.js";
import { COUNT, trainingData } from "./helpers.js";

const OPTIONS = { learningRate: 0.1, momentum: 0.9, damping: 0.1 } as const;

function networkOf(t: TestContext, batchSize: number): Network {
  const modules = [dense(3, 5), tanh(), dense(5, 2)];
  return t.engine.network(modules, softmaxCrossEntropy(), { batchSize, seed: 7 });
}

trainingTest("fit: batches larger than the network's are steps in micro-batches", async (t) => {
  const data = trainingData(t);
  const [large, small] = [networkOf(t, COUNT), networkOf(t, 3)];
  const [whole, parts] = [t.engine.kfac(large, OPTIONS), t.engine.kfac(small, OPTIONS)];
  const options = { epochs: 3, batchSize: 8, validation: data };
  const expected = await t.engine.fit(large, whole, data, options);
  const history = await t.engine.fit(small, parts, data, options);
  assertClose(flat(await small.weights()), flat(await large.weights()), 1e-5, "weights");
  for (const [k, epoch] of history.epochs.entries()) {
    const wanted = expected.epochs[k]!;
    assertEqual(
      `${epoch.steps} ${epoch.examples}`,
      `${wanted.steps} ${wanted.examples}`,
      "steps and examples",
    );
    assertEqual(`${epoch.steps} ${epoch.examples}`, `2 ${COUNT}`, "steps and examples");
    assertClose([epoch.loss, epoch.validationLoss!], [wanted.loss, wanted.validationLoss!], 1e-5, "losses");
    assertClose([epoch.accuracy], [wanted.accuracy], 1e-6, "accuracy");
  }
  for (const made of [whole, parts, large, small]) made.dispose();
});

trainingTest(
  "fit: sequences may hold lists of micro-batches, and batches too large for a pass",
  async (t) => {
    const data = trainingData(t);
    const [large, small] = [networkOf(t, COUNT), networkOf(t, 4)];
    const sequence: FitData = [microBatches(data, 3), data];
    const sgd = { learningRate: 0.1 };
    await t.engine.fit(large, t.engine.sgd(large, sgd), [data, data], { epochs: 2 });
    const history = await t.engine.fit(small, t.engine.sgd(small, sgd), sequence, { epochs: 2 });
    assertEqual(
      history.epochs.map(({ examples }) => examples).join(),
      `${2 * COUNT},${2 * COUNT}`,
      "examples",
    );
    assertClose(flat(await small.weights()), flat(await large.weights()), 1e-5, "weights");
    const odd = { ...data, inputs: data.inputs.subarray(1) };
    const refused = t.engine.fit(small, t.engine.sgd(small, sgd), [odd], { epochs: 1 });
    await assertThrows(() => refused, Error, /inputs/);
    for (const net of [large, small]) net.dispose();
  },
);

trainingTest("fit: micro-batches of several inputs", async (t) => {
  const { inputs, targets, count } = trainingData(t);
  const net = (batchSize: number) =>
    t.engine.network(
      graph({
        inputs: { a: 3, b: 3 },
        values: { x: [dense(3, 2), "a"], y: [dense(3, 2), "b"], sum: [add(), "x", "y"] },
        output: "sum",
      }),
      softmaxCrossEntropy(),
      { batchSize, seed: 2 },
    );
  const data: AnyBatch = { inputs: { a: inputs, b: inputs.map((x) => x * x) }, targets, count };
  const [large, small] = [net(COUNT), net(4)];
  for (const own of [large, small]) {
    await t.engine.fit(own, t.engine.adam(own), data, { epochs: 3, batchSize: COUNT });
  }
  assertClose(flat(await small.weights()), flat(await large.weights()), 1e-5, "weights");
  for (const own of [large, small]) own.dispose();
});

trainingTest("fit: a batch is cut into parts as equal as they can be, none of it copied", (t) => {
  const data = trainingData(t);
  const parts = microBatches(data, 4);
  assertEqual(parts.map(({ count }) => count).join(), "3,3,4", "sizes");
  assertEqual(parts.flatMap((part) => [...part.targets]).join(), data.targets.join(), "targets");
  assertEqual(parts.flatMap((part) => [...part.inputs]).join(), data.inputs.join(), "inputs");
  assertEqual(parts[1]!.inputs.buffer === data.inputs.buffer, true, "the caller's own memory");
  assertEqual(microBatches(data, 99).length, 1, "parts of a small batch");
  for (const size of [0, 1.5, Number.NaN]) {
    assertThrows(() => microBatches(data, size), ArgumentError, /size must be a whole number/);
  }
  assertThrows(() => microBatches({ ...data, count: 0 }, 2), ArgumentError, /count must be/);
  assertThrows(() => microBatches({ ...data, count: 4 }, 2), Error, /inputs/);
  const none = { ...data, targets: undefined } as unknown as AnyBatch;
  assertThrows(() => microBatches(none, 2), ArgumentError, /targets must be an array of numbers/);
});
