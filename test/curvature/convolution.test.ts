/** The exact curvature and its approximations on convolutions of a network, where positions share their weights. */

import { compareCurvature } from "../../src/curvature/approximations/compare.js";
import { APPROXIMATIONS, createApproximation } from "../../src/curvature/approximations/kinds.js";
import { GgnBlock } from "../../src/curvature/exact/ggn.js";
import { denseHessian as denseMatrix } from "../../src/curvature/exact/operator.js";
import { ArgumentError, UnsupportedLayerError } from "../../src/errors.js";
import type { Curved, Pass } from "../../src/model/index.js";
import {
  averagePool2d,
  conv2d,
  dense,
  flatten,
  globalAveragePool,
  halfSquaredError,
  type Module,
  Network,
  softmaxCrossEntropy,
  tanh,
} from "../../src/network/index.js";
import { Newton } from "../../src/optimizers/directions/newton.js";
import {
  ekfac,
  expandFactors,
  kfocFactors,
  kroneckerApproximation,
  reduceFactors,
} from "../../src/reference/approximations.js";
import {
  convCurvature,
  convForward,
  convWeightsOf,
  withConvWeights,
} from "../../src/reference/conv-network.js";
import { finiteDifferenceGgn } from "../../src/reference/finite-difference.js";
import { lossHessian } from "../../src/reference/loss.js";
import type { Matrix } from "../../src/reference/matrix.js";
import { meanFluctuation } from "../../src/reference/mean-fluctuation.js";
import { denseHessian, type PositionBlock, positionOperator } from "../../src/reference/operator.js";
import {
  assert,
  assertClose,
  assertEqual,
  assertThrows,
  type TestContext,
  trainingTest,
} from "../harness/kernel-test.js";
import { managerOf } from "../linalg/helpers.js";
import { convTwin, images, type Shape } from "../network/conv-helpers.js";
import { pass, randomBatch } from "../network/helpers.js";
import { submit } from "./layers.js";

const EXACT = { kind: "exact" } as const;
const SHAPE: Shape = [2, 6, 5];

interface Case {
  net: Network;
  pass: Pass;
  blocks: PositionBlock[][];
  /** H of layer l by finite differences. */
  differences(l: number): Matrix;
}

async function recorded(
  t: TestContext,
  modules: Module[],
  loss: ReturnType<typeof softmaxCrossEntropy>,
  count: number,
): Promise<Case> {
  const net = new Network(managerOf(t), modules, loss, { batchSize: count, seed: 3, input: SHAPE });
  const batch = randomBatch(t.random(5), count, net.features, net.outputs, loss);
  const recordedPass = pass(net, managerOf(t), batch, EXACT);
  const reference = await convTwin(net, modules);
  const X = images(batch, SHAPE);
  return {
    net,
    pass: recordedPass,
    blocks: convCurvature(reference, loss.kind, X, EXACT),
    differences(l) {
      const weights = convWeightsOf(reference);
      const f = (W: Matrix) => {
        const changed = weights.map((own, k) => (k === l ? W : own));
        return convForward(withConvWeights(reference, changed), X).outputs;
      };
      const Z = f(weights[l]!);
      const hessians = Array.from({ length: Z.rows }, (_, i) => lossHessian(loss.kind, Z, i));
      return finiteDifferenceGgn(f, weights[l]!, hessians);
    },
  };
}

async function hessianOf(t: TestContext, layer: Curved): Promise<Float32Array> {
  const block = new GgnBlock(managerOf(t), layer);
  const { data } = await denseMatrix(managerOf(t), block.over(layer));
  block.dispose();
  return data;
}

const networks: [string, Module[], ReturnType<typeof softmaxCrossEntropy>][] = [
  [
    "two convolutions and a dense layer",
    [
      conv2d(2, 3, 3, { padding: 1 }),
      tanh(),
      averagePool2d(2),
      conv2d(3, 4, [1, 2], { bias: false }),
      tanh(),
      flatten(),
      dense(12, 3),
    ],
    softmaxCrossEntropy(),
  ],
  [
    "strides, dilation and a global average pool",
    [conv2d(2, 5, 2, { stride: 2, padding: 1, dilation: 2 }), tanh(), conv2d(5, 2, 2), globalAveragePool()],
    halfSquaredError(),
  ],
  [
    "two groups",
    [conv2d(2, 4, 3, { groups: 2, padding: 1 }), tanh(), conv2d(4, 2, 3), globalAveragePool()],
    halfSquaredError(),
  ],
];

for (const [name, modules, loss] of networks) {
  trainingTest(`convolution: exact curvature, ${name}, against f64 and finite differences`, async (t) => {
    const own = await recorded(t, modules, loss, 5);
    const { net, blocks, differences } = own;
    for (const [l, layer] of own.pass.layers.entries()) {
      const H = await hessianOf(t, layer);
      assertClose(H, denseHessian(positionOperator(blocks[l]!)).data, 1e-5, `H of ${layer.name}`);
      assertClose(H, differences(l).data, 1e-4, `H of ${layer.name} by differences`);
    }
    net.dispose();
  });
}

