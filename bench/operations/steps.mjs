// Whole training steps: K-FAC with factors every step and inverses every ten, beside plain SGD, in interleaved samples of ten
// steps on one engine. The ratio is therefore K-FAC's cost with the inverses spread over their period.
import { randoms } from "../data.mjs";
import { timing } from "../library.mjs";
import { messageOf } from "../peers/index.mjs";

const { affordablePairs, medianMs, sample, samplePairs } = timing;

/** Steps from one inversion to the next. */
const PERIOD = 10;
/** Minibatches that take turns. */
const BATCHES = 8;

/**
 * @typedef {{ kernel: string, dispatches: number, ms: number }} KernelShare of one step
 *
 * @typedef {object} StepRow
 * @property {string} id
 * @property {string} label
 * @property {number} batch
 * @property {number} [parameters]
 * @property {{ ms: number, samples: number[], firstMs: number }} [sgd]
 * @property {{ ms: number, samples: number[], firstMs: number }} [kfac]
 * @property {import("../../src/timing/index.js").Interval} [ratio]
 * @property {{ sgd: KernelShare[], kfac: KernelShare[] }} [kernels] by GPU timestamps
 * @property {string} [failure]
 *
 * @typedef {import("../gpu.mjs").Library} Library
 * @typedef {import("../gpu.mjs").Lab} Lab
 * @typedef {import("../../src/index.js").Batch} Batch
 * @typedef {import("../../src/index.js").StepRecord} StepRecord
 * @typedef {"sgd" | "kfac"} Kind
 *
 * @typedef {{ id: string, label: string, batch: number, features: number, outputs: number, classes: boolean,
 *   input?: [number, number, number], modules: (library: Library) => import("../../src/index.js").Module[] }} Training
 */

/** @param {Library} library @param {readonly number[]} sizes @param {"relu" | "tanh"} activation */
function chain({ dense, relu, tanh }, sizes, activation) {
  const modules = [];
  for (let l = 1; l < sizes.length; l++) {
    modules.push(dense(sizes[l - 1], sizes[l]));
    if (l < sizes.length - 1) modules.push(activation === "tanh" ? tanh() : relu());
  }
  return modules;
}

/** @type {(batch: number) => Training} */
const classifier = (batch) => ({
  id: "mlp",
  label: "784-256-128-10",
  batch,
  features: 784,
  outputs: 10,
  classes: true,
  modules: (library) => chain(library, [784, 256, 128, 10], "relu"),
});

/** @type {Training} */
const autoEncoder = {
  id: "auto-encoder",
  label: "784-1000-500-250-30-250-500-1000-784",
  batch: 500,
  features: 784,
  outputs: 784,
  classes: false,
  modules: (library) => chain(library, [784, 1000, 500, 250, 30, 250, 500, 1000, 784], "tanh"),
};

/** @type {Training} */
const convolutional = {
  id: "cnn",
  label: "conv8 5×5, pool, conv16 5×5, pool, dense 10",
  batch: 250,
  features: 784,
  outputs: 10,
  classes: true,
  input: [1, 28, 28],
  modules: ({ conv2d, relu, maxPool2d, flatten, dense }) => [
    ...[conv2d(1, 8, 5, { padding: 2 }), relu(), maxPool2d(2)],
    ...[conv2d(8, 16, 5, { padding: 2 }), relu(), maxPool2d(2)],
    ...[flatten(), dense(784, 10)],
  ],
};

/** @param {import("./index.mjs").Extent} extent */
export const trainings = (extent) =>
  extent === "quick" ? [classifier(100)] : [classifier(500), autoEncoder, convolutional];

/**
 * @param {Lab} lab @param {Training} training @param {import("../arguments.mjs").Options} options
 * @returns {Promise<StepRow>}
 */
