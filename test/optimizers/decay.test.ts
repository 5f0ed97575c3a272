/** Weight decay of both kinds and the gradient clip, which are the same for all optimisers, against the f64 twins. */
import { dense, halfSquaredError, type Module, type Network, tanh } from "../../src/network/index.js";
import type { Optimizer } from "../../src/optimizers/index.js";
import { adamStep, initialAdamState } from "../../src/reference/adam.js";
import { graphLossAndGradients } from "../../src/reference/graph.js";
import { networkGraph } from "../../src/reference/network.js";
import { initialSgdState, sgdStep } from "../../src/reference/sgd.js";
import { normOfAll, type Weights } from "../../src/reference/weights.js";
import {
  assert,
  assertClose,
  assertEqual,
  assertWritten,
  type TestContext,
  trainingTest,
} from "../harness/kernel-test.js";
import { matrixOf, randomBatch, twin } from "../network/helpers.js";
import { assertRecord, assertSame, flat, moved } from "./helpers.js";

const MODULES: Module[] = [dense(7, 17), tanh(), dense(17, 5, { bias: false }), tanh(), dense(5, 3)];
const LOSS = halfSquaredError();

interface Twin {
  weights: Weights;
  state: unknown;
}

interface Case {
  make: (t: TestContext, net: Network) => Optimizer;
  /** One step of the twin. */
  step: (before: Twin, gradients: Weights) => Twin;
  clip?: number;
  /** What f32 leaves of the change of the weights. */
  tolerance: number;
}

const sgdCase = (options: Parameters<typeof sgdStep>[3]): Case => ({
  make: ({ engine }, net) => engine.sgd(net, options),
  step: ({ weights, state }, gradients) =>
    sgdStep(weights, gradients, (state as never) ?? initialSgdState(weights), options),
  tolerance: 1e-5,
  ...(options.gradientClip && { clip: options.gradientClip }),
});
const adamCase = (options: NonNullable<Parameters<typeof adamStep>[3]>, kind: "adam" | "adamW"): Case => ({
  make: ({ engine }, net) => engine[kind](net, options),
  step: ({ weights, state }, gradients) =>
    adamStep(weights, gradients, (state as never) ?? initialAdamState(weights), {
      ...(kind === "adamW" && { weightDecay: 0.01, decay: "decoupled" as const }),
      ...options,
    }),
  tolerance: 2e-4,
  ...(options.gradientClip && { clip: options.gradientClip }),
});

const cases: Record<string, Case> = {
  "sgd, decoupled": sgdCase({ learningRate: 0.1, weightDecay: 0.3, decay: "decoupled" }),
  "sgd, a clip that bites and a penalty": sgdCase({ learningRate: 0.1, weightDecay: 0.3, gradientClip: 0.2 }),
  "sgd, a clip that does not": sgdCase({ learningRate: 0.1, momentum: 0, gradientClip: 1e4 }),
  "adam, a clip and a penalty": adamCase({ weightDecay: 0.2, gradientClip: 0.1, epsilon: 1e-2 }, "adam"),
  "adamW, its defaults": adamCase({}, "adamW"),
  "adamW, a strong pull and a clip": adamCase(
    { learningRate: 0.02, weightDecay: 2, gradientClip: 0.1, epsilon: 1e-2 },
    "adamW",
  ),
};

for (const [name, { make, step, clip, tolerance }] of Object.entries(cases)) {
  trainingTest(`${name}: against the f64 twin`, async (t) => {
    const net = t.engine.network(MODULES, LOSS, { batchSize: 20, seed: 7 });
    const optimizer = make(t, net);
    const before = await net.weights();
    const { graph, weights } = networkGraph(await twin(net, MODULES));
    let state: Twin = { weights, state: undefined };
    const random = t.random(2);
    for (let number = 1; number <= 6; number++) {
      const batch = randomBatch(random, number === 3 ? 7 : 20, 7, 3, LOSS);
      const record = await optimizer.step(batch);
      const X = { inputs: matrixOf(batch.inputs, batch.count, 7) };
      const T = matrixOf(batch.targets, batch.count, 3);
      const { gradients } = graphLossAndGradients(graph, state.weights, LOSS.kind, X, T);
      const bites = clip !== undefined && normOfAll(Object.values(gradients)) > clip;
      if (clip !== undefined) assertEqual(bites, clip < 1, `step ${number}: the clip bites`);
      state = step(state, gradients);
      assertRecord(record, `step ${number}`);
      assertEqual(record.status, "ok", `step ${number}: status`);
      if (bites && optimizer.options.weightDecay === 0) {
        assertClose([record.gradientNorm], [clip], 1e-5, `step ${number}: ‖G‖`);
      }
      const expected = Object.values(state.weights).map(({ data }) => data);
      const change = moved(await net.weights(), before);
      assertClose(change, moved(expected, before), tolerance, `step ${number}: change of the weights`);
    }
    optimizer.dispose();
    net.dispose();
  });
}

