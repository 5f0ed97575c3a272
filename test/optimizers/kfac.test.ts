import type { Batch } from "../../src/curvature/index.js";
import { ArgumentError } from "../../src/errors.js";
import {
  dense,
  halfSquaredError,
  type Loss,
  type Module,
  type Network,
  relu,
  sigmoidCrossEntropy,
  softmaxCrossEntropy,
  tanh,
} from "../../src/network/index.js";
import type { Kfac, KfacOptions, StepRecord } from "../../src/optimizers/index.js";
import { initialKfacState, kfacStep } from "../../src/reference/kfac.js";
import { appendOnesColumn, matrix, transpose } from "../../src/reference/matrix.js";
import {
  batchFactors,
  curvatureRows,
  lossAndGradients,
  weightsOf,
  withWeights,
} from "../../src/reference/network.js";
import { newtonStep } from "../../src/reference/newton.js";
import { dispatches, submits } from "../curvature/spies.js";
import { createEngine } from "../harness/engine.js";
import {
  assert,
  assertClose,
  assertEqual,
  assertThrows,
  assertWritten,
  type TestContext,
  trainingTest,
} from "../harness/kernel-test.js";
import { matrixOf, randomBatch, targetsOf, twin } from "../network/helpers.js";
import { assertRecord, flat, flatTwin, KfacTwin, moved, type TwinOptions } from "./helpers.js";

const MODULES: Module[] = [dense(7, 11), tanh(), dense(11, 6, { bias: false }), relu(), dense(6, 4)];

const DEFAULTS: TwinOptions = {
  learningRate: 0.1,
  damping: 1e-2,
  momentum: 0.9,
  emaDecay: 0.95,
  factorEvery: 1,
  inverseEvery: 10,
  klClip: 0,
  weightDecay: 0,
  fisher: "monteCarlo",
  samples: 1,
  seed: 0,
};

function optimizer(t: TestContext, net: Network, { samples, fisher, ...options }: TwinOptions): Kfac {
  return t.engine.kfac(net, { ...options, fisher: { kind: fisher, samples } });
}

/** Several steps beside the f64 twin: weights, and what the records tell. */
async function compare(
  t: TestContext,
  changed: Partial<TwinOptions>,
  { loss = softmaxCrossEntropy() as Loss, steps = 6, bound = 2e-4, counts = [32] } = {},
): Promise<StepRecord[]> {
  const options = { ...DEFAULTS, ...changed };
  const net = t.engine.network(MODULES, loss, { batchSize: 32, seed: 3 });
  const kfac = optimizer(t, net, options);
  const before = await net.weights();
  const reference = new KfacTwin(await twin(net, MODULES), options);
  const random = t.random(17);
  const records: StepRecord[] = [];
  for (let step = 1; step <= steps; step++) {
    const batch = randomBatch(random, counts[step % counts.length]!, 7, 4, loss);
    const record = await kfac.step(batch);
    reference.take(batch, net);
    const what = `step ${step}`;
    assertRecord(record, what);
    assertEqual(record.step, step, "number of the step");
    assertEqual(record.skippedLayers, 0, `${what}: skipped layers`);
    assertEqual(record.status, "ok", `${what}: status`);
    assertEqual(record.lambda, options.damping, `${what}: λ`);
    assertEqual(record.learningRate, options.learningRate, `${what}: η`);
    assertClose([record.loss], [reference.loss], bound, `${what}: loss`);
    assertClose([record.gradientNorm], [reference.gradientNorm], bound, `${what}: ‖G‖`);
    assertClose([record.updateNorm], [reference.updateNorm], bound, `${what}: ‖ηU‖`);
    assertClose([record.clip!], [reference.clip], bound, `${what}: clip`);
    const change = moved(await net.weights(), before);
    assertClose(change, moved(flatTwin(reference.network), before), bound, `${what}: change of the weights`);
    records.push(record);
  }
  kfac.dispose();
  net.dispose();
  return records;
}

