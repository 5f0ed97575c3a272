/** Kinds of layers from outside (examples/layers), written against the public names alone. */

import extending from "../../docs/extending.md?raw";
import { scaleShift, scaleShiftKind } from "../../examples/layers/scale-shift.js";
import { softplus, softplusKind } from "../../examples/layers/softplus.js";
import softplusText from "../../examples/layers/softplus.ts?raw";
import { UnsupportedLayerError } from "../../src/errors.js";
import {
  add,
  concat,
  conv2d,
  dense,
  flatten,
  type Graph,
  globalAveragePool,
  graph,
  halfSquaredError,
  leakyRelu,
  type Module,
  maxPool2d,
  Network,
  relu,
  softmaxCrossEntropy,
  tanh,
  tied,
} from "../../src/network/index.js";
import { Adam, Kfac, Newton, type Optimizer, Sgd } from "../../src/optimizers/index.js";
import type { PipelineManager } from "../../src/pipeline/index.js";
import { opErrors } from "../../src/reference/graph-difference.js";
import { matrix } from "../../src/reference/matrix.js";
import { tensor, type Value } from "../../src/reference/tensor.js";
import {
  assert,
  assertClose,
  assertEqual,
  assertThrows,
  type TestContext,
  trainingTest,
} from "../harness/kernel-test.js";
import { checkGraph, formsOf, randomGraphBatch } from "../network/graph-helpers.js";
import { openManager } from "../network/helpers.js";

const networks: Record<string, { description: Graph | readonly Module[]; input?: [number, number, number] }> =
  {
    "softplus between dense layers": {
      description: [dense(5, 6), softplus(), dense(6, 4), softplus(), dense(4, 3)],
    },
    "softplus first, last and in a row": {
      description: [softplus(), dense(5, 4), relu(), softplus(), tanh(), softplus(), dense(4, 3), softplus()],
    },
    "softplus on images": {
      description: [
        conv2d(2, 3, 2),
        softplus(),
        maxPool2d(2),
        softplus(),
        flatten(),
        softplus(),
        dense(12, 3),
      ],
      input: [2, 5, 6],
    },
    "softplus where values fork": {
      description: graph({
        inputs: { x: 4 },
        values: {
          h: [dense(4, 5), "x"],
          a: [softplus(), "h"],
          b: [[softplus(), dense(5, 5)], "a"],
          c: [[leakyRelu(0.3), softplus()], "a"],
          sum: [add(), "a", "b", "c", "h"],
          out: [[concat(), softplus(), dense(10, 3)], "sum", "c"],
        },
        output: "out",
      }),
    },
    "scale and shift between dense layers": {
      description: [
        dense(5, 6),
        scaleShift(),
        tanh(),
        dense(6, 4),
        scaleShift({ name: "last" }),
        softplus(),
        dense(4, 3),
      ],
    },
    "scale and shift first and last": { description: [dense(5, 4), tanh(), scaleShift()] },
    "scale and shift of channels": {
      description: [
        conv2d(2, 3, 2),
        scaleShift(),
        relu(),
        maxPool2d(2),
        scaleShift(),
        globalAveragePool(),
        dense(3, 3),
      ],
      input: [2, 5, 6],
    },
    "scale and shift at three places": {
      description: graph({
        inputs: { words: { length: 3, features: 4 }, x: 4 },
        values: {
          first: [[dense(4, 4), scaleShift({ name: "own" })], "x"],
          each: [[dense(4, 4), tanh(), tied("own")], "words"],
          means: [[softplus(), globalAveragePool(), tied("own")], "each"],
          out: [[add(), dense(4, 3)], "first", "means"],
        },
        output: "out",
      }),
    },
  };

for (const [index, [what, { description, input }]] of Object.entries(networks).entries()) {
  trainingTest(`own kinds: ${what}`, async (t) => {
    const manager = await openManager(t);
    const loss = index % 2 === 0 ? softmaxCrossEntropy() : halfSquaredError();
    const withInput = Array.isArray(description) && !input ? { input: 5 } : { input };
    await checkGraph(t, manager, { description, loss, what, differences: true, ...withInput });
    manager.dispose();
  });
}

