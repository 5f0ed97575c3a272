// Times the exact curvature operator, conjugate gradients and eigen-decompositions on the adapter at hand, and keeps the
// numbers: node bench/curvature.mjs [--out FILE]. Needs a build (npm run build). The operator is set beside one forward and
// backward pass of the same network in interleaved pairs.
import { mkdirSync, writeFileSync } from "node:fs";
import os from "node:os";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { findDrivers, nodeEnvironment } from "../scripts/drivers.mjs";

const { values } = parseArgs({ options: { out: { type: "string" } } });
const driver = findDrivers()[0];
if (driver && !process.env.VK_ICD_FILENAMES) Object.assign(process.env, nodeEnvironment(driver));

const {
  conjugateGradients,
  conv2d,
  createNodeEngine,
  dense,
  flatten,
  GgnBlock,
  maxPool2d,
  relu,
  softmaxCrossEntropy,
} = await import("../dist/node.js");

const PAIRS = 15;
const engine = await createNodeEngine();
const { manager, device } = engine;
const results = [];

const median = (list) => [...list].sort((a, b) => a - b)[Math.floor(list.length / 2)];
const random = (length, seed) => {
  let state = seed >>> 0 || 1;
  return Float32Array.from({ length }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 31 - 1;
  });
};

async function timed(record) {
  const recorder = manager.record();
  const start = performance.now();
  record(recorder);
  recorder.submit();
  await device.queue.onSubmittedWorkDone();
  return performance.now() - start;
}

function note(row) {
  results.push(row);
  const { name, ...numbers } = row;
  const text = Object.entries(numbers).map(([key, value]) => `${key} ${Number(value.toPrecision(3))}`);
  console.log(`${name.padEnd(44)} ${text.join("   ")}`);
}

async function operatorOf(name, modules, features, count, options = {}) {
  const net = engine.network(modules, softmaxCrossEntropy(), { batchSize: count, seed: 1, ...options });
  const targets = Uint32Array.from({ length: count }, (_, i) => i % 10);
  net.load({ inputs: random(count * features, 7), targets, count });
  const fisher = { kind: "exact" };
  // What the operators are over: a later pass takes the memory of the one before.
  let pass;
  const recordColumns = (recorder) => {
    pass = net.recordPass(recorder, fisher);
  };
  await timed(recordColumns);
  const blocks = net.layers.map((layer) => {
    const buffer = manager.createStorage("bench", layer.out * layer.W.stride);
    return { layer, block: new GgnBlock(manager, layer), into: { ...layer.G, buffer, offset: 0 } };
  });
  const apply = (recorder) => {
    for (const [l, { layer, block, into }] of blocks.entries()) {
      block.over(pass.layers[l]).apply(recorder, layer.W, into);
    }
  };
  const ratios = [];
  const times = { operator: [], pass: [] };
  await timed(apply);
  for (let pair = 0; pair < PAIRS; pair++) {
    times.operator.push(await timed(apply));
    times.pass.push(await timed((recorder) => net.recordPass(recorder)));
    await timed(recordColumns);
    ratios.push(times.operator.at(-1) / times.pass.at(-1));
  }
  note({
    name: `operator, all layers of ${name}`,
    ms: median(times.operator),
    "forward+backward ms": median(times.pass),
    ratio: median(ratios),
  });
  const { layer, block, into } = blocks[0];
  const operator = block.over(pass.layers[0]);
  const run = (maxIterations) =>
    conjugateGradients(
      manager,
      operator,
      { G: layer.G, into },
      { damping: 1e-2, tolerance: 0, maxIterations },
    );
  await run(10);
  const marks = [];
  for (let pair = 0; pair < 5; pair++) {
    const start = performance.now();
    await run(10);
    const middle = performance.now();
    await run(50);
    marks.push((performance.now() - middle - (middle - start)) / 40);
  }
  note({ name: `conjugate gradients, first layer of ${name}`, "ms per iteration": median(marks) });
  for (const { block: one, into: view } of blocks) {
    one.dispose?.();
    manager.destroyBuffer(view.buffer);
  }
  net.dispose();
}

async function eighOf(count, n) {
  const list = Array.from({ length: count }, (_, k) => {
    const half = random(n * n, k + 1);
    const data = Float32Array.from(half, (value, e) => value + half[(e % n) * n + Math.floor(e / n)]);
    return { rows: n, cols: n, data };
  });
  await engine.eighAll(list);
  const times = [];
  for (let pair = 0; pair < 5; pair++) {
    const start = performance.now();
    await engine.eighAll(list);
    times.push(performance.now() - start);
  }
  note({ name: `eigh ${count} × ${n}²`, ms: median(times) });
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
const out =
  values.out ?? fileURLToPath(new URL(`results/${driver?.id ?? "gpu"}/curvature.json`, import.meta.url));
mkdirSync(dirname(out), { recursive: true });
const machine = { cpu: os.cpus()[0]?.model, cores: os.cpus().length, node: process.version };
const facts = { date: new Date().toISOString(), adapter: engine.capabilities.adapter, machine };
writeFileSync(out, `${JSON.stringify({ ...facts, results }, null, 1)}\n`);
engine.dispose();