trainingTest("kfac: the f64 twin's kfacStep, exact Fisher", async (t) => {
  const net = t.engine.network(MODULES, softmaxCrossEntropy(), { batchSize: 24, seed: 5 });
  const common = { learningRate: 0.3, damping: 0.02, momentum: 0.8, klClip: 0.01, weightDecay: 0.01 };
  const kfac = t.engine.kfac(net, { ...common, emaDecay: 0.6, inverseEvery: 1, fisher: "exact" });
  const before = await net.weights();
  let reference = await twin(net, MODULES);
  let state = initialKfacState(weightsOf(reference));
  const random = t.random(1);
  for (let step = 1; step <= 5; step++) {
    const batch = randomBatch(random, 24, 7, 4, softmaxCrossEntropy());
    await kfac.step(batch);
    const X = matrixOf(batch.inputs, 24, 7);
    const { gradients } = lossAndGradients(reference, "softmaxCrossEntropy", X, targetsOf(batch, 4));
    const fresh = batchFactors(curvatureRows(reference, "softmaxCrossEntropy", X, { kind: "exact" }));
    const options = { ...common, factorDecay: 0.6 };
    const result = kfacStep(weightsOf(reference), gradients, fresh, state, options);
    assert(result.clip < 1, "the clip takes no part");
    state = result.state;
    reference = withWeights(reference, result.weights);
    const change = moved(await net.weights(), before);
    assertClose(change, moved(flatTwin(reference), before), 1e-4, `change after step ${step}`);
  }
  kfac.dispose();
  net.dispose();
});

const losses = { halfSquaredError, softmaxCrossEntropy, sigmoidCrossEntropy };
for (const [name, loss] of Object.entries(losses)) {
  for (const fisher of ["exact", "monteCarlo", "empirical"] as const) {
    trainingTest(`kfac: ${name}, ${fisher} Fisher, against the f64 twin`, async (t) => {
      const samples = fisher === "monteCarlo" ? 2 : 1;
      await compare(t, { fisher, samples, seed: 123456789 }, { loss: loss(), steps: 5, bound: 5e-4 });
    });
  }
}

const variants: Record<string, Partial<TwinOptions>> = {
  "no momentum": { momentum: 0 },
  "weight decay": { weightDecay: 0.3 },
  "another learning rate and damping": { learningRate: 0.02, damping: 0.5, emaDecay: 0.3 },
  "factors every 2 steps": { factorEvery: 2, inverseEvery: 1 },
  "inverses every 3 steps, and after steps 1 and 2": { inverseEvery: 3 },
  "factors every 2, inverses every 5 steps": { factorEvery: 2, inverseEvery: 5, weightDecay: 0.05 },
};

for (const [name, changed] of Object.entries(variants)) {
  trainingTest(`kfac: ${name}, against the f64 twin`, async (t) => {
    await compare(t, { fisher: "exact", ...changed }, { steps: 8 });
  });
}

trainingTest("kfac: a long early schedule 1, 2, 4, 8 and batches of several sizes", async (t) => {
  await compare(t, { fisher: "exact", inverseEvery: 12 }, { steps: 14, counts: [32, 9, 1, 20], bound: 1e-3 });
});

trainingTest("kfac: the norm clip, on and off", async (t) => {
  const clips = async (klClip: number) =>
    (await compare(t, { fisher: "exact", klClip })).map(({ clip }) => clip!);
  for (const clip of await clips(0)) assertEqual(clip, 1, "clip when off");
  for (const clip of await clips(1e-4)) assert(clip < 0.5, `clip ${clip} for a small κ`);
  for (const clip of await clips(1e6)) assertEqual(clip, 1, "clip for a large κ");
});