trainingTest("convolution: every approximation of every layer against f64", async (t) => {
  const [, modules, loss] = networks[0]!;
  const own = await recorded(t, modules, loss, 6);
  const { net, blocks } = own;
  for (const [l, layer] of own.pass.layers.entries()) {
    const [block] = blocks[l]!;
    const expand = kroneckerApproximation("expand", expandFactors(block!));
    const twins = {
      expand,
      expandFactored: expand,
      reduce: kroneckerApproximation("reduce", reduceFactors(block!)),
      ekfac: ekfac(block!, expandFactors(block!)),
      kfoc: kroneckerApproximation("kfoc", kfocFactors(block!)),
      meanFluctuation: meanFluctuation(block!),
    };
    for (const kind of APPROXIMATIONS) {
      if (kind === "diagonal") continue;
      const approximation = createApproximation(managerOf(t), layer, kind);
      submit(managerOf(t), (recorder) => approximation.fit(recorder, layer));
      const { data } = await denseMatrix(managerOf(t), approximation);
      const bound = kind === "kfoc" ? 5e-3 : 1e-4;
      assertClose(data, twins[kind].dense().data, bound, `${kind} of ${layer.name}`);
      approximation.dispose();
    }
  }
  net.dispose();
});

trainingTest(
  "convolution: several groups have a diagonal, and the other approximations refuse them",
  async (t) => {
    const [, modules, loss] = networks[2]!;
    const own = await recorded(t, modules, loss, 4);
    const { net } = own;
    const layer = own.pass.layers[0]!;
    const diagonal = createApproximation(managerOf(t), layer, "diagonal");
    submit(managerOf(t), (inner) => diagonal.fit(inner, layer));
    const { data } = await denseMatrix(managerOf(t), diagonal);
    const H = denseHessian(positionOperator(own.blocks[0]!));
    const expected = H.data.map((value, k) => (k % (H.cols + 1) === 0 ? value : 0));
    assertClose(data, expected, 1e-5, "diagonal");
    diagonal.dispose();
    const recorder = managerOf(t).record();
    for (const kind of APPROXIMATIONS.filter((one) => one !== "diagonal")) {
      const approximation = createApproximation(managerOf(t), layer, kind);
      assertThrows(() => approximation.fit(recorder, layer), UnsupportedLayerError, /group/);
      approximation.dispose();
    }
    assertEqual(recorder.dispatches, 0, "dispatches");
    recorder.submit();
    net.dispose();
  },
);

trainingTest(
  "convolution: approximations and comparisons refuse a pass without columns and an old one",
  async (t) => {
    const [, modules, loss] = networks[0]!;
    const { net, pass: old } = await recorded(t, modules, loss, 4);
    const batch = randomBatch(t.random(6), 4, net.features, net.outputs, loss);
    const bare = pass(net, managerOf(t), batch);
    for (const [l, layer] of net.layers.entries()) {
      for (const kind of APPROXIMATIONS) {
        const approximation = createApproximation(managerOf(t), layer, kind);
        const recorder = managerOf(t).record();
        const fitTo = ({ layers }: Pass) => approximation.fit(recorder, layers[l]!);
        assertThrows(() => fitTo(old), ArgumentError, /is over/);
        assertThrows(() => fitTo(bare), ArgumentError, /has no columns/);
        assertEqual(recorder.dispatches, 0, `${kind} of ${layer.name}: dispatches`);
        recorder.submit();
        approximation.dispose();
      }
      const compare = ({ layers }: Pass) =>
        compareCurvature(managerOf(t), layers[l]!, { damping: 1, G: layer.G });
      await assertThrows(() => compare(old), ArgumentError, /is over/);
      await assertThrows(() => compare(bare), ArgumentError, /has no columns/);
    }
    net.dispose();
  },
);

trainingTest("convolution: a linear network behind a global pool is reduce's, not expand's", async (t) => {
  const linear: Module[] = [conv2d(2, 3, 2), globalAveragePool()];
  const own = await recorded(t, linear, halfSquaredError(), 8);
  const measures = async ({ net, pass: { layers } }: Case) => {
    const options = { damping: 0.01, G: net.layers[0]!.G };
    const { approximations } = await compareCurvature(managerOf(t), layers[0]!, options);
    return Object.fromEntries(approximations.map((one) => [one.name, one]));
  };
  const right = await measures(own);
  assert(right.reduce!.error! < 1e-5 && right.kfoc!.error! < 1e-4, JSON.stringify(right.reduce));
  assert(right.meanFluctuation!.error! < 1e-5, JSON.stringify(right.meanFluctuation));
  assert(right.expand!.error! > 0.3 && right.expand!.size! < 0.5, JSON.stringify(right.expand));
  own.net.dispose();
  const bent: Module[] = [conv2d(2, 3, 2), tanh(), globalAveragePool()];
  const other = await recorded(t, bent, halfSquaredError(), 8);
  const wrong = await measures(other);
  assert(wrong.reduce!.error! > 0.01, JSON.stringify(wrong.reduce));
  other.net.dispose();
});

trainingTest("convolution: Newton's method trains a convolutional network", async (t) => {
  const [, modules, loss] = networks[0]!;
  const net = new Network(managerOf(t), modules, loss, { batchSize: 30, seed: 3, input: SHAPE });
  const newton = new Newton(managerOf(t), net, { damping: 0.05, maxIterations: 12, learningRate: 0.7 });
  const batch = randomBatch(t.random(5), 30, net.features, 3, loss);
  const { loss: first } = await newton.step(batch);
  let last = first;
  for (let k = 0; k < 4; k++) {
    const record = await newton.step(batch);
    assertEqual(record.status, "ok", "status");
    last = record.loss;
  }
  assert(last < 0.6 * first, `loss ${first}, then ${last}`);
  newton.dispose();
  net.dispose();
});
