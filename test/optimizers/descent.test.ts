/** What every optimiser promises, tried on each. */
import type { Batch } from "../../src/curvature/index.js";
import { ArgumentError, CheckpointError, DataError, DeviceLostError, ShapeError } from "../../src/errors.js";
import type { Engine } from "../../src/index.js";
import { dense, type Module, type Network, softmaxCrossEntropy, tanh } from "../../src/network/index.js";
import type { Optimizer, OptimizerState, StepRecord } from "../../src/optimizers/index.js";
import { submits } from "../curvature/spies.js";
import { createEngine } from "../harness/engine.js";
import {
  assert,
  assertClose,
  assertEqual,
  assertThrows,
  networkTest,
  type Random,
} from "../harness/kernel-test.js";
import { randomBatch } from "../network/helpers.js";
import { assertRecord, assertSame, moved } from "./helpers.js";

const LOSS = softmaxCrossEntropy();
const MODULES: Module[] = [dense(7, 11), tanh(), dense(11, 4)];

type Name = "kfac" | "sgd" | "adam" | "newton";
const optimizers: Record<Name, (engine: Engine, net: Network) => Optimizer> = {
  kfac: (engine, net) => engine.kfac(net, { inverseEvery: 3, factorEvery: 2, seed: 5, klClip: 0.01 }),
  sgd: (engine, net) => engine.sgd(net, { learningRate: 0.1 }),
  adam: (engine, net) => engine.adam(net, { learningRate: 0.01 }),
  newton: (engine, net) => engine.newton(net, { maxIterations: 5 }),
};
const names = Object.keys(optimizers) as Name[];

function network(engine: Engine, modules = MODULES): Network {
  return engine.network(modules, LOSS, { batchSize: 16, seed: 3 });
}

function batches(random: Random, count: number): Batch[] {
  return Array.from({ length: count }, (_, k) => randomBatch(random, k % 4 === 2 ? 5 : 16, 7, 4, LOSS));
}

/** As a file on its way through JSON would leave it. */
function throughJson(state: OptimizerState): OptimizerState {
  const text = JSON.stringify(
    Object.entries(state).map(([name, data]) => [name, data instanceof Uint32Array, Array.from(data)]),
  );
  const entries = JSON.parse(text) as [string, boolean, number[]][];
  return Object.fromEntries(
    entries.map(([name, words, data]) => [name, words ? Uint32Array.from(data) : Float32Array.from(data)]),
  );
}