trainingTest("kfac: learning rate and damping change from one step to the next", async (t) => {
  const loss = softmaxCrossEntropy();
  const net = t.engine.network(MODULES, loss, { batchSize: 32, seed: 3 });
  const options: TwinOptions = { ...DEFAULTS, fisher: "exact", inverseEvery: 1, momentum: 0 };
  const kfac = optimizer(t, net, options);
  const before = await net.weights();
  const reference = new KfacTwin(await twin(net, MODULES), options);
  const random = t.random(4);
  const pending: Promise<StepRecord>[] = [];
  for (const [learningRate, damping] of [
    [0.1, 0.01],
    [0.3, 0.2],
    [0.05, 2],
  ] as const) {
    kfac.learningRate = learningRate;
    kfac.damping = damping;
    Object.assign(options, { learningRate, damping });
    const batch = randomBatch(random, 32, 7, 4, loss);
    const record = kfac.step(batch);
    // What comes after the call counts from the next step on, even if this one has not come back.
    if (pending.length > 0) kfac.learningRate = 9;
    pending.push(record);
    reference.take(batch, net);
    if (pending.length === 1) await record;
  }
  const records = await Promise.all(pending);
  assertEqual(records.map((record) => record.learningRate).join(), "0.1,0.3,0.05", "η in the records");
  assertEqual(records.map((record) => record.lambda).join(), "0.01,0.2,2", "λ in the records");
  const change = moved(await net.weights(), before);
  assertClose(change, moved(flatTwin(reference.network), before), 2e-4, "change of the weights");
  kfac.dispose();
  net.dispose();
});

// The theorem of the note: on a linear network K-FAC is Newton's method.
for (const damping of [0, 1e-14]) {
  trainingTest(
    `kfac: one step of a linear network lands on the least-squares minimiser, λ = ${damping}`,
    async (t) => {
      const modules = [dense(9, 5)];
      const { batch, minimiser, bound } = leastSquares(t, 9, 5, 60);
      for (const seed of [1, 2]) {
        const net = t.engine.network(modules, halfSquaredError(), { batchSize: 60, seed });
        const kfac = newton(t, net, damping);
        const record = await kfac.step(batch);
        assertClose((await net.weights())[0]!, minimiser, bound, `W after one step from W of seed ${seed}`);
        assertEqual(record.skippedLayers, 0, "skipped layers");
        // A second step stays there: the gradient is zero but for rounding.
        await kfac.step(batch);
        assertClose((await net.weights())[0]!, minimiser, bound, "W after two steps");
        kfac.dispose();
        net.dispose();
      }
    },
  );
}

trainingTest("kfac: … and not where the damping is large", async (t) => {
  const { batch, minimiser } = leastSquares(t, 9, 5, 60);
  const net = t.engine.network([dense(9, 5)], halfSquaredError(), { batchSize: 60, seed: 1 });
  const kfac = newton(t, net, 0.1);
  await kfac.step(batch);
  const [W] = await net.weights();
  assertThrows(() => assertClose(W!, minimiser, 0.05, "W"), Error, /relative error .* above the bound/);
  kfac.dispose();
  net.dispose();
});

trainingTest("kfac: … and not where the network is not linear", async (t) => {
  const modules = [dense(9, 8), relu(), dense(8, 5)];
  const { batch } = leastSquares(t, 9, 5, 60);
  const net = t.engine.network(modules, halfSquaredError(), { batchSize: 60, seed: 1 });
  const kfac = newton(t, net, 1e-4);
  for (let step = 0; step < 3; step++) await kfac.step(batch);
  const { gradientNorm } = await kfac.step(batch);
  assert(gradientNorm > 1e-2, `‖G‖ = ${gradientNorm}: the step did reach a stationary point`);
  kfac.dispose();
  net.dispose();
});

function newton(t: TestContext, net: Network, damping: number): Kfac {
  return t.engine.kfac(net, { learningRate: 1, momentum: 0, damping, fisher: "exact" });
}

/** Regression data with noise, the W (bias included) that fits best, and the f32 bound for it. */
function leastSquares(t: TestContext, inputs: number, outputs: number, count: number) {
  const random = t.random(31);
  const batch = randomBatch(random, count, inputs, outputs, halfSquaredError());
  const A = transpose(appendOnesColumn(matrixOf(batch.inputs, count, inputs)));
  const B = matrix(outputs, outputs);
  for (let i = 0; i < outputs; i++) B.data[i * outputs + i] = 1;
  const target = transpose(matrixOf(batch.targets, count, outputs));
  const { W } = newtonStep({ W: matrix(outputs, inputs + 1), A, B, target });
  // κ(Ā) of normal inputs is a few; the weights start at norm 3 or so and end near 1, which costs digits.
  return { batch, minimiser: W.data, bound: 1e-5 };
}

