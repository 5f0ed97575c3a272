/** The running mean of the weights: what it is of, and that nothing is lost to it. */
import type { Batch } from "../../src/curvature/index.js";
import { ArgumentError } from "../../src/errors.js";
import { dense, type Network, relu, softmaxCrossEntropy } from "../../src/network/index.js";
import type { Optimizer, StepRecord } from "../../src/optimizers/index.js";
import { averageWeights } from "../../src/reference/average.js";
import {
  assert,
  assertClose,
  assertEqual,
  assertThrows,
  type TestContext,
  trainingTest,
} from "../harness/kernel-test.js";
import { randomBatch } from "../network/helpers.js";
import { assertSame, flat } from "./helpers.js";

const LOSS = softmaxCrossEntropy();
const DECAY = 0.8;

function networkFor({ engine }: TestContext, seed = 3): Network {
  return engine.network([dense(7, 11), relu(), dense(11, 4)], LOSS, { batchSize: 24, seed });
}

/** The mean as it should be, beside an optimiser's own, step by step. */
async function follow(
  net: Network,
  optimizer: Optimizer,
  batches: readonly Batch[],
): Promise<{ mean: Float64Array; records: StepRecord[] }> {
  let mean: Float64Array = new Float64Array();
  const records: StepRecord[] = [];
  for (const batch of batches) {
    const before = flat(await net.weights());
    const record = await optimizer.step(batch);
    const { verdict = "taken" } = record as { verdict?: string };
    mean = averageWeights(mean, before, DECAY, optimizer.steps, verdict === "taken");
    records.push(record);
  }
  return { mean, records };
}

function batchesOf(t: TestContext, count: number): Batch[] {
  return Array.from({ length: count }, (_, k) => randomBatch(t.random(k), 24, 7, 4, LOSS));
}

trainingTest(
  "mean of weights: of those that steps begin from, as in f64; the weights come back",
  async (t) => {
    const options = { averageDecay: DECAY };
    const kinds = {
      sgd: (net: Network) => t.engine.sgd(net, { learningRate: 0.3, ...options }),
      adam: (net: Network) => t.engine.adam(net, options),
      adamw: (net: Network) => t.engine.adamW(net, options),
      newton: (net: Network) => t.engine.newton(net, options),
      kfac: (net: Network) => t.engine.kfac(net, options),
    };
    for (const [name, make] of Object.entries(kinds)) {
      const net = networkFor(t);
      const optimizer = make(net) as unknown as Optimizer;
      assert(optimizer.averages, `${name} averages`);
      assertSame(
        await optimizer.withAverage(() => net.weights()),
        await net.weights(),
        `${name}: before step 1`,
      );
      const { mean } = await follow(net, optimizer, batchesOf(t, 15));
      const weights = await net.weights();
      const found = flat(await optimizer.withAverage(() => net.weights()));
      assertClose(found, mean, 2e-6, `${name}: mean`);
      const apart = Math.max(...found.map((w, k) => Math.abs(w - flat(weights)[k]!)));
      assert(apart > 1e-3, `${name}: the mean is not the weights`);
      assertSame(await net.weights(), weights, `${name}: weights after it`);
      optimizer.dispose();
      net.dispose();
    }
  },
);

trainingTest("mean of weights: a step that is taken back leaves no trace", async (t) => {
  const net = networkFor(t);
  const kfac = t.engine.kfac(net, { averageDecay: DECAY });
  const good = batchesOf(t, 12);
  const bad = randomBatch(t.random(99), 24, 7, 4, LOSS);
  const wild = { ...bad, inputs: bad.inputs.map((x) => x * 1e6) as Float32Array<ArrayBuffer> };
  const nothing = { ...bad, inputs: bad.inputs.map(() => 1e30) as Float32Array<ArrayBuffer> };
  const batches = [...good.slice(0, 6), wild, good[6]!, nothing, wild, wild, ...good.slice(7)];
  const { mean, records } = await follow(net, kfac as unknown as Optimizer, batches);
  const verdicts = records.map((record) => (record as unknown as { verdict: string }).verdict);
  assert(verdicts.includes("held") && verdicts.includes("restored"), `verdicts: ${verdicts}`);
  assertClose(flat(await kfac.withAverage(() => net.weights())), mean, 2e-6, "mean");
});

