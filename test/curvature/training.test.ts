/** K-FAC with other blocks of curvature: whole runs against f64, refusals, a block of the caller's own. */
import {
  type Block,
  type BlockFactory,
  type BlockItem,
  type BlockSite,
  type CurvatureLayer,
  EkfacBlock,
} from "../../src/curvature/index.js";
import { UnsupportedLayerError } from "../../src/errors.js";
import { blend } from "../../src/linalg/blend.js";
import { axpy, paddedView, type Matrix as View } from "../../src/linalg/index.js";
import type { Batch } from "../../src/model/index.js";
import {
  conv2d,
  dense,
  globalAveragePool,
  halfSquaredError,
  type Loss,
  type Module,
  type Network,
  relu,
  softmaxCrossEntropy,
  tanh,
} from "../../src/network/index.js";
import { Kfac, type KfacOptions } from "../../src/optimizers/index.js";
import type { Recorder } from "../../src/pipeline/index.js";
import { expandFactors, reduceFactors } from "../../src/reference/approximations.js";
import {
  type ConvNetworkLayer,
  convCurvature,
  convLossAndGradients,
  convWeightsOf,
  withConvWeights,
} from "../../src/reference/conv-network.js";
import { inverts } from "../../src/reference/kfac-training.js";
import { add, type Matrix, matrix } from "../../src/reference/matrix.js";
import {
  curvatureRows,
  type Layer,
  lossAndGradients,
  weightsOf,
  withWeights,
} from "../../src/reference/network.js";
import { denseBlock, type PositionBlock } from "../../src/reference/operator.js";
import { assert, assertClose, assertEqual, assertThrows, trainingTest } from "../harness/kernel-test.js";
import { managerOf } from "../linalg/helpers.js";
import { convTwin, images, type Shape } from "../network/conv-helpers.js";
import { matrixOf, randomBatch, targetsOf, twin } from "../network/helpers.js";
import { assertSame, flat, moved } from "../optimizers/helpers.js";
import {
  type BlockTwin,
  DiagonalTwin,
  EigenTwin,
  EkfacTwin,
  FullTwin,
  GradientTwin,
  KroneckerTwin,
} from "./block-twins.js";

const EXACT = { kind: "exact" } as const;

/** A network in f64: what a step asks of it. */
interface Twin64 {
  weights: Matrix[];
  pass(batch: Batch): { loss: number; gradients: Matrix[]; blocks: PositionBlock[][] };
}

async function denseNetwork(net: Network, modules: readonly Module[]): Promise<Twin64> {
  let network: Layer[] = await twin(net, modules);
  return {
    get weights() {
      return weightsOf(network);
    },
    set weights(next) {
      network = withWeights(network, next);
    },
    pass(batch) {
      const X = matrixOf(batch.inputs, batch.count, net.features);
      const { loss, gradients } = lossAndGradients(network, net.loss.kind, X, targetsOf(batch, net.outputs));
      const rows = curvatureRows(network, net.loss.kind, X, EXACT);
      return { loss, gradients, blocks: gradients.map((_, l) => [denseBlock(rows, l)]) };
    },
  };
}

async function convNetwork(net: Network, modules: readonly Module[], shape: Shape): Promise<Twin64> {
  let network: ConvNetworkLayer[] = [...(await convTwin(net, modules))];
  return {
    get weights() {
      return convWeightsOf(network);
    },
    set weights(next) {
      network = withConvWeights(network, next);
    },
    pass(batch) {
      const X = images(batch, shape);
      const targets = targetsOf(batch, net.outputs);
      const { loss, gradients } = convLossAndGradients(network, net.loss.kind, X, targets);
      return { loss, gradients, blocks: convCurvature(network, net.loss.kind, X, EXACT) };
    },
  };
}

type Numbers = "learningRate" | "damping" | "momentum" | "emaDecay" | "inverseEvery";

interface Run {
  modules: Module[];
  loss: Loss;
  count: number;
  shape?: Shape;
  options: Omit<KfacOptions, Numbers> & Record<Numbers, number>;
  twins: (emaDecay: number) => BlockTwin[];
}