trainingTest("kfac: a step of 784-256-128-10 without a refresh takes at most 60 dispatches", async (t) => {
  const modules = [dense(784, 256), relu(), dense(256, 128), relu(), dense(128, 10)];
  const net = t.engine.network(modules, softmaxCrossEntropy(), { batchSize: 16 });
  const kfac = t.engine.kfac(net, { inverseEvery: 2 });
  const batch = randomBatch(t.random(1), 16, 784, 10, softmaxCrossEntropy());
  await kfac.step(batch);
  let count = 0;
  const sent = await submits(t.device, async () => {
    count = await dispatches(t.device, () => void kfac.step(batch));
  });
  assert(count > 10 && count <= 60, `${count} dispatches`);
  assertEqual(sent, 1, "submits");
  assertWritten(flat(await net.weights()), "weights");
  kfac.dispose();
  net.dispose();
});

trainingTest("kfac: learns an ill-conditioned problem faster than SGD in as many steps", async (t) => {
  const random = t.random(8);
  const count = 64;
  const inputs = new Float32Array(count * 10);
  const targets = new Uint32Array(count);
  for (let i = 0; i < count; i++) {
    for (let j = 0; j < 10; j++) inputs[i * 10 + j] = random.normal() * 3 ** (-j / 2) + (j === 1 ? 2 : 0);
    const x = inputs.subarray(i * 10);
    targets[i] = (x[5]! > 0 ? 1 : 0) + (x[7]! * 3 + x[6]! > 0 ? 2 : 0);
  }
  const batch: Batch = { inputs, targets, count };
  const modules = [dense(10, 16), tanh(), dense(16, 4)];
  const train = async (
    make: (net: Network) => { step: (b: Batch) => Promise<StepRecord>; dispose(): void },
  ) => {
    const net = t.engine.network(modules, softmaxCrossEntropy(), { batchSize: count, seed: 2 });
    const own = make(net);
    const first = (await own.step(batch)).loss;
    for (let step = 1; step < 30; step++) await own.step(batch);
    const { loss } = await net.evaluate(batch);
    own.dispose();
    net.dispose();
    return { first, loss };
  };
  const kfac = await train((net) => t.engine.kfac(net, { learningRate: 0.3, momentum: 0.5, damping: 1e-2 }));
  let best = Number.POSITIVE_INFINITY;
  for (const learningRate of [1, 0.3, 0.1]) {
    const { first, loss } = await train((net) => t.engine.sgd(net, { learningRate }));
    assertEqual(first, kfac.first, "loss at the start");
    best = Math.min(best, loss);
  }
  assert(kfac.loss < 0.5 * best, `K-FAC reaches ${kfac.loss}, SGD at its best ${best}`);
  assert(kfac.loss < 0.2 * kfac.first, `from ${kfac.first} to ${kfac.loss} only`);
});

trainingTest("kfac: numbers that overflow never reach the weights, and are counted", async (t) => {
  const modules = [dense(5, 8), relu(), dense(8, 3)];
  const loss = halfSquaredError();
  const net = t.engine.network(modules, loss, { batchSize: 16, seed: 1 });
  const kfac = t.engine.kfac(net, { fisher: "exact", inverseEvery: 1 });
  const random = t.random(3);
  const good = () => randomBatch(random, 16, 5, 3, loss);
  await kfac.step(good());
  const before = await net.weights();
  const huge = good();
  for (let k = 0; k < huge.inputs.length; k++) huge.inputs[k] = 2e38 * Math.sign(huge.inputs[k]!);
  const record = await kfac.step(huge);
  assert(record.skippedLayers > 0, "no layer was skipped");
  assert(record.status !== "ok", "the status is ok");
  const after = await net.weights();
  assertWritten(flat(after), "weights");
  const still = after.filter((W, l) => W.every((w, k) => w === before[l]![k])).length;
  assertEqual(still, record.skippedLayers, "layers whose weights have not moved");
  let last: StepRecord | undefined;
  for (let step = 0; step < 4; step++) last = await kfac.step(good());
  assertEqual(last!.skippedLayers, 0, "skipped layers after good batches");
  assertRecord(last!, "record after good batches");
  assertEqual(last!.status, "ok", "status after good batches");
  assert(
    flat(await net.weights()).some((w, k) => w !== flat(after)[k]),
    "training does not go on",
  );
  kfac.dispose();
  net.dispose();
});

