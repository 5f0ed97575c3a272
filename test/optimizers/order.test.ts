/** Calls act in the order in which they are made, also where a step waits for its kernels; engines do not mix. */
import { ArgumentError } from "../../src/errors.js";
import type { Engine } from "../../src/index.js";
import { dense, type Network, relu, softmaxCrossEntropy } from "../../src/network/index.js";
import { createEngine } from "../harness/engine.js";
import { assert, assertEqual, assertThrows, networkTest, type TestContext } from "../harness/kernel-test.js";
import { randomBatch } from "../network/helpers.js";
import { assertSame } from "./helpers.js";

const LOSS = softmaxCrossEntropy();

function networkOn(engine: Engine, seed = 3): Network {
  return engine.network([dense(6, 9), relu(), dense(9, 4)], LOSS, { batchSize: 16, seed });
}

function batches(t: TestContext, count: number) {
  return Array.from({ length: count }, (_, k) => randomBatch(t.random(k + 1), 16, 6, 4, LOSS));
}

networkTest("order: weights that are set after a step that waits come after it", async (t) => {
  const engine = await createEngine(t.device);
  const other = networkOn(engine, 9);
  const weights = await other.weights();
  const net = networkOn(engine);
  const sgd = engine.sgd(net, { learningRate: 0.5 });
  const step = sgd.step(batches(t, 1)[0]!);
  const given = weights.map((own) => own.slice());
  net.setWeights(given);
  for (const own of given) own.fill(0);
  // Both are over: weights that had been set first would have taken the step since.
  assertEqual((await step).step, 1, "the step was taken");
  assertSame(await net.weights(), weights, "weights");
  engine.dispose();
});

networkTest("order: what is asked of a network after a step that waits sees its weights", async (t) => {
  const [one] = batches(t, 1);
  const run = async (wait: boolean) => {
    const engine = await createEngine(t.device);
    const net = networkOn(engine);
    const sgd = engine.sgd(net, { learningRate: 0.5 });
    const step = sgd.step(one!);
    if (wait) await step;
    const inputs = one!.inputs.slice();
    const asked = [net.predict(inputs, 16), net.weights(), net.evaluate({ ...one!, inputs })] as const;
    inputs.fill(0);
    const [outputs, weights, { loss }] = await Promise.all(asked);
    engine.dispose();
    return [outputs, ...weights, Float32Array.of(loss)];
  };
  assertSame(await run(false), await run(true), "outputs, weights, loss");
});

networkTest("order: two optimisers of one network take turns", async (t) => {
  const [a, b, c] = batches(t, 3);
  const run = async (wait: boolean) => {
    const engine = await createEngine(t.device);
    const net = networkOn(engine);
    const sgd = engine.sgd(net, { learningRate: 0.5 });
    const adam = engine.adam(net, { learningRate: 0.1 });
    const steps = [() => sgd.step(a!), () => adam.step(b!), () => sgd.step(c!)];
    for (const step of steps) {
      const record = step();
      if (wait) await record;
    }
    const weights = await net.weights();
    engine.dispose();
    return weights;
  };
  assertSame(await run(false), await run(true), "weights");
});

networkTest("order: a snapshot is of one point, with steps under way before and after it", async (t) => {
  const engine = await createEngine(t.device);
  const all = batches(t, 4);
  const net = networkOn(engine);
  const adam = engine.adam(net, { learningRate: 0.1 });
  for (const batch of all.slice(0, 2)) void adam.step(batch);
  const taken = engine.snapshot(net, adam);
  for (const batch of all.slice(2)) void adam.step(batch);
  const { weights, state } = await taken;
  const last = await net.weights();
  assertEqual(state.step![0], 2, "step");
  net.setWeights(weights);
  adam.restore(state);
  for (const batch of all.slice(2)) void adam.step(batch);
  assertSame(await net.weights(), last, "the same steps from there");
  engine.dispose();
});

networkTest("order: optimisers refuse networks of another engine's device", async (t) => {
  const [here, there] = [await createEngine(t.device), await createEngine(await t.freshDevice())];
  const net = networkOn(there);
  const foreign = /^\w+: model must be on the optimiser's own device/;
  assertThrows(() => here.kfac(net), ArgumentError, foreign);
  assertThrows(() => here.sgd(net, { learningRate: 0.1 }), ArgumentError, foreign);
  assertThrows(() => here.adam(net), ArgumentError, foreign);
  assertThrows(() => here.newton(net), ArgumentError, foreign);
  // Another engine on the same device will do.
  const beside = await createEngine(t.device);
  const own = networkOn(beside);
  const { verdict, step } = await here.kfac(own).step(batches(t, 1)[0]!);
  assertEqual(`${verdict} ${step}`, "taken 1", "a step across engines of one device");
  for (const engine of [here, there, beside]) engine.dispose();
});

networkTest("order: an engine that is disposed of under steps ends nobody's process", async (t) => {
  const engine = await createEngine(await t.freshDevice());
  const kfac = engine.kfac(networkOn(engine));
  const all = batches(t, 3);
  // The harness fails this test for errors that nobody listens to.
  for (const batch of all) void kfac.step(batch);
  engine.dispose();
  await new Promise((resolve) => setTimeout(resolve, 50));
  const late = await kfac.step(all[0]!).catch((error) => error);
  assert(late instanceof Error && late.name === "DeviceLostError", `a step after it: ${late}`);
});
