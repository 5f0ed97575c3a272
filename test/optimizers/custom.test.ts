/** An optimiser of the caller's own, from the public names alone. */
import tgpu, { d } from "typegpu";
import {
  ArgumentError,
  CheckpointError,
  defineDirection,
  dense,
  type Model,
  Optimizer,
  option,
  ShapeError,
  softmaxCrossEntropy,
  tanh,
} from "../../src/index.js";
import { defineKernel } from "../../src/kernels.js";
import { lossAndGradients, weightsOf, withWeights } from "../../src/reference/network.js";
import { submits } from "../curvature/spies.js";
import { assert, assertClose, assertEqual, assertThrows, trainingTest } from "../harness/kernel-test.js";
import { managerOf } from "../linalg/helpers.js";
import { matrixOf, randomBatch, targetsOf, twin } from "../network/helpers.js";
import { assertRecord, assertSame, flat, flatTwin, moved } from "./helpers.js";

const MODULES = [dense(7, 11), tanh(), dense(11, 4)];
const LOSS = softmaxCrossEntropy();

// Signed momentum (signum; Bernstein et al. 2018): M ← βM + (1 − β)G, U = sign M.
const Settings = d.struct({ beta: d.f32, length: d.u32 });
const floats = { storage: d.arrayOf(d.f32), visibility: ["compute" as const] };
const layout = tgpu
  .bindGroupLayout({
    settings: { uniform: Settings, visibility: ["compute"] },
    flags: { storage: d.arrayOf(d.u32), access: "readonly", visibility: ["compute"] },
    gradient: { ...floats, access: "readonly" },
    mean: { ...floats, access: "mutable" },
    update: { ...floats, access: "mutable" },
  })
  .$idx(0);
const code = `
  struct Settings { beta: f32, length: u32 }
  @group(0) @binding(0) var<uniform> settings: Settings;
  @group(0) @binding(1) var<storage, read> flags: array<u32>;
  @group(0) @binding(2) var<storage, read> gradient: array<f32>;
  @group(0) @binding(3) var<storage, read_write> mean: array<f32>;
  @group(0) @binding(4) var<storage, read_write> update: array<f32>;
  @compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3u) {
    if (id.x >= settings.length || flags[0] != 0u) { return; }
    mean[id.x] = mix(gradient[id.x], mean[id.x], settings.beta);
    update[id.x] = sign(mean[id.x]);
  }`;
const kernel = defineKernel({ name: "signum", code, layout });
const signum = defineDirection({
  name: "signum",
  options: { beta: option.fraction({ default: 0.9, help: "share of the mean that stays", live: true }) },
  create({ model: { gradients: gradient, length }, memory }) {
    const [mean, update] = [memory.storage("mean", length), memory.storage("update", length)];
    const uniform = memory.settings("signum", Settings);
    return {
      tensors: { mean },
      recording: () => "",
      write({ settings: { beta } }) {
        uniform.write({ beta, length });
      },
      record(recorder, { flags }) {
        const bindings = { settings: uniform.buffer, flags, gradient, mean, update };
        recorder.dispatch(kernel, bindings, Math.ceil(length / 64));
        return { buffer: update };
      },
    };
  },
});
// That was all of it.