/** A layer without bias, 3 → 2, and batches whose inputs and targets are of the given sizes. */
function single(t: TestContext, options: KfacOptions) {
  const loss = halfSquaredError();
  const net = t.engine.network([dense(3, 2, { bias: false })], loss, { batchSize: 8, seed: 1 });
  const random = t.random(9);
  const batch = (inputs: number, targets: number): Batch => ({
    inputs: random.normals(24, inputs),
    targets: random.normals(16, targets),
    count: 8,
  });
  return { net, kfac: t.engine.kfac(net, { momentum: 0, ...options }), batch };
}

trainingTest("kfac: a layer with one inverse only, A's or B's, is left alone", async (t) => {
  for (const side of ["A", "B"] as const) {
    const { net, kfac, batch } = single(t, { fisher: "empirical", factorEvery: 4 });
    // AA' overflows where the inputs are huge (W = 0 keeps everything else small), BB' where the targets are.
    net.setWeights([new Float32Array(6)]);
    const bad = side === "A" ? batch(1e25, 0) : batch(1, 1e25);
    const first = await kfac.step(bad);
    const second = await kfac.step(batch(1, 1));
    for (const { skippedLayers, layers, status, step } of [first, second]) {
      assertEqual(skippedLayers, 1, `${side}: layers that step ${step} left alone`);
      assertEqual(layers![0]!.ready, false, `${side}: ready after step ${step}`);
      assert(/no inverse yet|^batch left out/.test(status), `${side}: status after step ${step}: ${status}`);
    }
    assertClose((await net.weights())[0]!, new Float32Array(6), 0, `${side}: weights`);
    kfac.dispose();
    net.dispose();
  }
});

trainingTest("kfac: a layer without an inverse is left alone, its momentum too", async (t) => {
  const net = t.engine.network(MODULES, softmaxCrossEntropy(), { batchSize: 16, seed: 1 });
  const kfac = t.engine.kfac(net, { inverseEvery: 10 });
  const random = t.random(2);
  const next = () => randomBatch(random, 16, 7, 4, softmaxCrossEntropy());
  for (let step = 1; step <= 5; step++) await kfac.step(next());
  const state = await kfac.state();
  // Word 2 of the second layer's eleven says whether A has an inverse.
  state.layerState![11 + 2] = 0;
  kfac.restore(state);
  const before = await net.weights();
  const record = await kfac.step(next());
  assertEqual(record.skippedLayers, 1, "layers left alone");
  const after = await net.weights();
  assertClose(after[1]!, before[1]!, 0, "weights of the layer");
  for (const l of [0, 2])
    assert(
      after[l]!.some((w, k) => w !== before[l]![k]),
      `layer ${l} has not moved`,
    );
  kfac.dispose();
  net.dispose();
});

trainingTest("kfac: a step that overflows although G does not is skipped", async (t) => {
  const { net, kfac, batch } = single(t, { fisher: "exact", factorEvery: 3, damping: 1e-8 });
  await kfac.step(batch(1e-3, 1));
  const before = await net.weights();
  // Inputs of 1e-3 make U about 1e6 times G.
  const record = await kfac.step(batch(1, 1e36));
  assertEqual(record.verdict, "held", "verdict");
  assert(record.status.startsWith("batch left out"), `status: ${record.status}`);
  assertClose((await net.weights())[0]!, before[0]!, 0, "weights");
  kfac.dispose();
  net.dispose();
});

