import { ArgumentError } from "../../src/errors.js";
import { dense, halfSquaredError, type Module, softmaxCrossEntropy, tanh } from "../../src/network/index.js";
import type { AdamOptions } from "../../src/optimizers/index.js";
import { lossAndGradients, weightsOf, withWeights } from "../../src/reference/network.js";
import {
  assert,
  assertClose,
  assertEqual,
  assertThrows,
  assertWritten,
  trainingTest,
} from "../harness/kernel-test.js";
import { matrixOf, randomBatch, targetsOf, twin } from "../network/helpers.js";
import { assertRecord, flat, flatTwin, moved } from "./helpers.js";

const MODULES: Module[] = [dense(7, 11), tanh(), dense(11, 5, { bias: false }), tanh(), dense(5, 3)];

/** Options without schedules. */
type Numbers = { [K in keyof Omit<AdamOptions, "decay">]: number };

const cases: Record<string, Numbers> = {
  "the defaults": {},
  "other numbers": { learningRate: 0.02, beta1: 0.6, beta2: 0.9, epsilon: 0.01 },
  "weight decay": { learningRate: 0.01, weightDecay: 0.2, epsilon: 1e-4 },
};

for (const [name, options] of Object.entries(cases)) {
  trainingTest(`adam: ${name}, against an f64 loop`, async (t) => {
    const { learningRate = 1e-3, beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8, weightDecay = 0 } = options;
    const loss = softmaxCrossEntropy();
    const net = t.engine.network(MODULES, loss, { batchSize: 20, seed: 7 });
    const adam = t.engine.adam(net, options);
    const before = await net.weights();
    let network = await twin(net, MODULES);
    const length = flat(before).length;
    const [m, v, u] = [new Float64Array(length), new Float64Array(length), new Float64Array(length)];
    const random = t.random(2);
    for (let step = 1; step <= 10; step++) {
      const batch = randomBatch(random, 20, 7, 3, loss);
      const record = await adam.step(batch);
      const X = matrixOf(batch.inputs, 20, 7);
      const result = lossAndGradients(network, loss.kind, X, targetsOf(batch, 3));
      const weights = weightsOf(network);
      const W = flat(weights.map(({ data }) => data));
      const G = flat(result.gradients.map(({ data }) => data));
      for (let k = 0; k < length; k++) {
        G[k]! += weightDecay * W[k]!;
        const g = G[k]!;
        m[k] = beta1 * m[k]! + (1 - beta1) * g;
        v[k] = beta2 * v[k]! + (1 - beta2) * g * g;
        u[k] = m[k]! / (1 - beta1 ** step) / (Math.sqrt(v[k]! / (1 - beta2 ** step)) + epsilon);
        W[k]! -= learningRate * u[k]!;
      }
      let start = 0;
      network = withWeights(
        network,
        weights.map(({ rows, cols }) => {
          start += rows * cols;
          return { rows, cols, data: W.slice(start - rows * cols, start) };
        }),
      );
      const what = `step ${step}`;
      assertRecord(record, what);
      assertEqual(record.step, step, "number of the step");
      assertEqual(record.status, "ok", `${what}: status`);
      assertClose([record.loss], [result.loss], 1e-5, `${what}: loss`);
      assertClose([record.gradientNorm], [Math.hypot(...G)], 1e-5, `${what}: ‖G + ωW‖`);
      // U is G over its own size, so a small G's error is not small in U.
      assertClose([record.updateNorm], [learningRate * Math.hypot(...u)], 1e-4, `${what}: ‖ηU‖`);
      const change = moved(await net.weights(), before);
      assertClose(change, moved(flatTwin(network), before), 2e-4, `${what}: change of the weights`);
    }
    adam.dispose();
    net.dispose();
  });
}

