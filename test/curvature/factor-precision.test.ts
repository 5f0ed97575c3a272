/** Kronecker factors made of numbers rounded to f16, beside those of f32, and K-FAC with them. */
import { Curvature } from "../../src/curvature/index.js";
import { createEngine } from "../../src/engine.js";
import { FeatureError } from "../../src/errors.js";
import type { Precision } from "../../src/linalg/index.js";
import {
  conv2d,
  dense,
  flatten,
  type Module,
  relu,
  softmaxCrossEntropy,
  tanh,
} from "../../src/network/index.js";
import { scale } from "../../src/reference/matrix.js";
import {
  assert,
  assertEqual,
  assertThrows,
  kernelTest,
  type TestContext,
  trainingTest,
} from "../harness/kernel-test.js";
import { pass, randomBatch } from "../network/helpers.js";
import { download } from "./helpers.js";
import { submit } from "./layers.js";
import { accumulate, dataOf, LAYERS, open } from "./preconditioner-helpers.js";

const LOSS = softmaxCrossEntropy();
// The first by patches, the second's positions in several ways, the others from rows that lie in memory.
const MODULES: Module[] = [
  conv2d(1, 5, 3, { stride: 2, padding: 1 }),
  tanh(),
  conv2d(5, 4, 2),
  relu(),
  flatten(),
  dense(4 * 2 * 2, 9),
  relu(),
  dense(9, 4),
];
const INPUT = [1, 5, 6] as const;

/** Each factor's numbers within two roundings of 11 bits of f32's, by Cauchy and Schwarz; says whether they differ at all. */
function close(half: Float32Array, whole: Float32Array, n: number, what: string): boolean {
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < n; j++) {
      const [a, b] = [half[i * n + j]!, whole[i * n + j]!];
      const size = Math.sqrt(whole[i * n + i]! * whole[j * n + j]!);
      assert(Math.abs(a - b) <= 1.01 * 2 ** -10 * size, `${what}: (${i}, ${j}) is ${a}, in f32 ${b}`);
    }
  }
  return half.some((x, e) => x !== whole[e]);
}

trainingTest("factor precision: factors of f16 are those of f32 but for two roundings", async (t) => {
  t.requires("shader-f16");
  const { engine } = t;
  const net = engine.network(MODULES, LOSS, { batchSize: 30, seed: 3, input: INPUT });
  const recorded = pass(net, engine.manager, randomBatch(t.random(1), 30, net.features, net.outputs, LOSS), {
    kind: "exact",
  });
  const updates = recorded.layers.map((statistics, layer) => ({ layer, statistics }));
  for (const blocks of ["kronecker", "reduce", "ekfac"] as const) {
    const [whole, half] = (["f32", "f16"] as const).map(
      (factorPrecision) => new Curvature(engine.manager, net.layers, { blocks, factorPrecision }),
    );
    submit(engine.manager, (recorder) => {
      for (const curvature of [whole!, half!]) curvature.accumulate(recorder, updates);
    });
    for (const [layer, { name }] of net.layers.entries()) {
      for (const side of ["A", "B"] as const) {
        const views = [half!, whole!].map((curvature) => curvature.factors(layer)![side]);
        const [own, exact] = await Promise.all(views.map((view) => download(t, view)));
        const differ = close(own!, exact!, views[0]!.rows, `${blocks}: ${side} of ${name}`);
        assert(differ, `${blocks}: ${side} of ${name} is the same as in f32`);
      }
    }
    whole!.dispose();
    half!.dispose();
  }
  net.dispose();
});

trainingTest(
  "factor precision: tiny derivatives count, and a batch that is not finite does not",
  async (t) => {
    t.requires("shader-f16");
    const random = t.random(2);
    const [layer] = LAYERS;
    const data = dataOf(random, layer!, 24);
    const tiny = { ...data, B: scale(data.B, 1e-12) };
    const spoilt = { ...data, A: { ...data.A, data: data.A.data.map((x, i) => (i === 7 ? Infinity : x)) } };
    const results = [];
    for (const factorPrecision of ["f32", "f16"] as const) {
      const p = open(t, { factorPrecision, damping: 0, emaDecay: 0.5 });
      accumulate(t, p, layer!.name, tiny);
      accumulate(t, p, layer!.name, spoilt);
      const { A, B } = p.curvature.factors(0)!;
      results.push({ A: await download(t, A), B: await download(t, B) });
      assertEqual((await p.status())[0]!.skipped, 1, "batches left out");
      p.dispose();
    }
    for (const [side, n] of [
      ["A", layer!.in],
      ["B", layer!.out],
    ] as const) {
      close(results[1]![side], results[0]![side], n, side);
      assert(results[1]![side][0]! > 0, `${side} is zero`);
    }
  },
);

trainingTest("factor precision: K-FAC trains as with f32, in micro-batches too", async (t) => {
  t.requires("shader-f16");
  const random = t.random(5);
  const batch = randomBatch(random, 30, 30, 4, LOSS);
  const half = (from: number) => ({
    inputs: batch.inputs.slice(from * 30, (from + 15) * 30),
    targets: batch.targets.slice(from, from + 15),
    count: 15,
  });
  const run = async (factorPrecision: Precision, parts: boolean) => {
    const net = t.engine.network(MODULES, LOSS, { batchSize: parts ? 15 : 30, seed: 3, input: INPUT });
    const optimizer = t.engine.kfac(net, { factorPrecision, inverseEvery: 2, fisher: "exact" });
    const losses = [];
    for (let step = 0; step < 6; step++) {
      losses.push((await optimizer.step(parts ? [half(0), half(15)] : batch)).loss);
    }
    optimizer.dispose();
    net.dispose();
    return losses;
  };
  for (const parts of [false, true]) {
    const [whole, losses] = [await run("f32", parts), await run("f16", parts)];
    const [first, last] = [losses[0]!, losses.at(-1)!];
    const what = `losses ${losses}, in f32 ${whole}`;
    assert(last < 0.5 * first, what);
    for (const [step, loss] of losses.entries()) assert(Math.abs(loss - whole[step]!) < 0.02 * first, what);
    assert(
      losses.some((loss, step) => loss !== whole[step]),
      "the same bits as in f32",
    );
  }
});

kernelTest("factor precision: refused where the device has no f16", async (t: TestContext) => {
  const engine = await createEngine({ device: await t.freshDevice({ plain: true }) });
  try {
    const net = engine.network([dense(3, 2)], LOSS, { batchSize: 4 });
    const message = /factorPrecision "f16" needs the device feature shader-f16, which this device has not/;
    const options = { factorPrecision: "f16" } as const;
    assertThrows(() => engine.kfac(net, options), FeatureError, message);
    assertThrows(() => engine.preconditioner(LAYERS, options), FeatureError, message);
  } finally {
    engine.dispose();
  }
});