for (const name of names) {
  const make = optimizers[name];

  networkTest(`${name}: the same run gives the same bits`, async (t) => {
    const runs: { weights: Float32Array[]; state: OptimizerState; records: string }[] = [];
    for (let time = 0; time < 2; time++) {
      const net = network(t.engine);
      const own = make(t.engine, net);
      const records: StepRecord[] = [];
      for (const batch of batches(t.random(1), 9)) records.push(await own.step(batch));
      runs.push({ weights: await net.weights(), state: await own.state(), records: JSON.stringify(records) });
      own.dispose();
      net.dispose();
    }
    const [first, second] = runs;
    assertSame(second!.weights, first!.weights, "weights");
    assertSame(Object.values(second!.state), Object.values(first!.state), "state");
    assertEqual(second!.records, first!.records, "records");
  });

  networkTest(`${name}: a run that is resumed continues bit for bit`, async (t) => {
    const all = batches(t.random(2), 14);
    for (const stop of [4, 7]) {
      const net = network(t.engine);
      const own = make(t.engine, net);
      for (const batch of all.slice(0, stop)) await own.step(batch);
      const state = throughJson(await own.state());
      const weights = await net.weights();
      assertEqual(state.step![0], stop, "step in the state");
      const rest: StepRecord[] = [];
      for (const batch of all.slice(stop)) rest.push(await own.step(batch));

      const other = network(t.engine);
      const resumed = make(t.engine, other);
      // What it did before counts for nothing.
      await resumed.step(all[9]!);
      other.setWeights(weights);
      resumed.restore(state);
      assertEqual(resumed.steps, stop, "steps after restore");
      const again: StepRecord[] = [];
      for (const batch of all.slice(stop)) again.push(await resumed.step(batch));
      assertSame(await other.weights(), await net.weights(), `weights, resumed after ${stop}`);
      assertSame(Object.values(await resumed.state()), Object.values(await own.state()), "state");
      assertEqual(JSON.stringify(again), JSON.stringify(rest), "records");
      for (const made of [own, net, resumed, other]) made.dispose();
    }
  });

  networkTest(`${name}: a batch of any size is taken as a network of just that size takes it`, async (t) => {
    const random = t.random(6);
    const net = network(t.engine);
    const own = make(t.engine, net);
    for (const count of [16, 5, 1, 13, 16]) {
      const batch = randomBatch(random, count, 7, 4, LOSS);
      const just = t.engine.network(MODULES, LOSS, { batchSize: count, seed: 3 });
      const other = make(t.engine, just);
      const before = await net.weights();
      just.setWeights(before);
      other.restore(await own.state());
      const [{ loss }, wanted] = [await own.step(batch), await other.step(batch)];
      assertClose([loss], [wanted.loss], 1e-6, `loss of ${count} examples`);
      const steps = [moved(await net.weights(), before), moved(await just.weights(), before)] as const;
      assertClose(...steps, 1e-4, `step on ${count} examples`);
      other.dispose();
      just.dispose();
    }
    own.dispose();
    net.dispose();
  });

  networkTest(`${name}: a foreign or broken checkpoint is refused and changes nothing`, async (t) => {
    const net = network(t.engine);
    const own = make(t.engine, net);
    const [first, second] = batches(t.random(3), 2);
    await own.step(first!);
    const state = await own.state();
    const foreign: [OptimizerState, RegExp][] = [];
    for (const other of names.filter((candidate) => candidate !== name)) {
      const source = optimizers[other](t.engine, net);
      foreign.push([await source.state(), /is missing; this is not a checkpoint of|does not belong to/]);
      source.dispose();
    }
    const wide = network(t.engine, [dense(7, 12), tanh(), dense(12, 4)]);
    const elsewhere = make(t.engine, wide);
    foreign.push([await elsewhere.state(), /has \d+ numbers, this network needs \d+/]);
    const { step, ...rest } = state;
    foreign.push([rest, /optimizer\.step: is missing/]);
    foreign.push([
      { ...state, step: Float32Array.of(1.5) },
      /optimizer\.step: must be a Uint32Array, got a Float32Array/,
    ]);
    const tensor = Object.keys(rest).at(-1)!;
    const bad = (state[tensor] as Float32Array).slice();
    bad[3] = Number.NaN;
    foreign.push([{ ...state, [tensor]: bad }, /holds numbers that are not finite/]);
    foreign.push([{ ...state, [tensor]: bad.slice(1) }, /has \d+ numbers/]);
    for (const [broken, text] of foreign) {
      assertThrows(() => own.restore(broken), CheckpointError, text);
      assertEqual(own.steps, 1, "steps");
    }
    assertSame(Object.values(await own.state()), Object.values(state), "state");
    const record = await own.step(second!);
    assertEqual(record.step, 2, "number of the next step");
    for (const made of [own, elsewhere, wide, net]) made.dispose();
  });

  networkTest(`${name}: a step is one submit, and none waits for another`, async (t) => {
    const engine = await createEngine(t.device);
    const net = network(engine);
    const own = make(engine, net);
    const all = batches(t.random(4), 12);
    // Even the very first may be queued: they go once the kernels are there.
    const early = all.slice(0, 3).map((batch) => own.step(batch));
    assertEqual(
      (await Promise.all(early)).map(({ step }) => step).join(),
      "1,2,3",
      "numbers of the first steps",
    );
    const pending: Promise<StepRecord>[] = [];
    let settled = 0;
    const count = await submits(t.device, () => {
      for (const batch of all.slice(2)) {
        const before = own.steps;
        pending.push(own.step(batch));
        assertEqual(own.steps, before + 1, "steps right after the call");
        pending.at(-1)!.then(() => settled++);
      }
    });
    assertEqual(count, 10, "submits of ten steps");
    assertEqual(settled, 0, "records that came back at once");
    const weights = net.weights();
    const records = await Promise.all(pending);
    for (const [k, record] of records.entries()) {
      assertEqual(record.step, k + 4, "number of the step");
      assertRecord(record, `step ${k + 4}`);
    }
    // The same, one by one.
    const other = network(engine);
    const slow = make(engine, other);
    for (const batch of [...all.slice(0, 3), ...all.slice(2)]) await slow.step(batch);
    assertSame(await other.weights(), await weights, "weights");
    engine.dispose();
  });

  networkTest(`${name}: a step takes the batch as it is at the call`, async (t) => {
    const all = batches(t.random(5), 4).map((batch) => ({ ...batch, count: 5 }));
    const inputs = all.map((batch) => batch.inputs.slice(0, 35));
    const targets = all.map((batch) => batch.targets.slice(0, 5));
    const net = network(t.engine);
    const own = make(t.engine, net);
    const shared: Batch = { inputs: new Float32Array(35), targets: new Uint32Array(5), count: 5 };
    const records: Promise<StepRecord>[] = [];
    for (let k = 0; k < 4; k++) {
      shared.inputs.set(inputs[k]!);
      shared.targets.set(targets[k]!);
      own.learningRate = 0.01 * (k + 1);
      records.push(own.step(shared));
      if (k === 1) await records[k];
    }
    shared.inputs.fill(100);
    const rates = (await Promise.all(records)).map(({ learningRate }) => learningRate);
    assertEqual(rates.join(), "0.01,0.02,0.03,0.04", "learning rates");
    const other = network(t.engine);
    const slow = make(t.engine, other);
    for (let k = 0; k < 4; k++) {
      slow.learningRate = 0.01 * (k + 1);
      await slow.step({ inputs: inputs[k]!, targets: targets[k]!, count: 5 });
    }
    assertSame(await net.weights(), await other.weights(), "weights");
    for (const made of [own, net, slow, other]) made.dispose();
  });

  networkTest(`${name}: records may be left alone, even when the engine goes`, async (t) => {
    const engine = await createEngine(t.device);
    const net = network(engine);
    const own = make(engine, net);
    const all = batches(t.random(6), 4);
    void own.step(all[0]!);
    await own.step(all[1]!);
    void own.step(all[2]!);
    const last = own.step(all[3]!);
    engine.dispose();
    // Whoever does wait is told; the harness fails this test for errors that nobody waits for.
    await last.then(
      () => assert(false, "the record came back"),
      (error) => assert(error instanceof Error, "the error is no Error"),
    );
    await assertThrows(() => own.step(all[0]!), DeviceLostError);
    assertEqual(engine.manager.counts.liveBuffers, 0, "buffers");
  });

  networkTest(`${name}: so may the record of the first step`, async (t) => {
    const engine = await createEngine(t.device);
    const own = make(engine, network(engine));
    const [batch] = batches(t.random(6), 1);
    // The engine goes as soon as the step, which waits for its kernels, is sent.
    const gone = new Promise<void>((resolve) => {
      const queue = Object.getPrototypeOf(t.device.queue) as GPUQueue;
      const { submit } = queue;
      queue.submit = function (this: GPUQueue, ...commands) {
        queue.submit = submit;
        submit.apply(this, commands);
        queueMicrotask(() => {
          engine.dispose();
          resolve();
        });
      };
    });
    void own.step(batch!);
    await gone;
    assertEqual(own.steps, 1, "steps sent");
    // Errors that nobody waits for come late.
    await new Promise((resolve) => setTimeout(resolve, 200));
  });

  networkTest(`${name}: bad batches and weights are refused, and nothing changes`, async (t) => {
    const net = network(t.engine);
    const own = make(t.engine, net);
    const [good] = batches(t.random(7), 1) as [Batch];
    const poisoned = (value: number) => {
      const inputs = good.inputs.slice();
      inputs[20] = value;
      return { ...good, inputs };
    };
    const labels = (good.targets as Uint32Array).slice();
    labels[3] = 4;
    const bad: [Batch, new (...values: never[]) => Error, RegExp][] = [
      [{ ...good, count: 17 }, ArgumentError, /count must be an integer from 1 to 16, got 17/],
      [{ ...good, count: 0 }, ArgumentError, /count/],
      [{ ...good, inputs: good.inputs.slice(1) }, ShapeError, /inputs has shape \[111\], expected \[112\]/],
      [{ ...good, targets: good.targets.slice(1) }, ShapeError, /targets has shape \[15\], expected \[16\]/],
      [{ ...good, targets: labels }, DataError, /class 4 in example 3/],
      [
        { ...good, inputs: [1, 2] as unknown as Float32Array },
        ArgumentError,
        /inputs must be a Float32Array/,
      ],
      [poisoned(Number.NaN), DataError, /NaN in example 2, position 6/],
      [poisoned(Number.NEGATIVE_INFINITY), DataError, /-Infinity/],
    ];
    const refuseAll = async () => {
      const weights = await net.weights();
      const { steps } = own;
      let count = 0;
      for (const [batch, kind, text] of bad) {
        count += await submits(t.device, () => assertThrows(() => own.step(batch), kind, text));
      }
      assertEqual(count, 0, "submits");
      assertEqual(own.steps, steps, "steps");
      assertSame(await net.weights(), weights, "weights");
    };
    await refuseAll();
    await own.step(good);
    const state = await own.state();
    await refuseAll();
    assertSame(Object.values(await own.state()), Object.values(state), "state");
    const weights = await net.weights();
    for (const value of [Number.NaN, Number.POSITIVE_INFINITY]) {
      const broken = weights.map((W) => W.slice());
      broken[1]![7] = value;
      assertThrows(() => net.setWeights(broken), DataError, /weights of .* finite/);
    }
    assertSame(await net.weights(), weights, "weights after a bad setWeights");
    const record = await own.step(good);
    assertEqual(record.step, 2, "number of the next step");
    assertEqual(record.status, "ok", "status of the next step");
    own.dispose();
    net.dispose();
  });

  networkTest(`${name}: after warm-up 20 steps make nothing new; dispose() frees everything`, async (t) => {
    const engine = await createEngine(t.device);
    const net = network(engine);
    const before = engine.manager.counts;
    make(engine, net).dispose();
    assertEqual(engine.manager.counts.liveBuffers, before.liveBuffers, "buffers after an unused one");
    const own = make(engine, net);
    const all = batches(t.random(8), 18);
    for (const batch of all) await own.step(batch);
    const warm = engine.manager.counts;
    for (const batch of [...all, ...all.slice(0, 2)]) {
      own.learningRate = 0.1 + 0.001 * own.steps;
      await own.step(batch);
    }
    const after = engine.manager.counts;
    for (const key of Object.keys(warm) as (keyof typeof warm)[]) assertEqual(after[key], warm[key], key);
    own.dispose();
    make(engine, net)[Symbol.dispose]();
    assert(engine.manager.counts.liveBuffers < warm.liveBuffers, "nothing was freed");
    engine.dispose();
    assertEqual(engine.manager.counts.liveBuffers, 0, "buffers of a disposed engine");
  });
}