trainingTest("kfac: a λ below the f32 floor is told where it was set, not where it was found", async (t) => {
  for (const damping of [1e-18, "loss"] as const) {
    const { net, kfac, batch } = single(t, {
      fisher: "exact",
      damping,
      dampingShare: 1e-18,
      leastDamping: 0,
    });
    const { status, layers } = await kfac.step(batch(1, 1));
    assertEqual(layers[0]!.text, "damping below the f32 floor", "the layer");
    assertEqual(status, damping === "loss" ? "ok" : `${layers[0]!.name}: ${layers[0]!.text}`, `λ ${damping}`);
    kfac.dispose();
    net.dispose();
  }
});

trainingTest("kfac: a weight that would overflow stays as it is", async (t) => {
  const { net, kfac, batch } = single(t, { fisher: "exact", learningRate: 3e38 });
  const before = (await net.weights())[0]!;
  await kfac.step(batch(1, 2));
  const after = (await net.weights())[0]!;
  assertWritten(after, "weights");
  const still = after.filter((w, k) => w === before[k]).length;
  assert(still > 0 && still < 6, `${still} of 6 weights have not moved`);
  assertWritten((await kfac.state()).velocity!, "velocity");
  kfac.dispose();
  net.dispose();
});

trainingTest("kfac: bad options are refused and leave no buffer", (t) => {
  const net = t.engine.network([dense(3, 2)], softmaxCrossEntropy(), { batchSize: 4 });
  const { manager } = t.engine;
  const before = manager.counts.liveBuffers;
  const bad: [KfacOptions, RegExp][] = [
    [{ learningRate: 0 }, /learningRate must be a positive number or "model", got 0/],
    [{ learningRate: Number.NaN }, /learningRate/],
    [{ momentum: 1 }, /momentum must lie in \[0, 1\) or "model", got 1/],
    [{ damping: -1 }, /damping/],
    [{ emaDecay: 1 }, /emaDecay/],
    [{ factorEvery: 0 }, /factorEvery must be a whole number of at least 1, got 0/],
    [{ inverseEvery: 1.5 }, /inverseEvery/],
    [{ klClip: -1 }, /klClip/],
    [{ weightDecay: Number.POSITIVE_INFINITY }, /weightDecay/],
    [{ fisher: { kind: "monteCarlo", samples: 0 } }, /samples/],
  ];
  for (const [options, text] of bad) assertThrows(() => t.engine.kfac(net, options), ArgumentError, text);
  assertEqual(manager.counts.liveBuffers, before, "buffers");
  const kfac = t.engine.kfac(net);
  for (const value of [0, -1, Number.NaN]) {
    assertThrows(() => Object.assign(kfac, { learningRate: value }), ArgumentError, /learningRate/);
    if (value !== 0) assertThrows(() => Object.assign(kfac, { damping: value }), ArgumentError, /damping/);
  }
  assertEqual(kfac.learningRate, "model", "η is unchanged");
  assertEqual(kfac.damping, "loss", "λ is unchanged");
  kfac.dispose();
  assertEqual(manager.counts.liveBuffers, before, "buffers after dispose");
  net.dispose();
});

trainingTest("kfac: a cycle of refreshes warms up, then 20 steps make nothing new", async (t) => {
  const engine = await createEngine(t.device);
  const net = engine.network(MODULES, softmaxCrossEntropy(), { batchSize: 16 });
  const kfac = engine.kfac(net, { inverseEvery: 3, factorEvery: 2, klClip: 0.01, weightDecay: 0.01 });
  const random = t.random(6);
  const run = async (steps: number) => {
    for (let step = 0; step < steps; step++) {
      await kfac.step(randomBatch(random, 16, 7, 4, softmaxCrossEntropy()));
    }
  };
  await run(8);
  const warm = engine.manager.counts;
  await run(20);
  const counts = engine.manager.counts;
  for (const name of Object.keys(warm) as (keyof typeof warm)[]) assertEqual(counts[name], warm[name], name);
  engine.dispose();
  assertEqual(engine.manager.counts.liveBuffers, 0, "buffers of a disposed engine");
});
