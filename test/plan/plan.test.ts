/** What a plan says is what making and training the network takes. */
import { ArgumentError, LimitError, ShapeError } from "../../src/errors.js";
import type { Engine } from "../../src/index.js";
import type { Network } from "../../src/network/index.js";
import {
  add,
  conv2d,
  dense,
  flatten,
  type Graph,
  graph,
  halfSquaredError,
  type Loss,
  type Module,
  maxPool2d,
  type NetworkOptions,
  relu,
  softmaxCrossEntropy,
} from "../../src/network/index.js";
import type { Optimizer } from "../../src/optimizers/index.js";
import { createEngine } from "../harness/engine.js";
import { assert, assertEqual, assertThrows, kernelTest, trainingTest } from "../harness/kernel-test.js";
import { randomBatch } from "../network/helpers.js";

interface Case {
  description: readonly Module[] | Graph;
  loss: Loss;
  options: NetworkOptions;
  optimizer?: (engine: Engine, net: Network) => Optimizer;
}

const residual = graph({
  inputs: { x: 9 },
  values: {
    a: [[dense(9, 14), relu()], "x"],
    b: [[dense(14, 14)], "a"],
    c: [[add()], "a", "b"],
    out: [[dense(14, 3)], "c"],
  },
  output: "out",
});
const cases: Record<string, Case> = {
  "dense layers, K-FAC": {
    description: [dense(40, 70), relu(), dense(70, 33), relu(), dense(33, 5)],
    loss: softmaxCrossEntropy(),
    options: { batchSize: 64 },
  },
  "convolutions, Adam": {
    description: [conv2d(1, 4, 3), relu(), maxPool2d(2), flatten(), dense(100, 3)],
    loss: softmaxCrossEntropy(),
    options: { batchSize: 10, input: [1, 12, 12] },
    optimizer: (engine, net) => engine.adam(net),
  },
  "a graph, K-FAC in eigenbases": {
    description: residual,
    loss: halfSquaredError(),
    options: { batchSize: 20 },
    optimizer: (engine, net) => engine.kfac(net, { curvature: "ekfac" }),
  },
  "dense layers, Newton": {
    description: [dense(6, 8), relu(), dense(8, 2)],
    loss: halfSquaredError(),
    options: { batchSize: 12 },
    optimizer: (engine, net) => engine.newton(net, { maxIterations: 3 }),
  },
};

for (const [name, { description, loss, options, optimizer }] of Object.entries(cases)) {
  trainingTest(`plan: ${name}: bytes and parameters are those of the real one`, async (t) => {
    const engine = await createEngine(t.device);
    const before = JSON.stringify(engine.manager.counts);
    const planned = await engine.plan(description, loss, { ...options, optimizer });
    assertEqual(JSON.stringify(engine.manager.counts), before, "nothing is made");
    const net = engine.network(description, loss, options);
    const own = optimizer ? optimizer(engine, net) : engine.kfac(net);
    const batch = randomBatch(t.random(3), net.batchSize, net.features, net.outputs, loss);
    for (let step = 0; step < 4; step++) await own.step(batch);
    const { liveBytes } = engine.manager.counts;
    const { bytes, parameters, largestBinding, dispatches } = planned;
    assert(Math.abs(bytes.total / liveBytes - 1) < 0.1, `${bytes.total} bytes planned, ${liveBytes} there`);
    const { total, ...purposes } = bytes;
    assertEqual(
      Object.values(purposes).reduce((sum, one) => sum + one, 0),
      total,
      "bytes by purpose",
    );
    const weights = await net.weights();
    assertEqual(
      parameters,
      weights.reduce((sum, { length }) => sum + length, 0),
      "parameters",
    );
    assert(largestBinding.bytes > 0 && largestBinding.bytes <= total, `${largestBinding.bytes} bound`);
    assert(dispatches.least > 5 && dispatches.most >= dispatches.least, JSON.stringify(dispatches));
    engine.dispose();
  });
}

kernelTest("plan: what the device cannot hold is refused as the network would be, and at once", async (t) => {
  const { engine } = t;
  const before = JSON.stringify(engine.manager.counts);
  const loss = halfSquaredError();
  const { maxStorageBufferBindingSize: most } = engine.capabilities.limits;
  const wide = Math.ceil(Math.sqrt(most / 4)) + 64;
  const error = await assertThrows(
    () => engine.plan([dense(wide, wide)], loss, { batchSize: 4 }),
    LimitError,
  );
  assert((error as LimitError).needed > most, "bytes needed");
  for (const size of [60_000, 1e9]) {
    await assertThrows(() => engine.plan([dense(size, size)], loss), LimitError);
    assertThrows(() => engine.network([dense(size, size)], loss), LimitError);
  }
  await assertThrows(() => engine.plan([dense(3, 4), dense(5, 2)], loss), ShapeError);
  await assertThrows(() => engine.plan([dense(3, 4)], loss, { optimizer: 3 as never }), ArgumentError);
  await assertThrows(() => engine.plan([dense(3, 4)], loss, null as never), ArgumentError);
  await assertThrows(() => engine.plan([dense(3, 4)], loss, { batchsize: 3 } as never), ArgumentError);
  assertEqual(JSON.stringify(engine.manager.counts), before, "nothing is made");
});