trainingTest("mean of weights: errors, steps in between, disposal", async (t) => {
  const net = networkFor(t);
  const plain = t.engine.sgd(net, { learningRate: 0.1 });
  assert(!plain.averages, "no mean unless asked for");
  await assertThrows(() => plain.withAverage(() => 1), ArgumentError, /averageDecay/);
  const nested = t.engine.sgd(net, { learningRate: 0.1, averageDecay: DECAY });
  const inner = nested.withAverage(() => nested.withAverage(() => 1));
  await assertThrows(() => inner, ArgumentError, /is in withAverage/);
  nested.dispose();
  plain.dispose();
  for (const averageDecay of [-0.1, 1, Number.NaN]) {
    await assertThrows(
      () => t.engine.sgd(net, { learningRate: 0.1, averageDecay }),
      ArgumentError,
      /averageDecay/,
    );
  }
  const sgd = t.engine.sgd(net, { learningRate: 0.1, averageDecay: DECAY });
  const [batch, other] = batchesOf(t, 2);
  await sgd.step(batch!);
  await sgd.step(other!);
  const weights = await net.weights();
  await assertThrows(() => sgd.withAverage(() => Promise.reject(new RangeError("mine"))), RangeError, /mine/);
  assertSame(await net.weights(), weights, "weights after an error");
  await sgd.withAverage(async () => {
    await assertThrows(() => sgd.step(batch!), ArgumentError, /withAverage/);
    await assertThrows(() => sgd.state(), ArgumentError, /withAverage/);
  });
  assertSame(await net.weights(), weights, "weights after refusals");
  // What was asked for before comes first.
  const [late, steps] = [sgd.step(batch!), sgd.withAverage(() => sgd.steps)];
  await late;
  assertEqual(await steps, 3, "steps before the exchange");
  const last = await net.weights();
  await sgd.withAverage(() => sgd.dispose());
  assertSame(await net.weights(), last, "weights after disposal");
});

trainingTest("mean of weights: a run goes on with it bit for bit", async (t) => {
  const batches = batchesOf(t, 8);
  const make = () => {
    const net = networkFor(t);
    return { net, kfac: t.engine.kfac(net, { averageDecay: DECAY }) };
  };
  const whole = make();
  for (const batch of batches.slice(0, 4)) await whole.kfac.step(batch);
  const state = await whole.kfac.state();
  const weights = await whole.net.weights();
  for (const batch of batches.slice(4)) await whole.kfac.step(batch);
  const later = make();
  later.net.setWeights(weights);
  later.kfac.restore(state);
  for (const batch of batches.slice(4)) await later.kfac.step(batch);
  const [a, b] = [later, whole].map(({ net, kfac }) => kfac.withAverage(() => net.weights()));
  assertSame(await a!, await b!, "means");
});

trainingTest("mean of weights: fit validates it, and keeps it as the best", async (t) => {
  const net = networkFor(t);
  const sgd = t.engine.sgd(net, { learningRate: 0.5, averageDecay: DECAY });
  const all = randomBatch(t.random(5), 96, 7, 4, LOSS);
  const data = { inputs: all.inputs, targets: all.targets, count: 96 };
  const validation = randomBatch(t.random(6), 48, 7, 4, LOSS);
  const seen: number[] = [];
  const { epochs } = await t.engine.fit(net, sgd, data, {
    epochs: 3,
    validation,
    onEpoch: async ({ validationLoss }) => {
      const { loss } = await sgd.withAverage(() => net.evaluate(validation));
      assertEqual(validationLoss, loss, "validation loss");
      seen.push((await net.evaluate(validation)).loss);
    },
  });
  assert(
    epochs.some(({ validationLoss }, k) => validationLoss !== seen[k]),
    "weights and mean differ",
  );
  const best: Float32Array[][] = [];
  await t.engine.fit(net, sgd, data, {
    epochs: 3,
    validation,
    earlyStopping: { metric: ({ epoch }) => Math.abs(epoch - 2) },
    onEpoch: async () => {
      best.push(await sgd.withAverage(() => net.weights()));
    },
  });
  assertSame(await net.weights(), best[1]!, "weights after the best epoch");
});