/** Losses and weights of a run on the GPU and in f64, step by step. */
async function follow(
  t: Parameters<Parameters<typeof trainingTest>[1]>[0],
  run: Run,
  steps: number,
  check: (
    step: number,
    own: { loss: number; moved: Float64Array },
    wanted: { loss: number; moved: Float64Array },
  ) => void,
): Promise<void> {
  const { modules, loss, count, shape, options } = run;
  const net = t.engine.network(modules, loss, { batchSize: count, seed: 5, input: shape, fisher: EXACT });
  const kfac = t.engine.kfac(net, { ...options, fisher: "exact" });
  const network = shape ? await convNetwork(net, modules, shape) : await denseNetwork(net, modules);
  const start = await net.weights();
  const start64 = network.weights.map(({ data }) => data);
  const twins = run.twins(options.emaDecay);
  let velocity = network.weights.map((W) => matrix(W.rows, W.cols));
  const random = t.random(6);
  for (let step = 1; step <= steps; step++) {
    const batch = randomBatch(random, count, net.features, net.outputs, loss);
    const record = await kfac.step(batch);
    assertEqual(record.status, "ok", `step ${step}: status`);
    const { loss: value, gradients, blocks } = network.pass(batch);
    for (const [l, own] of twins.entries()) {
      own.accumulate(blocks[l]!, gradients[l]!);
      if (inverts(step, options.inverseEvery)) own.refresh(options.damping);
    }
    velocity = velocity.map((V, l) => add(V, twins[l]!.solve(gradients[l]!), options.momentum));
    network.weights = network.weights.map((W, l) => add(W, velocity[l]!, 1, -options.learningRate));
    check(
      step,
      { loss: record.loss, moved: moved(await net.weights(), start) },
      {
        loss: value,
        moved: moved(
          network.weights.map(({ data }) => data),
          start64,
        ),
      },
    );
  }
  kfac.dispose();
  net.dispose();
}

const OPTIONS = { learningRate: 0.1, damping: 0.1, momentum: 0.5, emaDecay: 0.8, inverseEvery: 5 };

const runs: Record<string, Run> = {
  "ekfac on a dense network": {
    modules: [dense(5, 7), tanh(), dense(7, 4), tanh(), dense(4, 3)],
    loss: softmaxCrossEntropy(),
    count: 40,
    options: { ...OPTIONS, curvature: "ekfac" },
    twins: (decay) => [0, 1, 2].map(() => new EkfacTwin(decay)),
  },
  "ekfac on a convolution, expand and reduce": {
    modules: [
      conv2d(2, 4, 3, { padding: 1 }),
      tanh(),
      conv2d(4, 3, 2, { positions: "reduce" }),
      tanh(),
      globalAveragePool(),
      dense(3, 2),
    ],
    loss: halfSquaredError(),
    count: 24,
    shape: [2, 5, 4],
    options: { ...OPTIONS, curvature: "ekfac" },
    twins: (decay) => [expandFactors, reduceFactors, expandFactors].map((of) => new EkfacTwin(decay, of)),
  },
  "expand and reduce by the option, each where the layer was built for the other": {
    modules: [
      conv2d(2, 4, 3, { padding: 1, positions: "reduce" }),
      tanh(),
      conv2d(4, 3, 2),
      tanh(),
      globalAveragePool(),
      dense(3, 2),
    ],
    loss: halfSquaredError(),
    count: 24,
    shape: [2, 5, 4],
    options: { ...OPTIONS, curvature: ({ in: inputs }) => (inputs === 17 ? "reduce" : "expand") },
    twins: (decay) => [expandFactors, reduceFactors, expandFactors].map((of) => new KroneckerTwin(decay, of)),
  },
  "a diagonal for a grouped convolution, a Kronecker product for the dense layer": {
    modules: [conv2d(2, 6, 2, { groups: 2 }), tanh(), globalAveragePool(), dense(6, 3)],
    loss: softmaxCrossEntropy(),
    count: 20,
    shape: [2, 4, 5],
    options: { ...OPTIONS, fallback: "diagonal" },
    twins: (decay) => [new DiagonalTwin(decay), new KroneckerTwin(decay)],
  },
  "the whole block for a grouped convolution, an exactly damped product for the dense layer": {
    modules: [conv2d(2, 6, 2, { groups: 2 }), tanh(), globalAveragePool(), dense(6, 3)],
    loss: softmaxCrossEntropy(),
    count: 20,
    shape: [2, 4, 5],
    options: { ...OPTIONS, curvature: ({ in: inputs }) => (inputs === 7 ? "eigen" : "full") },
    twins: (decay) => [new FullTwin(decay), new EigenTwin(decay)],
  },
  "the plain gradient for a grouped convolution of odd groups, ekfac for the dense layer": {
    modules: [conv2d(3, 9, [2, 1], { groups: 3, bias: false }), tanh(), globalAveragePool(), dense(9, 2)],
    loss: halfSquaredError(),
    count: 20,
    shape: [3, 3, 4],
    options: { ...OPTIONS, curvature: "ekfac", fallback: "gradient" },
    twins: (decay) => [new GradientTwin(), new EkfacTwin(decay)],
  },
};