trainingTest("custom: signed momentum against an f64 loop, with all that the tail offers", async (t) => {
  const net = t.engine.network(MODULES, LOSS, { batchSize: 20, seed: 7 });
  const options = { learningRate: (step: number) => 0.01 / step, beta: 0.6, weightDecay: 0.05 };
  const optimizer = new Optimizer(t.engine.manager, net, signum, options);
  const beta: number | undefined = optimizer.options.beta;
  assertEqual(beta, 0.6, "β");
  assertEqual(optimizer.options.klClip, 0, "κ");
  assertEqual(optimizer.name, "signum", "name");
  const before = await net.weights();
  let network = await twin(net, MODULES);
  const mean = new Float64Array(flat(before).length);
  const random = t.random(2);
  for (let step = 1; step <= 6; step++) {
    const batch = randomBatch(random, 20, 7, 4, LOSS);
    const record = await optimizer.step(batch);
    const X = matrixOf(batch.inputs, 20, 7);
    const { gradients, loss } = lossAndGradients(network, LOSS.kind, X, targetsOf(batch, 4));
    let at = 0;
    let signs = 0;
    const weights = weightsOf(network).map((W, l) => ({
      ...W,
      data: W.data.map((w, k) => {
        mean[at] = 0.6 * mean[at]! + 0.4 * (gradients[l]!.data[k]! + 0.05 * w);
        signs += Math.abs(Math.sign(mean[at]!));
        return w - (0.01 / step) * Math.sign(mean[at++]!);
      }),
    }));
    network = withWeights(network, weights);
    assertRecord(record, `step ${step}`);
    assertEqual(record.status, "ok", "status");
    assertClose([record.loss], [loss], 1e-5, "loss");
    assertClose([record.updateNorm], [(0.01 / step) * Math.sqrt(signs)], 1e-6, "‖ηU‖");
    assertClose(moved(await net.weights(), before), moved(flatTwin(network), before), 1e-4, "change");
  }
  optimizer.dispose();
  net.dispose();
});

trainingTest("custom: one submit a step, checkpoints, and the whole network left alone", async (t) => {
  const net = t.engine.network(MODULES, LOSS, { batchSize: 16, seed: 1 });
  const before = t.engine.manager.counts.liveBuffers;
  const optimizer = new Optimizer(t.engine.manager, net, signum, { learningRate: 0.01 });
  const random = t.random(3);
  const next = () => randomBatch(random, 16, 7, 4, LOSS);
  await optimizer.step(next());
  const sent = await submits(t.device, () => void optimizer.step(next()));
  assertEqual(sent, 1, "submits");
  const state = await optimizer.state();
  assertEqual(Object.keys(state).join(), "step,mean", "tensors");
  const weights = await net.weights();
  const huge = next();
  huge.inputs.fill(3e38);
  const { status, skippedLayers, updateNorm } = await optimizer.step(huge);
  assertEqual(`${status} ${skippedLayers} ${updateNorm}`, "gradient not finite 2 0", "record");
  assertSame(await net.weights(), weights, "weights");
  assertSame([(await optimizer.state()).mean!], [state.mean!], "mean");
  const batch = next();
  optimizer.restore(state);
  await optimizer.step(batch);
  const after = await net.weights();
  net.setWeights(weights);
  optimizer.restore(state);
  assertEqual(optimizer.steps, 2, "steps");
  await optimizer.step(batch);
  assertSame(await net.weights(), after, "weights of the step taken again");
  assertThrows(() => optimizer.restore({ step: state.step! }), CheckpointError, /mean: is missing.*signum/);
  optimizer.dispose();
  assert(t.engine.manager.counts.liveBuffers <= before + 40, "its buffers are left");
  net.dispose();
});

trainingTest(
  "custom: an update that is not finite, of all layers or one, never reaches the weights",
  async (t) => {
    const scaled = (scope: "network" | "layer") =>
      defineDirection({
        name: "scaled",
        scope,
        options: {},
        create: ({ model, memory, manager }) => {
          const buffer = memory.storage("update", model.length);
          return {
            record(recorder) {
              recorder.copy(model.gradients, 0, buffer, 0, 4 * model.length);
              // The first layer's first number becomes infinite.
              manager.device.queue.writeBuffer(bad, 0, Float32Array.of(Number.POSITIVE_INFINITY));
              recorder.copy(bad, 0, buffer, 4 * model.layers[0]!.G.offset, 4);
              return { buffer };
            },
          };
        },
      });
    const bad = t.upload([0]);
    for (const scope of ["network", "layer"] as const) {
      const net = t.engine.network(MODULES, LOSS, { batchSize: 16, seed: 1 });
      const optimizer = new Optimizer(t.engine.manager, net, scaled(scope), { learningRate: 0.01 });
      const before = await net.weights();
      const record = await optimizer.step(randomBatch(t.random(5), 16, 7, 4, LOSS));
      assertRecord(record, "record");
      const after = await net.weights();
      assertSame([after[0]!], [before[0]!], "first layer");
      const still = after[1]!.every((w, k) => w === before[1]![k]);
      assertEqual(still, scope === "network", "the second layer has stayed as it is");
      assertEqual(record.skippedLayers, scope === "network" ? 2 : 1, "skipped layers");
      assertEqual(record.status, scope === "network" ? "update not finite" : "layers skipped", "status");
      optimizer.dispose();
      net.dispose();
    }
  },
);