export async function measureSteps(lab, training, options) {
  const { id, label, batch } = training;
  /** @type {StepRow} */
  const row = { id, label, batch };
  /** @type {{ dispose(): void }[]} */
  const made = [];
  try {
    const batches = batchesOf(training);
    const [sgd, kfac] = [learner(lab, training, batches, "sgd"), learner(lab, training, batches, "kfac")];
    made.push(sgd, kfac);
    row.parameters = kfac.parameters;
    /** @type {number[]} */
    const firstMs = [];
    let pairMs = 0;
    for (const one of [sgd, kfac]) {
      firstMs.push((await sample(one.runner, 1)).ms);
      // K-FAC renews early inverses at steps 1, 2, 4 and 8 too, so the first period is not like the others.
      const warm = await sample(one.runner, PERIOD - 1);
      await one.check();
      pairMs += PERIOD * warm.ms;
    }
    const pairs = Math.max(3, affordablePairs(options.pairs, pairMs, 3 * options.budgetMs));
    const samples = await samplePairs(
      { runner: sgd.runner, repetitions: PERIOD },
      { runner: kfac.runner, repetitions: PERIOD },
      Math.min(pairs, options.pairs),
    );
    for (const one of [sgd, kfac]) await one.check();
    row.sgd = summary(samples.a, firstMs[0]);
    row.kfac = summary(samples.b, firstMs[1]);
    row.ratio = samples.ratio;
    if (lab.engine.capabilities.timestamps) {
      row.kernels = { sgd: await profile(lab, sgd.runner, 1), kfac: await profile(lab, kfac.runner, PERIOD) };
    }
  } catch (error) {
    row.failure = messageOf(error);
  } finally {
    for (const one of made) one.dispose();
  }
  return row;
}

/** @param {readonly import("../../src/timing/index.js").Sample[]} samples @param {number} firstMs */
function summary(samples, firstMs) {
  return { ms: medianMs(samples), samples: samples.map(({ ms }) => ms), firstMs };
}

/** @param {Training} training @returns {Batch[]} */
function batchesOf({ batch, features, outputs, classes }) {
  return Array.from({ length: BATCHES }, (_, k) => {
    const noise = randoms(batch * Math.max(features, outputs), 31 + k);
    const unit = noise.map((value) => value / Math.sqrt(12) + 0.5);
    const inputs = unit.slice(0, batch * features);
    const targets = classes
      ? Uint32Array.from({ length: batch }, (_, i) => Math.floor(outputs * unit[i * features]))
      : unit.slice(0, batch * outputs);
    return { inputs, targets, count: batch };
  });
}

/**
 * A network with its optimiser; a repetition is one step, and no step waits for the one before it.
 * @param {Lab} lab @param {Training} training @param {readonly Batch[]} batches
 * @param {Kind} kind
 */
function learner({ library, engine }, training, batches, kind) {
  const { softmaxCrossEntropy, sigmoidCrossEntropy } = library;
  const loss = training.classes ? softmaxCrossEntropy() : sigmoidCrossEntropy();
  const { batch, input, modules } = training;
  const network = engine.network(modules(library), loss, { batchSize: batch, seed: 1, input });
  const optimizer =
    kind === "sgd"
      ? engine.sgd(network, { learningRate: 1e-3 })
      : engine.kfac(network, { learningRate: 1e-3, damping: 0.1, factorEvery: 1, inverseEvery: PERIOD });
  /** @type {Promise<StepRecord>[]} */
  let records = [];
  let next = 0;
  const runner = {
    async enter() {
      await Promise.all(records);
      records = records.slice(-1);
    },
    async run(/** @type {number} */ repetitions) {
      for (let k = 0; k < repetitions; k++) {
        const record = optimizer.step(batches[next]);
        next = (next + 1) % batches.length;
        records.push(record);
        // Kernels compile before the first step is sent.
        if (optimizer.steps === 0) await record;
      }
      await engine.device.queue.onSubmittedWorkDone();
    },
  };
  return {
    runner,
    parameters: network.describe().reduce((sum, { parameters }) => sum + parameters, 0),
    async check() {
      for (const { step, loss: value, status } of await Promise.all(records)) {
        if (!Number.isFinite(value) || status !== "ok")
          throw new Error(`step ${step} of ${kind}: loss ${value}, ${status}`);
      }
    },
    dispose() {
      optimizer.dispose();
      network.dispose();
    },
  };
}

/**
 * GPU time of each kernel, mean over some steps.
 * @param {Lab} lab @param {ReturnType<typeof learner>["runner"]} runner @param {number} steps
 * @returns {Promise<KernelShare[]>}
 */
async function profile({ library, engine }, runner, steps) {
  const profiler = new library.Profiler(engine.device);
  engine.manager.profiler = profiler;
  /** @type {Map<string, KernelShare>} */
  const shares = new Map();
  try {
    await runner.enter();
    for (let step = 0; step < steps; step++) {
      // Read after every step: a query set holds no more than some steps of a deep network.
      await runner.run(1);
      for (const { kernel, dispatches, milliseconds } of await profiler.read()) {
        const share = shares.get(kernel) ?? { kernel, dispatches: 0, ms: 0 };
        share.dispatches += dispatches / steps;
        share.ms += milliseconds / steps;
        shares.set(kernel, share);
      }
    }
    return [...shares.values()].sort((a, b) => b.ms - a.ms);
  } finally {
    engine.manager.profiler = undefined;
    profiler.dispose();
  }
}