for (const [name, run] of Object.entries(runs)) {
  trainingTest(`training: ${name}, 20 steps against f64`, async (t) => {
    let first = 0;
    let last = 0;
    await follow(t, run, 20, (step, own, wanted) => {
      assertClose([own.loss], [wanted.loss], 1e-4, `step ${step}: loss`);
      assertClose(own.moved, wanted.moved, 2e-3, `step ${step}: change of the weights`);
      if (step === 1) first = Math.hypot(...own.moved);
      last = Math.hypot(...own.moved);
    });
    assert(last > 2 * first, `the weights do not move: ${first}, then ${last}`);
  });
}

trainingTest("training: ekfac is not K-FAC, nor a spectrum that stands still", async (t) => {
  const run = runs["ekfac on a dense network"]!;
  const wrong: Record<string, Run["twins"]> = {
    kronecker: (decay) => [0, 1, 2].map(() => new KroneckerTwin(decay)),
    frozen: (decay) => [0, 1, 2].map(() => new EkfacTwin(decay, expandFactors, { frozen: true })),
  };
  for (const [name, twins] of Object.entries(wrong)) {
    const gaps: number[] = [];
    await follow(t, { ...run, twins }, 6, (_step, own, wanted) => {
      const gap = Math.hypot(...own.moved.map((x, k) => x - wanted.moved[k]!));
      gaps.push(gap / Math.hypot(...wanted.moved));
    });
    assert(gaps.at(-1)! > 2e-2, `${name}: ${gaps.join(", ")}`);
  }
});

trainingTest("training: a layer without Kronecker form is refused, or trained by the fallback", async (t) => {
  const modules = [conv2d(2, 4, 2, { groups: 2 }), relu(), globalAveragePool(), dense(4, 3)];
  const loss = softmaxCrossEntropy();
  const make = () => t.engine.network(modules, loss, { batchSize: 16, seed: 2, input: [2, 4, 4] });
  const net = make();
  const before = managerOf(t).counts.liveBuffers;
  const both = /conv2d1.*2 groups.*"diagonal".*"gradient"/;
  assertThrows(() => new Kfac(managerOf(t), net), UnsupportedLayerError, both);
  assertThrows(() => new Kfac(managerOf(t), net, { curvature: "ekfac" }), UnsupportedLayerError, both);
  assertEqual(managerOf(t).counts.liveBuffers, before, "buffers");
  net.dispose();
  for (const fallback of ["diagonal", "gradient"] as const) {
    const own = make();
    const kfac = t.engine.kfac(own, { fallback, learningRate: 0.1, damping: 0.1, inverseEvery: 2 });
    const batch = randomBatch(t.random(3), 16, own.features, 3, loss);
    const { loss: first } = await kfac.step(batch);
    let last = first;
    for (let step = 0; step < 20; step++) {
      const record = await kfac.step(batch);
      assertEqual(record.status, "ok", `${fallback}: status`);
      last = record.loss;
    }
    assert(last < 0.9 * first, `${fallback}: loss ${first}, then ${last}`);
    const [line] = kfac.curvature.describe();
    assertEqual(line!.block, fallback, "block of the table");
    assertEqual(line!.why, "fallback: conv2d with 2 groups", "reason of the table");
    kfac.dispose();
    own.dispose();
  }
});

trainingTest("training: a batch that is not finite changes nothing of ekfac, and it goes on", async (t) => {
  const net = t.engine.network([dense(5, 6), tanh(), dense(6, 3)], softmaxCrossEntropy(), { batchSize: 20 });
  const kfac = t.engine.kfac(net, { curvature: "ekfac", inverseEvery: 2, learningRate: 0.1 });
  const random = t.random(4);
  const batch = () => randomBatch(random, 20, 5, 3, net.loss);
  // The sixth step is none of those that refresh.
  for (let step = 0; step < 5; step++) await kfac.step(batch());
  const [weights, state] = [await net.weights(), await kfac.state()];
  net.setWeights(weights.map((w) => w.map(() => 1e38)));
  const record = await kfac.step({ ...batch(), inputs: new Float32Array(100).fill(3e38) });
  assert(record.status !== "ok" && record.skippedLayers === 2, `${record.status}, ${record.skippedLayers}`);
  net.setWeights(weights);
  const after = await kfac.state();
  for (const name of ["ekfac.factors", "ekfac.spectrum", "velocity"]) {
    assertSame([after[name]!], [state[name]!], name);
  }
  for (let step = 0; step < 2; step++)
    assertEqual((await kfac.step(batch())).status, "ok", "status afterwards");
  kfac.dispose();
  net.dispose();
});