trainingTest("a decoupled decay is ηωW beside the same step, with curvature too", async (t) => {
  const numbers = { learningRate: 0.05, momentum: 0.5, damping: 0.1 } as const;
  const makers: Record<string, (net: Network, options: object) => Optimizer> = {
    kfac: (net, options) => t.engine.kfac(net, { ...numbers, trustRegion: 0, ...options }),
    newton: (net, options) => t.engine.newton(net, { ...numbers, ...options }),
  };
  for (const [name, make] of Object.entries(makers)) {
    const run = async (options: object) => {
      const net = t.engine.network(MODULES, LOSS, { batchSize: 20, seed: 7 });
      const optimizer = make(net, options);
      const start = await net.weights();
      await optimizer.step(randomBatch(t.random(5), 20, 7, 3, LOSS));
      const end = await net.weights();
      const [velocity] = Object.entries(await optimizer.state()).filter(([part]) => /elocity/.test(part));
      optimizer.dispose();
      net.dispose();
      return { start, end, velocity: velocity![1] };
    };
    const plain = await run({});
    const decays = await run({ weightDecay: 0.4, decay: "decoupled" });
    const expected = flat(plain.end).map((w, k) => w - 0.05 * 0.4 * flat(plain.start)[k]!);
    assertClose(flat(decays.end), expected, 1e-6, `${name}: weights`);
    assertSame([decays.velocity], [plain.velocity], `${name}: V`);
  }
});

trainingTest("K-FAC's own rate is what a decoupled decay is multiplied by", async (t) => {
  const run = async (options: object) => {
    const net = t.engine.network(MODULES, LOSS, { batchSize: 20, seed: 7 });
    const kfac = t.engine.kfac(net, options);
    const start = await net.weights();
    const record = await kfac.step(randomBatch(t.random(5), 20, 7, 3, LOSS));
    const end = await net.weights();
    kfac.dispose();
    net.dispose();
    return { start: flat(start), end: flat(end), rate: record.learningRate * record.clip };
  };
  const [plain, decays] = [await run({}), await run({ weightDecay: 0.4, decay: "decoupled" })];
  assert(plain.rate > 0 && plain.rate === decays.rate, `${plain.rate}, ${decays.rate} with decay`);
  const expected = plain.end.map((w, k) => w - plain.rate * 0.4 * plain.start[k]!);
  assertClose(decays.end, expected, 1e-6, "weights");
});

trainingTest("a clip: gradients that are not finite, or too large to measure, change nothing", async (t) => {
  for (const kind of ["sgd", "adam", "adamW"] as const) {
    const net = t.engine.network([dense(2, 2, { bias: false })], LOSS, { batchSize: 1 });
    net.setWeights([Float32Array.of(1, 2, 3, 4)]);
    const options = { learningRate: 0.1, gradientClip: 1 };
    const optimizer: Optimizer = t.engine[kind](net, options);
    const step = (x: number) =>
      optimizer.step({ inputs: Float32Array.of(x, 1), targets: Float32Array.of(0, 0), count: 1 });
    await step(1);
    const [before, state] = [await net.weights(), await optimizer.state()];
    // x = 3e25: G is not finite; x = 1e11: its numbers are about 1e22, and their squares are not.
    for (const x of [3e25, 1e11]) {
      const record = await step(x);
      assertEqual(`${record.status} ${record.skippedLayers}`, "gradient not finite 1", `${kind}, ${x}`);
      assertSame(await net.weights(), before, `${kind}, ${x}: weights`);
      const { step: _, ...kept } = await optimizer.state();
      for (const [part, data] of Object.entries(kept)) assertSame([data], [state[part]!], `${kind}: ${part}`);
    }
    // x = 1e8: large, but it can be told how large.
    const record = await step(1e8);
    assertEqual(record.status, "ok", kind);
    assertClose([record.gradientNorm], [1], 1e-5, `${kind}: ‖G‖`);
    assertWritten((await net.weights())[0]!, `${kind}: weights`);
    optimizer.dispose();
    net.dispose();
  }
});
