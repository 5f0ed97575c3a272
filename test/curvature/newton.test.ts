/** Newton's method with the exact curvature of each layer. */
import { ArgumentError } from "../../src/errors.js";
import {
  dense,
  halfSquaredError,
  type Loss,
  type Module,
  softmaxCrossEntropy,
  tanh,
} from "../../src/network/index.js";
import { Newton, type NewtonOptions } from "../../src/optimizers/directions/newton.js";
import { conjugateGradients } from "../../src/reference/cg.js";
import { add, type Matrix } from "../../src/reference/matrix.js";
import { curvatureRows, lossAndGradients, weightsOf } from "../../src/reference/network.js";
import { denseBlock, positionOperator } from "../../src/reference/operator.js";
import { assert, assertClose, assertEqual, assertThrows, trainingTest } from "../harness/kernel-test.js";
import { managerOf } from "../linalg/helpers.js";
import { matrixOf, randomBatch, targetsOf, twin } from "../network/helpers.js";
import { assertRecord, assertSame, flat, moved } from "../optimizers/helpers.js";
import { calls, submits } from "./spies.js";

const MODULES: Module[] = [dense(5, 6), tanh(), dense(6, 3)];

/** Options without schedules. */
type Plain = NewtonOptions & { learningRate?: number; damping?: number };

const cases: Record<string, { loss: Loss; options: Plain }> = {
  "squared error": { loss: halfSquaredError(), options: { damping: 0.1 } },
  "softmax, a shorter step": { loss: softmaxCrossEntropy(), options: { damping: 0.05, learningRate: 0.5 } },
  "weight decay": { loss: softmaxCrossEntropy(), options: { damping: 0.05, weightDecay: 0.1 } },
  "preconditioned by EKFAC": {
    loss: softmaxCrossEntropy(),
    options: { damping: 0.05, preconditioner: "ekfac" },
  },
  "a Monte-Carlo Fisher": {
    loss: softmaxCrossEntropy(),
    options: { damping: 0.05, fisher: { kind: "monteCarlo", samples: 3 }, seed: 8 },
  },
};

for (const [name, { loss, options }] of Object.entries(cases)) {
  trainingTest(`newton: ${name}, one step against f64`, async (t) => {
    const net = t.engine.network(MODULES, loss, { batchSize: 30, seed: 3 });
    const newton = new Newton(managerOf(t), net, { maxIterations: 60, tolerance: 1e-6, ...options });
    const network = await twin(net, MODULES);
    const before = await net.weights();
    const batch = randomBatch(t.random(1), 24, 5, 3, loss);
    const record = await newton.step(batch);
    assertRecord(record, "record");
    assertEqual(record.status, "ok", "status");
    assertEqual(record.lambda, options.damping, "λ");
    const X = matrixOf(batch.inputs, batch.count, 5);
    const { gradients, loss: value } = lossAndGradients(network, loss.kind, X, targetsOf(batch, 3));
    assertClose([record.loss], [value], 1e-5, "loss");
    const fisher =
      typeof options.fisher === "object"
        ? ({ kind: "monteCarlo", samples: 3, seed: 8, step: 1 } as const)
        : ({ kind: "exact" } as const);
    const rows = curvatureRows(network, loss.kind, X, fisher);
    const { weightDecay = 0, learningRate = 1, damping = 0 } = options;
    const steps = weightsOf(network).map((W, l): Matrix => {
      const G = add(gradients[l]!, W, 1, weightDecay);
      const operator = positionOperator(denseBlock(rows, l));
      const { solution } = conjugateGradients(operator, G, {
        damping: damping + weightDecay,
        tolerance: 1e-12,
      });
      return { ...solution, data: solution.data.map((x) => -learningRate * x) };
    });
    const change = moved(await net.weights(), before);
    assertClose(change, flat(steps.map(({ data }) => data)), 1e-4, "change of the weights");
    assertClose([record.updateNorm], [Math.hypot(...change)], 1e-4, "‖ηU‖");
    for (const { status, residual, iterations } of record.solves) {
      assertEqual(status, "converged", "solve");
      assert(residual! <= 1e-6 && iterations > 1, `${residual} after ${iterations}`);
    }
    newton.dispose();
    net.dispose();
  });
}

trainingTest(
  "newton: one step solves a linear network; half a step, or a layer behind another, does not",
  async (t) => {
    const loss = halfSquaredError();
    const options = { damping: 0, maxIterations: 80, tolerance: 1e-6 };
    const excess = async (modules: Module[], learningRate: number) => {
      const net = t.engine.network(modules, loss, { batchSize: 40, seed: 2 });
      const newton = new Newton(managerOf(t), net, { ...options, learningRate });
      const batch = randomBatch(t.random(4), 40, 6, 3, loss);
      const { loss: first } = await newton.step(batch);
      const { gradientNorm, loss: second } = await newton.step(batch);
      newton.dispose();
      net.dispose();
      return { gradientNorm, gain: first - second };
    };
    const whole = await excess([dense(6, 3)], 1);
    assert(whole.gradientNorm < 1e-5, `‖G‖ after one step: ${whole.gradientNorm}`);
    assert(whole.gain > 0.1, `gain ${whole.gain}`);
    const half = await excess([dense(6, 3)], 0.5);
    assertClose([half.gain], [0.75 * whole.gain], 1e-3, "gain of half a step");
    const deep = await excess([dense(6, 4), dense(4, 3)], 1);
    assert(deep.gradientNorm > 1e-2, `‖G‖ of a deep network after one step: ${deep.gradientNorm}`);
  },
);