trainingTest("adam: a gradient that is not finite changes nothing, and training goes on", async (t) => {
  const loss = halfSquaredError();
  const net = t.engine.network([dense(5, 8), dense(8, 3)], loss, { batchSize: 16, seed: 1 });
  const adam = t.engine.adam(net, { learningRate: 0.01 });
  const random = t.random(3);
  await adam.step(randomBatch(random, 16, 5, 3, loss));
  const state = await adam.state();
  const before = flat(await net.weights());
  const huge = randomBatch(random, 16, 5, 3, loss);
  huge.inputs.fill(3e38);
  const record = await adam.step(huge);
  assertEqual(record.skippedLayers, 2, "skipped layers");
  assertEqual(record.status, "gradient not finite", "status");
  assertClose(flat(await net.weights()), before, 0, "weights");
  const kept = await adam.state();
  for (const name of ["first", "second"]) assertClose(kept[name]!, state[name]!, 0, `${name} moment`);
  const next = await adam.step(randomBatch(random, 16, 5, 3, loss));
  assertEqual(next.skippedLayers, 0, "skipped layers afterwards");
  const after = flat(await net.weights());
  assertWritten(after, "weights");
  assert(
    after.some((w, k) => w !== before[k]),
    "training does not go on",
  );
  adam.dispose();
  net.dispose();
});

trainingTest("adam: one number of the gradient that is not finite stops the whole step", async (t) => {
  const net = t.engine.network([dense(2, 2, { bias: false })], halfSquaredError(), { batchSize: 1 });
  const W = Float32Array.of(1e-10, 2, 1e-10, 4);
  net.setWeights([W]);
  const adam = t.engine.adam(net);
  // G = (W x − t) x' with x = (1e25, 1): the first column's is beyond f32, the second's is not.
  const record = await adam.step({
    inputs: Float32Array.of(1e25, 1),
    targets: Float32Array.of(0, 0),
    count: 1,
  });
  assertEqual(record.skippedLayers, 1, "skipped layers");
  assertClose((await net.weights())[0]!, W, 0, "weights");
  adam.dispose();
  net.dispose();
});

trainingTest("adam: a weight whose moments would overflow stays as it is", async (t) => {
  const net = t.engine.network([dense(2, 2, { bias: false })], halfSquaredError(), { batchSize: 1 });
  net.setWeights([Float32Array.of(1, 2, 3, 4)]);
  const adam = t.engine.adam(net, { learningRate: 0.5 });
  // g = (W x − t) x' with x = (1e15, 1): the first column's is about 1e30, its square beyond f32; the second's about 1e15.
  await adam.step({ inputs: Float32Array.of(1e15, 1), targets: Float32Array.of(0, 0), count: 1 });
  const [W] = await net.weights();
  assertWritten(W!, "weights");
  assertClose(W!, [1, 1.5, 3, 3.5], 1e-6, "weights");
  const state = await adam.state();
  for (const name of ["first", "second"]) assertWritten(state[name]!, `${name} moment`);
  adam.dispose();
  net.dispose();
});

trainingTest("adam: bad options are refused and leave no buffer", (t) => {
  const net = t.engine.network([dense(3, 2)], softmaxCrossEntropy(), { batchSize: 4 });
  const before = t.engine.manager.counts.liveBuffers;
  const bad: [AdamOptions, RegExp][] = [
    [{ learningRate: -1 }, /learningRate must be a positive number, got -1/],
    [{ beta1: 1 }, /beta1 must lie in \[0, 1\), got 1/],
    [{ beta2: -0.1 }, /beta2 must lie in \[0, 1\), got -0.1/],
    [{ epsilon: 0 }, /epsilon must be a positive number, got 0/],
    [{ weightDecay: Number.NaN }, /weightDecay must be .* not negative, got NaN/],
  ];
  for (const [options, text] of bad) assertThrows(() => t.engine.adam(net, options), ArgumentError, text);
  assertEqual(t.engine.manager.counts.liveBuffers, before, "buffers");
  t.engine.adam(net).dispose();
  assertEqual(t.engine.manager.counts.liveBuffers, before, "buffers after dispose");
  net.dispose();
});
