// Times the exact curvature operator, conjugate gradients and eigen-decompositions on the adapter at hand, and keeps the
// numbers: node bench/curvature.mjs [--out FILE]
// [--adapter NAME]. Needs a build (npm run build). The operator is set beside one forward and
// backward pass of the same network in interleaved pairs.
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { enterDriver } from "../scripts/enter-driver.mjs";
import { chooseDriver, describeMachine, ownVersions } from "./adapter.mjs";
import { randoms } from "./data.mjs";
import { loadLibrary, timing } from "./library.mjs";

const { median, medianMs, sample, samplePairs } = timing;

/**
 * @typedef {import("./gpu.mjs").Recorder} Recorder
 * @typedef {import("../src/timing/index.js").Runner} Runner
 * @typedef {import("../src/index.js").Module} Module
 * @typedef {import("../src/index.js").NetworkOptions} NetworkOptions
 */

const { values } = parseArgs({ options: { out: { type: "string" }, adapter: { type: "string" } } });
const driver = chooseDriver(values.adapter);
const us = { program: fileURLToPath(import.meta.url), args: process.argv.slice(2) };
const done = await enterDriver(driver.env, us);
if (done !== undefined) process.exit(done);

const library = await loadLibrary();
const { conv2d, dense, flatten, GgnBlock, maxPool2d, relu, softmaxCrossEntropy } = library;

const PAIRS = 15;
/** Of what has no partner. */
const SAMPLES = 5;
const engine = await library.createNodeEngine();
const { manager, device } = engine;

/** @typedef {{ name: string } & Record<string, number | string>} Row */

/** @type {Row[]} */
const results = [];

/** @param {Row} row */
function note(row) {
  results.push(row);
  const { name, ...numbers } = row;
  const text = Object.entries(numbers).map(
    ([key, value]) => `${key} ${Number(Number(value).toPrecision(3))}`,
  );
  console.log(`${name.padEnd(44)} ${text.join("   ")}`);
}

/**
 * Records, sends, and waits.
 * @template T
 * @param {(recorder: Recorder) => T} record
 */
async function submit(record) {
  const recorder = manager.record();
  const recorded = record(recorder);
  recorder.submit();
  await device.queue.onSubmittedWorkDone();
  return recorded;
}

/** @param {(recorder: Recorder) => unknown} record @returns {Runner} whose samples are one repetition */
const runnerOf = (record) => ({
  async run() {
    await submit(record);
  },
});

/**
 * @param {string} name @param {readonly Module[]} modules @param {number} features @param {number} count
 * @param {NetworkOptions} [options]
 */
async function operatorOf(name, modules, features, count, options = {}) {
  const net = engine.network(modules, softmaxCrossEntropy(), { batchSize: count, seed: 1, ...options });
  const targets = Uint32Array.from({ length: count }, (_, i) => i % 10);
  net.load({ inputs: randoms(count * features, 7), targets, count });
  /** @type {import("../src/index.js").FisherOptions} */
  const fisher = { kind: "exact" };
  const recordColumns = () => submit((recorder) => net.recordPass(recorder, fisher));
  // What the operators are over: a later pass takes the memory of the one before.
  let pass = await recordColumns();
  const blocks = net.layers.map((layer) => {
    const buffer = manager.createStorage("bench", layer.out * layer.W.stride);
    return { layer, block: new GgnBlock(manager, layer), into: { ...layer.G, buffer, offset: 0 } };
  });
  const operator = runnerOf((recorder) => {
    for (const [l, { layer, block, into }] of blocks.entries()) {
      block.over(pass.layers[l]).apply(recorder, layer.W, into);
    }
  });
  const enter = async () => {
    pass = await recordColumns();
  };
  await sample(operator, 1);
  const pairs = await samplePairs(
    { runner: runnerOf((recorder) => net.recordPass(recorder)), repetitions: 1 },
    { runner: { ...operator, enter }, repetitions: 1 },
    PAIRS,
  );
  note({
    name: `operator, all layers of ${name}`,
    ms: medianMs(pairs.b),
    "forward+backward ms": medianMs(pairs.a),
    ratio: pairs.ratio.value,
  });

  await enter();
  const { layer, block, into } = blocks[0];
  const over = block.over(pass.layers[0]);
  /** A repetition is an iteration. @type {Runner} */
  const gradients = {
    async run(maxIterations) {
      const limits = { damping: 1e-2, tolerance: 0, maxIterations };
      await library.conjugateGradients(manager, over, { G: layer.G, into }, limits);
    },
  };
  await sample(gradients, 10);
  // What is the same however many there are falls out of the difference.
  const few = { runner: gradients, repetitions: 10 };
  const many = { runner: gradients, repetitions: 50 };
  const { a, b } = await samplePairs(few, many, SAMPLES);
  const perIteration = a.map(({ ms }, k) => (50 * b[k].ms - 10 * ms) / 40);
  note({ name: `conjugate gradients, first layer of ${name}`, "ms per iteration": median(perIteration) });
  for (const { block: one, into: view } of blocks) {
    one.dispose();
    manager.destroyBuffer(view.buffer);
  }
  net.dispose();
}

/** @param {number} count @param {number} n */
async function eighOf(count, n) {
  const list = Array.from({ length: count }, (_, k) => {
    const half = randoms(n * n, k + 1);
    const data = half.map((value, e) => value + half[(e % n) * n + Math.floor(e / n)]);
    return { rows: n, cols: n, data };
  });
  /** @type {Runner} */
  const runner = {
    async run() {
      await engine.eighAll(list);
    },
  };
  await sample(runner, 1);
  /** @type {import("../src/timing/index.js").Sample[]} */
  const samples = [];
  for (let k = 0; k < SAMPLES; k++) samples.push(await sample(runner, 1));
  note({ name: `eigh ${count} × ${n}²`, ms: medianMs(samples) });
}

console.log(engine.capabilities.adapter);
await operatorOf("784-256-10, N = 128", [dense(784, 256), relu(), dense(256, 10)], 784, 128);
await operatorOf(
  "conv8-pool-conv16-pool-dense, N = 64",
  [
    conv2d(1, 8, 5, { padding: 2 }),
    relu(),
    maxPool2d(2),
    conv2d(8, 16, 5, { padding: 2 }),
    relu(),
    maxPool2d(2),
    flatten(),
    dense(784, 10),
  ],
  784,
  64,
  { input: [1, 28, 28] },
);
for (const [count, n] of [
  [1, 64],
  [64, 64],
  [1, 128],
  [16, 128],
  [1, 256],
  [1, 512],
]) {
  await eighOf(count, n);
}
const out = values.out ?? fileURLToPath(new URL(`results/${driver.id}/curvature.json`, import.meta.url));
mkdirSync(dirname(out), { recursive: true });
const machine = describeMachine(engine, driver, ownVersions());
writeFileSync(out, `${JSON.stringify({ machine, results }, null, 1)}\n`);
engine.dispose();