trainingTest("newton: trains, one submit and one look at the GPU for a step", async (t) => {
  const loss = softmaxCrossEntropy();
  const net = t.engine.network(MODULES, loss, { batchSize: 60, seed: 6 });
  const newton = new Newton(managerOf(t), net, { damping: 0.05, maxIterations: 10, learningRate: 0.7 });
  const batch = randomBatch(t.random(5), 60, 5, 3, loss);
  batch.targets = Uint32Array.from({ length: 60 }, (_, i) => (batch.inputs[5 * i]! > 0 ? 1 : 2));
  const { loss: first } = await newton.step(batch);
  for (let k = 0; k < 4; k++) await newton.step(batch);
  const counts = managerOf(t).counts;
  const staging = t.device.createBuffer({ size: 16, usage: GPUBufferUsage.MAP_READ });
  let last = 0;
  const looks = await calls(staging, "mapAsync", async () => {
    const sent = await submits(t.device, async () => {
      last = (await newton.step(batch)).loss;
    });
    assertEqual(sent, 1, "submits");
  });
  assertEqual(looks, 1, "read-backs");
  staging.destroy();
  for (const key of ["buffers", "tables", "pipelines"] as const) {
    assertEqual(managerOf(t).counts[key], counts[key], `${key} after warm-up`);
  }
  assert(last < 0.5 * first, `loss ${first}, then ${last}`);
  newton.dispose();
  net.dispose();
});

trainingTest("newton: numbers that are not finite change nothing, and training goes on", async (t) => {
  const loss = halfSquaredError();
  const net = t.engine.network(MODULES, loss, { batchSize: 16, seed: 1 });
  const newton = new Newton(managerOf(t), net, { preconditioner: "expand" });
  const random = t.random(3);
  await newton.step(randomBatch(random, 16, 5, 3, loss));
  const before = await net.weights();
  const huge = randomBatch(random, 16, 5, 3, loss);
  huge.inputs.fill(3e38);
  huge.targets.fill(3e38);
  const record = await newton.step(huge);
  assertEqual(record.skippedLayers, 2, "skipped layers");
  assertEqual(record.status, "gradient not finite", "status");
  assertSame(await net.weights(), before, "weights");
  const next = await newton.step(randomBatch(random, 16, 5, 3, loss));
  assertEqual(next.status, "ok", "status afterwards");
  assert(
    moved(await net.weights(), before).some((x) => x !== 0),
    "training does not go on",
  );
  newton.dispose();
  net.dispose();
});

trainingTest(
  "newton: a run that is put back goes on bit for bit; options are checked; memory is given back",
  async (t) => {
    const loss = softmaxCrossEntropy();
    const manager = managerOf(t);
    const net = t.engine.network(MODULES, loss, { batchSize: 20, seed: 9 });
    net.load(randomBatch(t.random(1), 20, 5, 3, loss));
    const recorder = manager.record();
    net.recordPass(recorder, { kind: "exact" });
    recorder.submit();
    const options = { momentum: 0.5, damping: 0.1, learningRate: 0.5 };
    const live = manager.counts.liveBuffers;
    const newton = new Newton(manager, net, options);
    const random = t.random(7);
    const batches = Array.from({ length: 4 }, () => randomBatch(random, 20, 5, 3, loss));
    for (const batch of batches.slice(0, 2)) await newton.step(batch);
    const [state, weights] = [await newton.state(), await net.weights()];
    for (const batch of batches.slice(2)) await newton.step(batch);
    const expected = await net.weights();
    const other = new Newton(manager, net, options);
    net.setWeights(weights);
    other.restore(state);
    for (const batch of batches.slice(2)) await other.step(batch);
    assertSame(await net.weights(), expected, "weights");
    const refused: [NewtonOptions, RegExp][] = [
      [{ damping: -1 }, /damping must be/],
      [{ maxIterations: 0 }, /maxIterations must be/],
      [{ tolerance: Number.NaN }, /tolerance must be/],
      [{ momentum: 1 }, /momentum must lie/],
      [{ learningRate: 0 }, /learningRate must be/],
    ];
    const before = manager.counts.liveBuffers;
    for (const [bad, text] of refused) assertThrows(() => new Newton(manager, net, bad), ArgumentError, text);
    assertEqual(manager.counts.liveBuffers, before, "buffers after refusals");
    newton.dispose();
    other.dispose();
    // What is left are tables and scratch, which the manager reuses.
    assert(manager.counts.liveBuffers - live < 120, `${manager.counts.liveBuffers - live} buffers are left`);
    net.dispose();
  },
);