trainingTest("custom: layers that are not ready are left alone, their momentum too", async (t) => {
  const words = Uint32Array.of(7, 1, 1, 1, 1, 0);
  const state = t.upload(words);
  const gated = defineDirection({
    name: "gated",
    options: { momentum: option.momentum(0.5) },
    create: ({ model }) => ({
      record: () => ({
        buffer: model.gradients,
        ready: {
          state,
          words: [
            { first: 1, count: 3 },
            { first: 3, count: 3 },
          ],
        },
      }),
    }),
  });
  const net = t.engine.network(MODULES, LOSS, { batchSize: 16, seed: 1 });
  const optimizer = new Optimizer(t.engine.manager, net, gated, { learningRate: 0.01 });
  const before = await net.weights();
  const record = await optimizer.step(randomBatch(t.random(5), 16, 7, 4, LOSS));
  assertEqual(`${record.status} ${record.skippedLayers}`, "layers skipped 1", "record");
  const after = await net.weights();
  assert(
    after[0]!.some((w, k) => w !== before[0]![k]),
    "the first layer has not moved",
  );
  assertSame([after[1]!], [before[1]!], "second layer");
  const { velocity } = await optimizer.state();
  const { offset } = net.layers[1]!.G;
  assert(
    velocity!.subarray(offset).every((v) => v === 0),
    "the second layer has a velocity",
  );
  assert(
    velocity!.subarray(0, offset).some((v) => v !== 0),
    "the first layer has none",
  );
  optimizer.dispose();
  net.dispose();
});

trainingTest("custom: misuse is refused by name, before anything is made", async (t) => {
  const manager = managerOf(t);
  const net = t.engine.network(MODULES, LOSS, { batchSize: 16 });
  const { liveBuffers } = manager.counts;
  const make = (options: object, model: Model = net) =>
    new Optimizer(manager, model, signum, options as { learningRate: number });
  assertThrows(
    () => make({}),
    ArgumentError,
    /signum: learningRate must be a positive number, got undefined/,
  );
  assertThrows(() => make({ learningRate: 1, betta: 0 }), ArgumentError, /betta is not an option; pass beta/);
  assertThrows(
    () => make({ learningRate: 1, beta: 1 }),
    ArgumentError,
    /signum: beta must lie in \[0, 1\), got 1/,
  );
  const layer = net.layers[0]!;
  const like = (layers: Model["layers"]): Model => ({
    layers,
    parameters: net.parameters,
    gradients: net.gradients,
    length: net.length,
    statistics: net.statistics,
    load: (batch) => net.load(batch),
    recordPass: (recorder, fisher) => net.recordPass(recorder, fisher),
  });
  const rate = { learningRate: 1 };
  assertThrows(() => make(rate, like([])), ArgumentError, /model must have a layer/);
  const G = { ...layer.G, stride: layer.G.stride + 4 };
  const crooked = like([{ name: layer.name, in: layer.in, out: layer.out, W: layer.W, G }]);
  assertThrows(() => make(rate, crooked), ShapeError, /G of .* lay G out as W is/);
  assertEqual(manager.counts.liveBuffers, liveBuffers, "buffers");
  const small = defineDirection({
    name: "small",
    options: {},
    create: ({ memory }) => {
      const buffer = memory.storage("update", 8);
      return { record: () => ({ buffer }) };
    },
  });
  const optimizer = new Optimizer(manager, net, small, rate);
  const weights = await net.weights();
  await assertThrows(
    () => optimizer.step(randomBatch(t.random(1), 16, 7, 4, LOSS)),
    ShapeError,
    /U has shape/,
  );
  assertEqual(optimizer.steps, 0, "steps");
  assertSame(await net.weights(), weights, "weights");
  optimizer.dispose();
  net.dispose();
});
