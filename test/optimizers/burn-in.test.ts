/** Steps at the start that take in statistics and leave the weights as they are. */
import { ArgumentError } from "../../src/errors.js";
import type { Engine } from "../../src/index.js";
import type { Batch } from "../../src/model/index.js";
import { dense, type Module, type Network, relu, softmaxCrossEntropy } from "../../src/network/index.js";
import type { KfacOptions } from "../../src/optimizers/index.js";
import { assert, assertClose, assertEqual, assertThrows, trainingTest } from "../harness/kernel-test.js";
import { randomBatch } from "../network/helpers.js";
import { assertSame, flat } from "./helpers.js";

const LOSS = softmaxCrossEntropy();
const MODULES: Module[] = [dense(7, 12), relu(), dense(12, 4)];

function networkOf(engine: Engine): Network {
  return engine.network(MODULES, LOSS, { batchSize: 16, seed: 3 });
}

const huge = (batch: Batch): Batch => ({
  ...batch,
  inputs: (batch.inputs as Float32Array).map((x) => 1e12 * x),
});

for (const curvature of ["kronecker", "ekfac", "diagonal"] as const) {
  for (const damping of ["loss", "levenbergMarquardt", 0.1] as const) {
    trainingTest(`burn-in: ${curvature}, damping ${damping}: factors come first, then steps`, async (t) => {
      const random = t.random(3);
      const net = networkOf(t.engine);
      const options = { curvature, damping, factorEvery: 4, averageDecay: 0.9, seed: 2 } as const;
      const own = t.engine.kfac(net, { ...options, burnIn: 5 });
      const batches = Array.from({ length: 9 }, () => randomBatch(random, 16, 7, 4, LOSS));
      const start = await net.weights();
      const verdicts: string[] = [];
      for (const [k, batch] of batches.entries()) {
        const record = await own.step(batch);
        verdicts.push(record.verdict);
        if (k < 5) {
          assertSame(await net.weights(), start, `weights after step ${k + 1}`);
          assertEqual(record.status, `burn-in: batch ${k + 1} of 5 taken in, weights as they were`, "status");
          assertEqual(`${record.skippedLayers} ${record.learningRate}`, "0 0", "layers left alone, rate");
          assertSame(await own.withAverage(() => net.weights()), start, "mean before there is one");
          // Every one is taken in, whatever `factorEvery`.
          if (k === 4) assertEqual(own.steps, 5, "steps");
        } else {
          assertEqual(record.status, "ok", `status of step ${k + 1}`);
          assert(record.learningRate > 0, `rate of step ${k + 1}`);
        }
      }
      assertEqual(
        verdicts.join(),
        [..."bbbbb"]
          .map(() => "burnIn")
          .concat(Array(4).fill("taken"))
          .join(),
        "verdicts",
      );
      assert(
        flat(await net.weights()).some((w, k) => w !== flat(start)[k]),
        "the weights have stayed",
      );
      own.dispose();
      net.dispose();
    });
  }
}

trainingTest("burn-in: its factors are those of steps that change nothing", async (t) => {
  const random = t.random(4);
  const batches = Array.from({ length: 6 }, () => randomBatch(random, 16, 7, 4, LOSS));
  const options: KfacOptions = { fisher: "exact", emaDecay: 0.9 };
  const [net, other] = [networkOf(t.engine), networkOf(t.engine)];
  const own = t.engine.kfac(net, { ...options, burnIn: 6 });
  // A rate that moves weights by less than a rounding error.
  const still = t.engine.kfac(other, { ...options, learningRate: 1e-30, momentum: 0 });
  for (const batch of batches) {
    await own.step(batch);
    await still.step(batch);
  }
  const [a, b] = [(await own.state()).factors!, (await still.state()).factors!];
  assertClose(a as Float32Array, b as Float32Array, 1e-6, "factors");
  assert(
    a.some((x) => x !== 0),
    "no factors",
  );
  for (const made of [own, still, net, other]) made.dispose();
});

trainingTest("burn-in: bad batches are held, and nothing is restored before there was a step", async (t) => {
  const random = t.random(5);
  const net = networkOf(t.engine);
  const own = t.engine.kfac(net, { burnIn: 4, inverseEvery: 2 });
  const start = await net.weights();
  const good = () => randomBatch(random, 16, 7, 4, LOSS);
  const verdicts: string[] = [];
  // Two bad ones in a row within it, and across its end.
  for (const bad of [false, true, true, true, true, true, false, false, false]) {
    const record = await own.step(bad ? huge(good()) : good());
    verdicts.push(record.verdict);
    if (verdicts.length <= 6) assertSame(await net.weights(), start, `weights after step ${verdicts.length}`);
    assertEqual(record.rejected, 0, "steps taken back");
  }
  assertEqual(verdicts.slice(0, 6).join(), "burnIn,held,held,held,held,held", "verdicts");
  // Five bad ones are other data: weights wait for their inverses.
  assertEqual(verdicts.slice(6).join(), "burnIn,burnIn,taken", "the last verdicts");
  assert(flat(await net.weights()).every(Number.isFinite), "weights");
  own.dispose();
  net.dispose();
});

trainingTest("burn-in: goes on from a checkpoint in its midst, and with micro-batches", async (t) => {
  const random = t.random(6);
  const batches = Array.from({ length: 8 }, () => randomBatch(random, 16, 7, 4, LOSS));
  const [net, other] = [networkOf(t.engine), networkOf(t.engine)];
  const options = { burnIn: 4, inverseEvery: 3 } as const;
  const [own, resumed] = [t.engine.kfac(net, options), t.engine.kfac(other, options)];
  for (const batch of batches.slice(0, 2)) await own.step([batch, batch]);
  resumed.restore(await own.state());
  other.setWeights(await net.weights());
  for (const batch of batches.slice(2)) {
    const [a, b] = [await own.step([batch, batch]), await resumed.step([batch, batch])];
    assertEqual(JSON.stringify(a), JSON.stringify(b), "records");
  }
  assertSame(await net.weights(), await other.weights(), "weights");
  for (const bad of [-1, 1.5, "no"]) {
    const make = () => t.engine.kfac(net, { burnIn: bad as number });
    assertThrows(make, ArgumentError, /kfac: burnIn must be/);
  }
  assertThrows(() => own.change({ burnIn: 2 } as object), ArgumentError, /burnIn/);
  for (const made of [own, resumed, net, other]) made.dispose();
});
