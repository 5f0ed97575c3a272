/** Settings that change from step to step. */
import { ArgumentError } from "../../src/errors.js";
import type { Engine } from "../../src/index.js";
import { dense, type Network, softmaxCrossEntropy, tanh } from "../../src/network/index.js";
import {
  constant,
  cosine,
  linear,
  type Optimizer,
  type Schedule,
  warmUp,
} from "../../src/optimizers/index.js";
import { submits } from "../curvature/spies.js";
import {
  assertClose,
  assertEqual,
  assertThrows,
  type TestContext,
  trainingTest,
} from "../harness/kernel-test.js";
import { randomBatch } from "../network/helpers.js";
import { assertSame } from "./helpers.js";

const LOSS = softmaxCrossEntropy();
const MODULES = [dense(6, 9), tanh(), dense(9, 4)];

const at = (schedule: Schedule, steps: readonly number[]) => steps.map((step) => schedule(step));

trainingTest("schedules: their values", () => {
  assertClose(at(constant(0.3), [1, 2, 1000]), [0.3, 0.3, 0.3], 0, "constant");
  assertClose(
    at(linear(1, 0.2, 4), [1, 2, 3, 4, 5, 6, 99]),
    [1, 0.8, 0.6, 0.4, 0.2, 0.2, 0.2],
    1e-15,
    "linear",
  );
  const root = Math.SQRT1_2;
  const wave = [2, 1 + root, 1, 1 - root, 0, 0];
  assertClose(at(cosine(2, 0, 4), [1, 2, 3, 4, 5, 50]), wave, 1e-15, "cosine");
  assertClose(at(cosine(0, 2, 4), [1, 3, 5]), [0, 1, 2], 1e-15, "cosine, rising");
  assertClose(at(warmUp(4, 2), [1, 2, 3, 4, 5, 6]), [0.5, 1, 1.5, 2, 2, 2], 1e-15, "warm-up to a number");
  assertClose(at(warmUp(1, 2), [1, 2]), [2, 2], 0, "warm-up of one step");
  const both = warmUp(2, linear(1, 0, 4));
  assertClose(at(both, [1, 2, 3, 4, 5]), [0.5, 0.75, 0.5, 0.25, 0], 1e-15, "warm-up of a schedule");
});

trainingTest("schedules: bad arguments are refused", () => {
  const bad: [() => unknown, RegExp][] = [
    [() => constant(Number.NaN), /constant: value must be a finite number, got NaN/],
    [() => linear(1, Number.POSITIVE_INFINITY, 3), /linear: to must be a finite number/],
    [() => linear(1, 0, 0), /linear: steps must be a whole number of at least 1, got 0/],
    [() => cosine(1, 0, 2.5), /cosine: steps/],
    [() => warmUp(-1, 1), /warmUp: steps/],
    [() => warmUp(3, Number.NaN), /value must be a finite number/],
    [() => warmUp(3, "1" as unknown as number), /warmUp: schedule must be a number or a function, got "1"/],
  ];
  for (const [make, text] of bad) assertThrows(make, ArgumentError, text);
});

type Make = (engine: Engine, net: Network, learningRate: number | Schedule) => Optimizer;
const optimizers: Record<string, Make> = {
  kfac: (engine, net, learningRate) => engine.kfac(net, { learningRate, fisher: "exact", klClip: 0.01 }),
  newton: (engine, net, learningRate) => engine.newton(net, { learningRate, maxIterations: 4 }),
  sgd: (engine, net, learningRate) => engine.sgd(net, { learningRate }),
  adam: (engine, net, learningRate) => engine.adam(net, { learningRate }),
};

function setUp(t: TestContext, make: Make, learningRate: number | Schedule) {
  const net = t.engine.network(MODULES, LOSS, { batchSize: 12, seed: 2 });
  const own = make(t.engine, net, learningRate);
  const dispose = () => {
    own.dispose();
    net.dispose();
  };
  return { net, own, dispose };
}

function batchesOf(t: TestContext, count: number) {
  const random = t.random(3);
  return Array.from({ length: count }, () => randomBatch(random, 12, 6, 4, LOSS));
}

