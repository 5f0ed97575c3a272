/** What the size of the image does to a step: nothing, where the factors' rule fits what follows the convolution. */
import {
  conv2d,
  globalAveragePool,
  halfSquaredError,
  type InputShape,
  relu,
} from "../../src/network/index.js";
import { assert, assertClose, type Random, type TestContext, trainingTest } from "../harness/kernel-test.js";

const COUNT = 7;
const CHANNELS = 2;

/** The same images twice as wide, every pixel doubled: twice the positions, the same mean over them. */
function widened(inputs: Float32Array, height: number, width: number): Float32Array {
  const wide = new Float32Array(2 * inputs.length);
  for (let row = 0; row < COUNT * CHANNELS * height; row++) {
    for (let x = 0; x < 2 * width; x++) wide[row * 2 * width + x] = inputs[row * width + (x >> 1)]!;
  }
  return wide;
}

async function weightsAfterStep(
  t: TestContext,
  positions: "expand" | "reduce",
  input: InputShape,
  inputs: Float32Array,
  targets: Float32Array,
): Promise<{ before: Float32Array; change: Float32Array }> {
  const modules = [conv2d(CHANNELS, 3, 1, { positions }), relu(), globalAveragePool()];
  const net = t.engine.network(modules, halfSquaredError(), { input, batchSize: COUNT, seed: 2 });
  const kfac = t.engine.kfac(net, { fisher: "exact", damping: 0.05, learningRate: 0.5, momentum: 0 });
  const before = (await net.weights())[0]!;
  await kfac.step({ inputs, targets, count: COUNT });
  const after = (await net.weights())[0]!;
  kfac.dispose();
  net.dispose();
  return { before, change: after.map((w, e) => w - before[e]!) };
}

function data(random: Random) {
  return { inputs: random.normals(COUNT * CHANNELS * 3 * 4), targets: random.normals(COUNT * 3) };
}

async function changes(t: TestContext, positions: "expand" | "reduce") {
  const { inputs, targets } = data(t.random(11));
  const small = await weightsAfterStep(t, positions, [CHANNELS, 3, 4], inputs, targets);
  const large = await weightsAfterStep(t, positions, [CHANNELS, 3, 8], widened(inputs, 3, 4), targets);
  assertClose(large.before, small.before, 0, "the same weights");
  return { small: small.change, large: large.change };
}

trainingTest(
  "image size: reduce before a global pool takes the same step at twice the positions",
  async (t) => {
    const { small, large } = await changes(t, "reduce");
    assert(
      small.some((value) => Math.abs(value) > 1e-3),
      "the step is a step",
    );
    assertClose(large, small, 2e-5, "the change of the weights");
  },
);

trainingTest(
  "image size: expand before a global pool does not, its B̄ shrinks with the positions",
  async (t) => {
    const { small, large } = await changes(t, "expand");
    const size = Math.hypot(...small);
    const gap = Math.hypot(...large.map((value, e) => value - small[e]!));
    assert(gap > 0.05 * size, `the steps differ by ${gap / size} of their size`);
  },
);