for (const curvature of ["ekfac", "diagonal", "batch:meanFluctuation"] as const) {
  trainingTest(`training: a run with ${curvature} that is put back goes on bit for bit`, async (t) => {
    const net = t.engine.network([dense(5, 6), tanh(), dense(6, 3)], softmaxCrossEntropy(), {
      batchSize: 20,
    });
    const options = { curvature, inverseEvery: 3, factorEvery: 2, learningRate: 0.05, damping: 0.05 };
    const kfac = t.engine.kfac(net, options);
    const random = t.random(5);
    const batches = Array.from({ length: 9 }, () => randomBatch(random, 20, 5, 3, net.loss));
    for (const batch of batches.slice(0, 5)) await kfac.step(batch);
    const [state, weights] = [await kfac.state(), await net.weights()];
    for (const batch of batches.slice(5)) await kfac.step(batch);
    const expected = await net.weights();
    const other = t.engine.kfac(net, options);
    net.setWeights(weights);
    other.restore(state);
    for (const batch of batches.slice(5)) await other.step(batch);
    assertSame(await net.weights(), expected, "weights");
    kfac.dispose();
    other.dispose();
    net.dispose();
  });
}

/** Of the caller's: U is the sum of all gradients so far, over λ. By the library's own operations. */
class GradientSum implements Block {
  readonly name = "sum";
  readonly means = {};
  damping: number;
  readonly #site: BlockSite;
  readonly #gradients: View[];

  constructor(site: BlockSite) {
    this.#site = site;
    this.damping = site.damping;
    this.#gradients = site.layers.map(({ in: inputs, out }) => {
      const stride = 4 * Math.ceil(inputs / 4);
      const buffer = site.manager.createStorage("sum", out * stride);
      return { buffer, offset: 0, rows: out, cols: inputs, stride };
    });
    site.states.reset(site.entries, { ready: true });
  }

  get tensors() {
    return Object.fromEntries(this.#gradients.map(({ buffer }, l) => [`${l}`, buffer]));
  }

  accumulate(): void {}

  refresh(): void {}

  precondition(recorder: Recorder, items: readonly BlockItem[]): void {
    const none = paddedView(recorder.scratch(4), 0, 1, 4);
    recorder.clear(none.buffer);
    for (const { layer, G, into } of items) {
      const kept = this.#gradients[layer]!;
      axpy(recorder, [{ alpha: 1, X: G, Y: kept }]);
      blend(recorder, [{ T: G, S: into, scale: 0 }], none.buffer);
      axpy(recorder, [{ alpha: 1 / this.damping, X: kept, Y: into }]);
    }
  }

  describe() {
    return this.#site.layers.map(({ name }) => ({ layer: name, estimate: "the sum of its gradients" }));
  }

  reset(): void {}

  dispose(): void {
    for (const { buffer } of this.#gradients) this.#site.manager.destroyBuffer(buffer);
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}

trainingTest(
  "training: a block of the caller's own trains a layer beside K-FAC's, and lies in checkpoints",
  async (t) => {
    const net = t.engine.network([dense(5, 6), tanh(), dense(6, 3)], softmaxCrossEntropy(), {
      batchSize: 30,
    });
    const factory: BlockFactory = (site) => new GradientSum(site);
    const curvature = (layer: CurvatureLayer) => (layer.out === 3 ? factory : ("ekfac" as const));
    const kfac = t.engine.kfac(net, {
      curvature,
      learningRate: 0.05,
      damping: 1,
      momentum: 0,
      inverseEvery: 2,
    });
    assert(kfac.curvature.blocks[0] instanceof EkfacBlock, "the first block");
    const batch = randomBatch(t.random(7), 30, 5, 3, net.loss);
    const [start] = [await net.weights()];
    const { loss: first } = await kfac.step(batch);
    let last = first;
    for (let step = 0; step < 10; step++) last = (await kfac.step(batch)).loss;
    assert(last < 0.95 * first, `loss ${first}, then ${last}`);
    const change = flat(await net.weights()).map((w, k) => w - flat(start!)[k]!);
    assert(
      change.slice(-21).some((x) => x !== 0),
      "the own block's layer does not move",
    );
    assert("sum.0" in (await kfac.state()), "the own block's tensor is not in the checkpoint");
    kfac.dispose();
    net.dispose();
  },
);