for (const [name, make] of Object.entries(optimizers)) {
  trainingTest(`schedules: ${name} takes the rate of each step, also after it is resumed`, async (t) => {
    const schedule = warmUp(2, cosine(0.2, 0.01, 6));
    const all = batchesOf(t, 8);
    const { net, own, dispose } = setUp(t, make, schedule);
    assertEqual(own.learningRate, schedule(1), "rate before the first step");
    // Sent together: the first ones wait for their kernels.
    const records = await Promise.all(all.map((batch) => own.step(batch)));
    const rates = records.map(({ learningRate }) => learningRate);
    assertEqual(rates.join(), at(schedule, [1, 2, 3, 4, 5, 6, 7, 8]).join(), "rates");
    assertEqual(own.learningRate, schedule(9), "rate of the next step");

    const other = setUp(t, make, 1);
    for (const [k, batch] of all.entries()) {
      other.own.learningRate = schedule(k + 1);
      await other.own.step(batch);
      if (k !== 4) continue;
      // From here on by another optimiser, with the schedule and the state.
      const state = await other.own.state();
      other.own.dispose();
      other.own = make(t.engine, other.net, schedule);
      other.own.restore(state);
      for (const rest of all.slice(5)) await other.own.step(rest);
      break;
    }
    assertSame(await net.weights(), await other.net.weights(), "weights");
    dispose();
    other.own.dispose();
    other.net.dispose();
  });

  trainingTest(`schedules: ${name} refuses a bad value at its step, and nothing changes`, async (t) => {
    const [batch] = batchesOf(t, 1);
    const bad = [0, -1, Number.NaN, 1e39, 1e-46, undefined as unknown as number];
    const { net, own, dispose } = setUp(t, make, (step) => (step === 2 ? bad[0]! : 0.01));
    await own.step(batch!);
    const weights = await net.weights();
    for (let k = bad.length; k > 0; k--) {
      const text = /learningRate must be a positive number.*, got .* at step 2/;
      const count = await submits(t.device, () => assertThrows(() => own.step(batch!), ArgumentError, text));
      assertEqual(count, 0, "submits");
      bad.shift();
    }
    assertEqual(own.steps, 1, "steps");
    assertSame(await net.weights(), weights, "weights");
    own.learningRate = 0.02;
    assertEqual((await own.step(batch!)).learningRate, 0.02, "rate");
    // A schedule that is bad from the start is refused at once, and no memory is kept.
    const { liveBuffers } = t.engine.manager.counts;
    assertThrows(() => make(t.engine, net, () => -3), ArgumentError, /got -3 at step 1/);
    assertEqual(t.engine.manager.counts.liveBuffers, liveBuffers, "buffers");
    dispose();
  });
}

for (const name of ["kfac", "newton"] as const) {
  trainingTest(`schedules: ${name}'s damping, as if it were set by hand`, async (t) => {
    const damping = linear(1, 0.1, 3);
    const all = batchesOf(t, 4);
    const make = (net: Network, value: number | Schedule) =>
      name === "kfac"
        ? t.engine.kfac(net, { damping: value, inverseEvery: 1, fisher: "exact" })
        : t.engine.newton(net, { damping: value, maxIterations: 4 });
    const run = async (byHand: boolean) => {
      const net = t.engine.network(MODULES, LOSS, { batchSize: 12, seed: 2 });
      const own = make(net, byHand ? 7 : damping);
      const pending = all.map((batch, k) => {
        if (byHand) own.damping = damping(k + 1);
        return own.step(batch);
      });
      const lambdas = (await Promise.all(pending)).map(({ lambda }) => lambda).join();
      assertEqual(lambdas, at(damping, [1, 2, 3, 4]).join(), "λ of the records");
      assertEqual(own.damping, damping(byHand ? 4 : 5), "λ of the next step");
      assertThrows(() => Object.assign(own, { damping: -1 }), ArgumentError, /damping/);
      const weights = await net.weights();
      own.dispose();
      net.dispose();
      return weights;
    };
    assertSame(await run(false), await run(true), "weights");
  });
}
