/** Which layers get new inverses in which step. */
import type { CurvatureLayer, EkfacBlock, KroneckerBlock } from "../../src/curvature/index.js";
import { dense, softmaxCrossEntropy, tanh } from "../../src/network/index.js";
import { shareOut } from "../../src/optimizers/directions/refresh-plan.js";
import type { KfacOptions } from "../../src/optimizers/index.js";
import { download } from "../curvature/helpers.js";
import { createEngine } from "../harness/engine.js";
import { assert, assertEqual, type TestContext, trainingTest } from "../harness/kernel-test.js";
import { randomBatch } from "../network/helpers.js";
import { assertSame } from "./helpers.js";

const LOSS = softmaxCrossEntropy();
/** Three layers whose factors are worth sharing out, and a small one. */
const MODULES = [dense(260, 9), tanh(), dense(9, 270), tanh(), dense(270, 8), tanh(), dense(8, 3)];
const EVERY = 4;

trainingTest("refresh plan: shares have every layer once, are even, few and in different steps", (t) => {
  const random = t.random(1);
  for (const period of [1, 2, 10, 50]) {
    for (const layers of [1, 2, 3, 9, 60]) {
      const costs = Array.from({ length: layers }, () => Math.abs(random.normal()) * 1e9);
      const shares = shareOut(costs, period);
      const what = `${layers} layers in ${period} steps`;
      const all = shares.flatMap((share) => share.layers).sort((a, b) => a - b);
      assertEqual(all.join(), [...costs.keys()].join(), `${what}: layers`);
      const phases = shares.map(({ phase }) => phase);
      assertEqual(new Set(phases).size, shares.length, `${what}: steps of the shares`);
      assert(
        phases.every((phase) => Number.isInteger(phase) && phase >= 0 && phase < period),
        `${what}: ${phases}`,
      );
      const work = shares.map((share) => share.layers.reduce((sum, layer) => sum + costs[layer]!, 0));
      const total = costs.reduce((sum, cost) => sum + cost, 0);
      const bound = Math.max(Math.max(...costs), total / shares.length + Math.max(...costs) / 2);
      assert(Math.max(...work) <= bound * 1.34, `${what}: ${work} of ${total}`);
      // With one share less, a share would have to be larger than any layer.
      const fewest = Math.min(period, Math.ceil(total / Math.max(...costs, 256 ** 3)));
      assertEqual(shares.length, fewest, `${what}: shares`);
    }
  }
  assertEqual(shareOut([100 ** 3, 200 ** 3, 0], 10).length, 1, "small layers stay together");
  assertEqual(
    JSON.stringify(shareOut([1e9, 0, 1e9], 10)[0]),
    '{"layers":[0,1],"phase":0}',
    "what costs nothing",
  );
});

/** After each of so many steps, which layers' inverses or bases are new. */
async function renewals(t: TestContext, options: KfacOptions, steps: number): Promise<string[]> {
  const net = t.engine.network(MODULES, LOSS, { batchSize: 8, seed: 1 });
  const kfac = t.engine.kfac(net, { inverseEvery: EVERY, ...options });
  const random = t.random(3);
  const seen = net.layers.map(() => "");
  const all: string[] = [];
  for (let step = 1; step <= steps; step++) {
    const { layers, status } = await kfac.step(randomBatch(random, 8, 260, 3, LOSS));
    assertEqual(status, "ok", `status of step ${step}`);
    const fresh: number[] = [];
    for (const l of net.layers.keys()) {
      const { block, index } = kfac.curvature.place(l);
      const own = block.eigenbases
        ? (block as EkfacBlock).basisB(index)
        : (block as KroneckerBlock).inverseB(index);
      const now = (await download(t, own)).join();
      if (now !== seen[l]) fresh.push(l);
      seen[l] = now;
      assert(layers[l]!.ready && layers[l]!.lambda > 0, `step ${step}: layer ${l} is told wrongly`);
    }
    all.push(fresh.join(""));
  }
  kfac.dispose();
  net.dispose();
  return all;
}

trainingTest("refresh plan: large layers in turn, all at steps 1, 2, 4 …, or all together", async (t) => {
  const staggered = await renewals(t, {}, 13);
  assertEqual(staggered.join(), "0123,0123,,,2,1,03,,2,1,03,,2", "in turn");
  const together = await renewals(t, { inverses: "together" }, 13);
  assertEqual(together.join(), "0123,0123,,,0123,,,,0123,,,,0123", "together");
});

trainingTest("refresh plan: eigenbases have a period of their own", async (t) => {
  const curvature = ({ out }: CurvatureLayer) => (out === 270 ? ("ekfac" as const) : ("kronecker" as const));
  const own = await renewals(t, { curvature, inverses: "together", basesEvery: 6 }, 13);
  assertEqual(own.join(), "0123,0123,,1,023,,1,,023,,,,0123", "bases");
});

trainingTest(
  "refresh plan: step 1 has all kernels, and a run is resumed bit for bit within a period",
  async (t) => {
    const engine = await createEngine(t.device);
    const make = () => {
      const net = engine.network(MODULES, LOSS, { batchSize: 8, seed: 1 });
      return { net, kfac: engine.kfac(net, { inverseEvery: EVERY }) };
    };
    const batch = (step: number) => randomBatch(t.random(step), 8, 260, 3, LOSS);
    const whole = make();
    await whole.kfac.step(batch(1));
    const { pipelines } = engine.manager.counts;
    for (let step = 2; step <= 6; step++) await whole.kfac.step(batch(step));
    const state = await whole.kfac.state();
    const weights = await whole.net.weights();
    for (let step = 7; step <= 10; step++) await whole.kfac.step(batch(step));
    assertEqual(engine.manager.counts.pipelines, pipelines, "pipelines made after step 1");
    const later = make();
    later.net.setWeights(weights);
    later.kfac.restore(state);
    for (let step = 7; step <= 10; step++) await later.kfac.step(batch(step));
    assertSame(await later.net.weights(), await whole.net.weights(), "weights");
    engine.dispose();
  },
);
