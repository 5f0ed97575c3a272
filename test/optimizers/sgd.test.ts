import { ArgumentError } from "../../src/errors.js";
import { dense, halfSquaredError, type Module, softmaxCrossEntropy, tanh } from "../../src/network/index.js";
import type { SgdOptions } from "../../src/optimizers/index.js";
import { add, matrix } from "../../src/reference/matrix.js";
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
type Numbers = { [K in keyof Omit<SgdOptions, "decay">]: number };

const cases: Record<string, Numbers> = {
  "the defaults": { learningRate: 0.1 },
  "no momentum": { learningRate: 0.3, momentum: 0 },
  "momentum and weight decay": { learningRate: 0.05, momentum: 0.5, weightDecay: 0.2 },
};

for (const [name, options] of Object.entries(cases)) {
  trainingTest(`sgd: ${name}, against an f64 loop`, async (t) => {
    const { learningRate, momentum = 0.9, weightDecay = 0 } = options;
    const loss = softmaxCrossEntropy();
    const net = t.engine.network(MODULES, loss, { batchSize: 20, seed: 7 });
    const sgd = t.engine.sgd(net, options);
    const before = await net.weights();
    let network = await twin(net, MODULES);
    let velocity = weightsOf(network).map((W) => matrix(W.rows, W.cols));
    const random = t.random(2);
    for (let step = 1; step <= 8; step++) {
      const batch = randomBatch(random, step === 3 ? 7 : 20, 7, 3, loss);
      const record = await sgd.step(batch);
      const X = matrixOf(batch.inputs, batch.count, 7);
      const result = lossAndGradients(network, loss.kind, X, targetsOf(batch, 3));
      const weights = weightsOf(network);
      const gradients = result.gradients.map((G, l) => add(G, weights[l]!, 1, weightDecay));
      velocity = velocity.map((V, l) => add(V, gradients[l]!, momentum, 1));
      network = withWeights(
        network,
        weights.map((W, l) => add(W, velocity[l]!, 1, -learningRate)),
      );
      const what = `step ${step}`;
      assertRecord(record, what);
      assertEqual(record.step, step, "number of the step");
      assertEqual(record.status, "ok", `${what}: status`);
      assertEqual(record.lambda, undefined, `${what}: λ`);
      assertEqual(record.skippedLayers, 0, `${what}: skipped layers`);
      assertClose([record.loss], [result.loss], 1e-5, `${what}: loss`);
      const size = (list: readonly { data: Float64Array }[]) =>
        Math.hypot(...flat(list.map(({ data }) => data)));
      assertClose([record.gradientNorm], [size(gradients)], 1e-5, `${what}: ‖G + ωW‖`);
      assertClose([record.updateNorm], [learningRate * size(gradients)], 1e-5, `${what}: ‖ηU‖`);
      assertEqual(record.clip, 1, `${what}: ν`);
      const change = moved(await net.weights(), before);
      assertClose(change, moved(flatTwin(network), before), 1e-5, `${what}: change of the weights`);
    }
    sgd.dispose();
    net.dispose();
  });
}

trainingTest("sgd: a gradient that is not finite changes nothing, and training goes on", async (t) => {
  const loss = halfSquaredError();
  const net = t.engine.network([dense(5, 8), dense(8, 3)], loss, { batchSize: 16, seed: 1 });
  const sgd = t.engine.sgd(net, { learningRate: 0.01 });
  const random = t.random(3);
  await sgd.step(randomBatch(random, 16, 5, 3, loss));
  const before = flat(await net.weights());
  const huge = randomBatch(random, 16, 5, 3, loss);
  huge.inputs.fill(3e38);
  const record = await sgd.step(huge);
  assertEqual(record.skippedLayers, 2, "skipped layers");
  assertEqual(record.status, "gradient not finite", "status");
  assertEqual(record.updateNorm, 0, "‖ηU‖");
  assertClose(flat(await net.weights()), before, 0, "weights");
  const next = await sgd.step(randomBatch(random, 16, 5, 3, loss));
  assertEqual(next.skippedLayers, 0, "skipped layers afterwards");
  assertEqual(next.status, "ok", "status afterwards");
  const after = flat(await net.weights());
  assertWritten(after, "weights");
  assert(
    after.some((w, k) => w !== before[k]),
    "training does not go on",
  );
  sgd.dispose();
  net.dispose();
});

trainingTest("sgd: one number of the gradient that is not finite stops the whole step", async (t) => {
  const net = t.engine.network([dense(2, 2, { bias: false })], halfSquaredError(), { batchSize: 1 });
  const W = Float32Array.of(1e-10, 2, 1e-10, 4);
  net.setWeights([W]);
  const sgd = t.engine.sgd(net, { learningRate: 1e-15 });
  // G = (W x − t) x' with x = (1e25, 1): the first column's is beyond f32, the second's is not.
  const record = await sgd.step({
    inputs: Float32Array.of(1e25, 1),
    targets: Float32Array.of(0, 0),
    count: 1,
  });
  assertEqual(record.skippedLayers, 1, "skipped layers");
  assertClose((await net.weights())[0]!, W, 0, "weights");
  sgd.dispose();
  net.dispose();
});

trainingTest("sgd: a weight that would overflow stays as it is", async (t) => {
  const loss = halfSquaredError();
  const net = t.engine.network([dense(2, 2, { bias: false })], loss, { batchSize: 1 });
  net.setWeights([Float32Array.of(1, 2, 3, 4)]);
  const sgd = t.engine.sgd(net, { learningRate: 1e27, momentum: 0 });
  // G = (W x − t) x', x = (1e9, 1): the first column's step is beyond 3.4e38, the second's is not.
  await sgd.step({ inputs: Float32Array.of(1e9, 1), targets: Float32Array.of(0, 0), count: 1 });
  const [W] = await net.weights();
  assertWritten(W!, "weights");
  assertEqual(W![0], 1, "W(0, 0)");
  assertEqual(W![2], 3, "W(1, 0)");
  assertClose([W![1]!], [2 - 1e27 * (1e9 + 2)], 1e-6, "W(0, 1)");
  sgd.dispose();
  net.dispose();
});

trainingTest("sgd: bad options are refused and leave no buffer", (t) => {
  const net = t.engine.network([dense(3, 2)], softmaxCrossEntropy(), { batchSize: 4 });
  const before = t.engine.manager.counts.liveBuffers;
  const bad: [SgdOptions, RegExp][] = [
    [{ learningRate: 0 }, /learningRate must be a positive number, got 0/],
    [{ learningRate: 1, momentum: 1 }, /momentum must lie in \[0, 1\), got 1/],
    [{ learningRate: 1, weightDecay: -1 }, /weightDecay must be .* not negative, got -1/],
  ];
  for (const [options, text] of bad) assertThrows(() => t.engine.sgd(net, options), ArgumentError, text);
  assertEqual(t.engine.manager.counts.liveBuffers, before, "buffers");
  t.engine.sgd(net, { learningRate: 1 }).dispose();
  assertEqual(t.engine.manager.counts.liveBuffers, before, "buffers after dispose");
  net.dispose();
});