trainingTest("own kinds: their twins against differences", (t) => {
  const random = t.random(1);
  const values: Value[] = [
    matrix(4, 3, Float64Array.from(random.normals(12))),
    tensor([2, 3, 2, 4], Float64Array.from(random.normals(48))),
  ];
  for (const input of values) {
    const weights = matrix(3, 2, Float64Array.from(random.normals(6)));
    const errors = [
      opErrors(softplusKind.twin(softplus(), []), [input]),
      opErrors(scaleShiftKind.twin(scaleShift(), []), [input], weights),
    ];
    for (const { inputs, gradient, columns, forward, tangent } of errors) {
      for (const error of [...inputs, gradient, columns, forward, tangent!])
        assert(error < 1e-7, `error ${error}`);
    }
  }
});

async function falls(
  t: TestContext,
  manager: PipelineManager,
  net: Network,
  description: readonly Module[],
  optimizer: Optimizer,
  what: string,
): Promise<void> {
  const batch = randomGraphBatch(t.random(3), formsOf(description), 12, net);
  const losses: number[] = [];
  for (let step = 0; step < 30; step++) {
    const record = await optimizer.step(batch);
    assertEqual(record.status, "ok", `${what}: status`);
    losses.push(record.loss);
  }
  assert(losses.at(-1)! < 0.8 * losses[0]!, `${what}: from ${losses[0]} to ${losses.at(-1)}`);
  optimizer.dispose();
  net.dispose();
  assert(manager.counts.liveBuffers >= 0, "the manager lives");
}

trainingTest("own kinds: softplus trains under every optimiser", async (t) => {
  const manager = await openManager(t);
  const description = [dense(6, 8), softplus(), dense(8, 3)];
  const make: Record<string, (net: Network) => Optimizer> = {
    sgd: (net) => new Sgd(manager, net, { learningRate: 0.1 }),
    adam: (net) => new Adam(manager, net, { learningRate: 0.02 }),
    kfac: (net) => new Kfac(manager, net, { learningRate: 0.05, klClip: 0.01 }),
    newton: (net) => new Newton(manager, net, { learningRate: 0.3, damping: 0.1, maxIterations: 4 }),
  };
  for (const [name, of] of Object.entries(make)) {
    const net = new Network(manager, description, softmaxCrossEntropy(), { batchSize: 12, seed: 2 });
    await falls(t, manager, net, description, of(net), name);
  }
  manager.dispose();
});

trainingTest(
  "own kinds: K-FAC takes weights without Kronecker form with a fallback, and says so without",
  async (t) => {
    const manager = await openManager(t);
    const description = [dense(6, 8), scaleShift({ name: "gains" }), tanh(), dense(8, 3)];
    const network = () =>
      new Network(manager, description, softmaxCrossEntropy(), { batchSize: 12, seed: 2 });
    const refused = network();
    assertThrows(() => new Kfac(manager, refused), UnsupportedLayerError, /gains \(scaleShift.*fallback/);
    refused.dispose();
    for (const fallback of ["diagonal", "gradient"] as const) {
      const net = network();
      const kfac = new Kfac(manager, net, { learningRate: 0.05, klClip: 0.01, fallback });
      await falls(t, manager, net, description, kfac, fallback);
    }
    const [before, after] = [network(), network()];
    await falls(t, manager, before, description, new Sgd(manager, before, { learningRate: 0.1 }), "sgd");
    await falls(t, manager, after, description, new Adam(manager, after, { learningRate: 0.02 }), "adam");
    manager.dispose();
  },
);

trainingTest("own kinds: weights go out and in, and the tables name them", async (t) => {
  const manager = await openManager(t);
  const net = new Network(manager, [dense(3, 4), scaleShift(), softplus()], softmaxCrossEntropy());
  assertEqual(
    JSON.stringify(net.describe().map((line) => Object.values(line))),
    '[["dense1","dense",3,4,16],["scaleShift1","scaleShift",4,4,8],["softplus1","softplus",4,4,0]]',
    "describe()",
  );
  const own = (await net.weights()).map((w) => t.random(1).normals(w.length));
  net.setWeights(own);
  assertClose((await net.weights())[1]!, own[1]!, 0, "weights");
  const table = t.engine.describe();
  assert(/softplus: nothing to train/.test(table.replace(/layer +(.*, )?/g, "")), table);
  assert(table.includes(`scaleShift: ${scaleShiftKind.treatment}`), table);
  manager.dispose();
});

trainingTest("own kinds: the documentation's example is this one", () => {
  assert(
    extending.includes(`\`\`\`ts\n${softplusText}\`\`\``),
    "docs/extending.md holds examples/layers/softplus.ts",
  );
});
