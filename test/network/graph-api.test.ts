/** Graphs as a user meets them: names, weights, batches of several inputs, errors, memory. */
import { ArgumentError, DataError, ShapeError, UnsupportedLayerError } from "../../src/errors.js";
import type { AnyBatch, BatchInputs } from "../../src/model/index.js";
import {
  add,
  concat,
  conv2d,
  dense,
  flatten,
  type Graph,
  globalAveragePool,
  graph,
  maxPool2d,
  Network,
  type NetworkOptions,
  oneHot,
  relu,
  softmaxCrossEntropy,
  tanh,
  tied,
} from "../../src/network/index.js";
import { Kfac } from "../../src/optimizers/index.js";
import { assert, assertClose, assertEqual, assertThrows, trainingTest } from "../harness/kernel-test.js";
import { formsOf, randomGraphBatch } from "./graph-helpers.js";
import { graphs } from "./graphs.js";
import { assertOver, download, openManager, pass, randomBatch } from "./helpers.js";

const several = graphs["an embedding of words and of a label"]!;

trainingTest("graph: its table, names and weights", async (t) => {
  const manager = await openManager(t);
  const description = graph({
    inputs: { x: 5, y: 5 },
    values: {
      // Listed before what they read: the order is that of the passes.
      out: [dense(7, 3), "all"],
      all: [concat(), "b", "c"],
      a: [[relu(), dense(5, 4), tanh()], "x"],
      b: [[dense(4, 6, { name: "inner" }), relu(), dense(6, 3)], "a"],
      c: [tied("a"), "y"],
    },
    output: "out",
  });
  const net = new Network(manager, description, softmaxCrossEntropy());
  assertEqual(
    net
      .describe()
      .map((line) => Object.values(line).join(" "))
      .join(", "),
    [
      "a.relu1 relu 5 5 0, a dense 5 4 24, a.tanh1 tanh 4 4 0, inner dense 4 6 30, b.relu1 relu 6 6 0",
      "b.dense2 dense 6 3 21, c dense 5 4 0 a, all concat 7 7 0, out dense 7 3 24",
    ].join(", "),
    "describe()",
  );
  assertEqual(net.layers.map(({ name }) => name).join(), "a,inner,b.dense2,out", "layers");
  assertEqual(net.features, 10, "features");
  const random = t.random(1);
  const own = (await net.weights()).map((w) => random.normals(w.length));
  assertEqual(own.map((w) => w.length).join(), "24,30,21,24", "lengths");
  net.setWeights(own);
  const read = await net.weights();
  for (const [l, w] of own.entries()) assertEqual(read[l]!.join(), w.join(), `layer ${l}`);
  manager.dispose();
});

trainingTest("graph: a list of modules and the graph it stands for are one network", async (t) => {
  const manager = await openManager(t);
  const cases: [Network, Network][] = [
    [
      new Network(manager, [dense(6, 9), relu(), tanh(), dense(9, 4)], softmaxCrossEntropy()),
      new Network(
        manager,
        graph({
          inputs: { x: 6 },
          values: { a: [dense(6, 9), "x"], b: [relu(), "a"], c: [tanh(), "b"], d: [dense(9, 4), "c"] },
          output: "d",
        }),
        softmaxCrossEntropy(),
      ),
    ],
    [
      new Network(
        manager,
        [conv2d(1, 3, 2), relu(), maxPool2d(2), flatten(), dense(12, 4)],
        softmaxCrossEntropy(),
        {
          input: [1, 5, 6],
        },
      ),
      new Network(
        manager,
        graph({
          inputs: { x: [1, 5, 6] },
          values: { a: [[conv2d(1, 3, 2), relu(), maxPool2d(2), flatten(), dense(12, 4)], "x"] },
          output: "a",
        }),
        softmaxCrossEntropy(),
      ),
    ],
  ];
  for (const [chain, same] of cases) {
    const batch = randomBatch(t.random(1), 7, chain.features, 4, chain.loss);
    same.setWeights(await chain.weights());
    const [one, other] = [
      pass(chain, manager, batch, { kind: "exact" }),
      pass(same, manager, batch, { kind: "exact" }),
    ];
    assertEqual(other.dispatches, one.dispatches, "dispatches");
    for (const [l, layer] of chain.layers.entries()) {
      const words = await Promise.all([layer.G, same.layers[l]!.G].map((G) => download(t, G)));
      assertEqual(words[1]!.join(), words[0]!.join(), `G of layer ${l}`);
    }
  }
  manager.dispose();
});

trainingTest("graph: batches of several inputs", async (t) => {
  const manager = await openManager(t);
  const net = new Network(manager, several, softmaxCrossEntropy(), { batchSize: 4 });
  const count = 4;
  const good = randomGraphBatch(t.random(1), formsOf(several), count, net) as AnyBatch & {
    inputs: Record<string, Float32Array | Uint32Array>;
  };
  const { words, label, size } = good.inputs as {
    words: Uint32Array;
    label: Uint32Array;
    size: Float32Array;
  };
  const at = <T extends Float32Array | Uint32Array>(array: T, index: number, value: number) => {
    const own = array.slice() as T;
    own[index] = value;
    return own;
  };
  const cases: [unknown, new (...args: never[]) => Error, RegExp][] = [
    [
      size,
      ArgumentError,
      /inputs must be arrays by name, \{ words, label, size \}, since there are 3 inputs, got one array/,
    ],
    [undefined, ArgumentError, /arrays by name, .*, got undefined/],
    [{ words, label }, ArgumentError, /inputs must hold an array for size/],
    [{ ...good.inputs, other: size }, ArgumentError, /got other too/],
    [{ words, label, size: words }, ArgumentError, /inputs.size must be a Float32Array, got Uint32Array/],
    [{ words: size, label, size }, ArgumentError, /inputs.words must be a Uint32Array, got Float32Array/],
    [{ words: words.subarray(1), label, size }, ShapeError, /inputs.words.*\[19\].*\[20\]/],
    [{ words, label, size: size.subarray(1) }, ShapeError, /inputs.size/],
    [
      { words: at(words, 11, 7), label, size },
      DataError,
      /inputs.words: hold index 7 in example 2, position 1; pass indices from 0 to 6/,
    ],
    [{ words, label: at(label, 3, 4), size }, DataError, /inputs.label: hold index 4 in example 3/],
    [
      { words, label, size: at(size, 5, Number.NaN) },
      DataError,
      /inputs.size: hold NaN in example 2, position 1/,
    ],
  ];
  pass(net, manager, good);
  for (const [inputs, error, pattern] of cases) {
    assertThrows(() => net.load({ ...good, inputs: inputs as BatchInputs }), error, pattern);
    await assertThrows(() => net.predict(inputs as BatchInputs, count), error, pattern);
  }
  const recorder = manager.record();
  net.recordPass(recorder);
  recorder.submit();
  const all = randomGraphBatch(t.random(2), formsOf(several), 11, net) as typeof good;
  const whole = await net.evaluate(all);
  const widths: Record<string, number> = { words: 5, label: 1, size: 2 };
  const supplied = await net.evaluate(
    (start, end) => ({
      inputs: Object.fromEntries(
        Object.entries(all.inputs).map(([name, array]) => {
          return [name, array.slice(start * widths[name]!, end * widths[name]!)];
        }),
      ),
      targets: all.targets.slice(start, end),
      count: end - start,
    }),
    { total: 11 },
  );
  assertEqual(supplied.loss, whole.loss, "loss by chunks");
  await assertThrows(() => net.evaluate({ ...all, count: 10 }), ShapeError, /inputs.words/);
  await assertThrows(
    () => net.evaluate({ ...all, inputs: { words } }),
    ArgumentError,
    /must hold an array for label/,
  );
  manager.dispose();
});

trainingTest("graph: chains of sequences, of indices, and of a stated number of features", async (t) => {
  const manager = await openManager(t);
  const cases: [readonly Parameters<typeof build>[0][number][], NetworkOptions["input"], number][] = [
    [[dense(3, 4), tanh(), flatten(), dense(20, 2)], { length: 5, features: 3 }, 15],
    [
      [oneHot(), dense(6, 4, { bias: false }), globalAveragePool(), dense(4, 2)],
      { indices: 6, length: 3 },
      3,
    ],
    [[oneHot(), dense(6, 2)], { indices: 6 }, 1],
    [[tanh(), dense(3, 2)], 3, 3],
  ];
  function build(
    list: ConstructorParameters<typeof Network>[1] & readonly unknown[],
    input: NetworkOptions["input"],
  ) {
    return new Network(manager, list, softmaxCrossEntropy(), { batchSize: 5, input });
  }
  for (const [list, input, features] of cases) {
    const net = build(list as never, input);
    assertEqual(net.features, features, "features");
    const batch = randomGraphBatch(t.random(1), { input: input! }, 5, net);
    pass(net, manager, batch, { kind: "monteCarlo" });
    const { loss } = await net.evaluate(batch);
    const [mean] = await t.download(net.statistics, { length: 1 });
    assertClose([mean!], [loss], 1e-6, "loss");
  }
  manager.dispose();
});

const small = graphs["a residual network of vectors"]!;
type Case = [change: Partial<Graph>, error: new (...args: never[]) => Error, pattern: RegExp];
const values = (more: Graph["values"]): Partial<Graph> => ({ values: { ...small.values, ...more } });
const refused: Record<string, Case> = {
  "a circle": [
    values({ first: [[add(), dense(6, 6)], "x", "sum"] }),
    ArgumentError,
    /circles.*first ← sum ← branch ← first|circles.*first/,
  ],
  "a value that reads itself": [
    values({ first: [[add(), dense(6, 6)], "x", "first"] }),
    ArgumentError,
    /circles, and first ← first/,
  ],
  "an unknown name": [values({ first: [dense(6, 6), "y"] }), ArgumentError, /values.first reads "y"/],
  "a value that nothing reads": [
    values({ idle: [dense(6, 6), "sum"] }),
    ArgumentError,
    /values.idle must lead to the output "out"/,
  ],
  "an input that nothing reads": [{ inputs: { x: 6, y: 3 } }, ArgumentError, /inputs.y must lead/],
  "an unknown output": [{ output: "end" }, ArgumentError, /output.*"end"/],
  "two outputs": [{ output: ["out", "sum"] as never }, ArgumentError, /output must be the name of one value/],
  "no values": [{ values: {} }, ArgumentError, /values must be a record/],
  "no inputs": [{ inputs: {} }, ArgumentError, /inputs must be a record/],
  "an input that is no form": [
    { inputs: { x: [6, 1] as never } },
    ArgumentError,
    /inputs.x must be a number of features/,
  ],
  "a size that is none": [{ inputs: { x: { length: 0, features: 6 } } }, ArgumentError, /inputs.x.length/],
  "an entry without inputs": [
    values({ first: [dense(6, 6)] as never }),
    ArgumentError,
    /values.first must be \[module/,
  ],
  "an entry without a module": [
    values({ first: ["x"] as never }),
    ArgumentError,
    /values.first must be \[module/,
  ],
  "an empty chain": [values({ first: [[], "x"] }), ArgumentError, /values.first must be \[module/],
  "an unknown kind": [
    values({ first: [{ kind: "attention" }, "x"] }),
    UnsupportedLayerError,
    /first.*attention.*registerLayer/,
  ],
  "a layer of one input with two": [
    values({ first: [dense(6, 6), "x", "x"] }),
    ArgumentError,
    /inputs of first must be one.*x, x/,
  ],
  "a sum of one": [
    values({
      all: [add(), "sum"],
      second: [dense(6, 6), "sum"],
      out: [[add(), dense(6, 4)], "all", "second"],
    }),
    ArgumentError,
    /inputs of all must be two or more/,
  ],
  "sums of unequal forms": [
    values({ second: [dense(6, 5), "sum"] }),
    ShapeError,
    /an input of all has shape \[5\], expected \[6\]/,
  ],
  "sizes that do not meet": [values({ second: [dense(5, 6), "sum"] }), ShapeError, /weights of second/],
  "one name twice": [
    values({ second: [dense(6, 6, { name: "first" }), "sum"] }),
    ArgumentError,
    /first twice/,
  ],
  "an input's name twice": [
    values({ second: [dense(6, 6, { name: "x" }), "sum"] }),
    ArgumentError,
    /x twice/,
  ],
  "an output that is an image": [
    { inputs: { x: [1, 4, 4] }, values: { out: [conv2d(1, 2, 3), "x"] } },
    ShapeError,
    /the output \(out\)/,
  ],
  "images of unequal sizes side by side": [
    {
      inputs: { x: [1, 4, 4] },
      values: { a: [conv2d(1, 2, 3), "x"], out: [[concat(), flatten()], "x", "a"] },
    },
    ShapeError,
    /an input of out.concat1 has shape \[2 × 2 × 2\], expected \[any × 4 × 4\]/,
  ],
  "an image beside a vector": [
    { inputs: { x: [1, 4, 4], y: 3 }, values: { out: [[concat(), flatten(), dense(9, 2)], "x", "y"] } },
    ShapeError,
    /an input of out.concat1/,
  ],
  "indices where numbers belong": [
    { inputs: { x: { indices: 6 } }, values: { out: [dense(6, 2), "x"] } },
    ShapeError,
    /the input of out.*oneHot/,
  ],
  "indices in a sum": [
    { inputs: { x: { indices: 6 } }, values: { out: [[add(), dense(6, 2)], "x", "x"] } },
    ShapeError,
    /the input of out.add1.*oneHot/,
  ],
  "numbers where indices belong": [
    { values: { out: [[oneHot(), dense(6, 2)], "x"] } },
    ShapeError,
    /out.oneHot1.*indices/,
  ],
  "a sequence in a convolution": [
    { inputs: { x: { length: 4, features: 2 } }, values: { out: [[conv2d(2, 3, 1), flatten()], "x"] } },
    ShapeError,
    /the input of out.*images and nothing else/,
  ],
  "a tie to nothing": [
    values({ second: [tied("third"), "sum"] }),
    ArgumentError,
    /tied layer of second.*"third"/,
  ],
  "a tie to a layer without weights": [
    values({ second: [tied("sum"), "sum"] }),
    ArgumentError,
    /tied layer of second.*sum \(add\) has none/,
  ],
  "a tie to a layer that is applied later": [
    values({ first: [tied("second"), "x"] }),
    ArgumentError,
    /circles/,
  ],
  "a tie that does not fit": [
    values({ second: [tied("out"), "sum"], out: [dense(6, 4), "all"] }),
    ArgumentError,
    /circles/,
  ],
  "nothing to train": [
    { values: { out: [tanh(), "x"] } },
    ArgumentError,
    /values must hold at least one dense/,
  ],
};

trainingTest("graph: what does not fit together is refused, and no memory is kept", async (t) => {
  const manager = await openManager(t);
  const { liveBytes } = manager.counts;
  for (const [what, [change, error, pattern]] of Object.entries(refused)) {
    const description = { ...small, ...change };
    try {
      assertThrows(() => new Network(manager, description, softmaxCrossEntropy()), error, pattern);
    } catch (failure) {
      throw new Error(what, { cause: failure });
    }
  }
  const input = { input: 6 };
  assertThrows(
    () => new Network(manager, small, softmaxCrossEntropy(), input),
    ArgumentError,
    /input is for lists/,
  );
  assertThrows(() => new Network(manager, null as never, softmaxCrossEntropy()), ArgumentError, /inputs/);
  assertThrows(() => tied(""), ArgumentError, /layer/);
  assertThrows(() => dense(2, 2, { positions: "mean" as never }), ArgumentError, /positions/);
  assertThrows(
    () => new Network(manager, [dense(2, 2), tied("dense2"), dense(2, 2)], softmaxCrossEntropy()),
    ArgumentError,
    /tied layer of tied1.*before tied1, got "dense2"/,
  );
  assertEqual(manager.counts.liveBytes, liveBytes, "bytes kept");
  manager.dispose();
});

trainingTest("graph: a layer at several places answers for its own pass only", async (t) => {
  const manager = await openManager(t);
  const description = graphs["a dense layer at three places, one after a fork"]!;
  const net = new Network(manager, description, softmaxCrossEntropy(), { batchSize: 4 });
  const batch = randomGraphBatch(t.random(1), formsOf(description), 4, net);
  const first = pass(net, manager, batch, { kind: "exact" });
  assertEqual(
    first.layers.map(({ name, positions }) => `${name} ${positions}`).join(),
    "left 3,mixed 1,out 1",
    "positions",
  );
  net.load(batch);
  assertOver(t, manager, first, "after another batch");
  const second = pass(net, manager, batch);
  assertThrows(() => second.layers[0]!.outputs(), ArgumentError, /left.outputs.*has no columns/);
  manager.dispose();
});

trainingTest("graph: a step after warm-up makes nothing new, and dispose() frees everything", async (t) => {
  const manager = await openManager(t);
  const empty = manager.counts;
  for (const name of [
    "residual blocks of images",
    "a convolution at two places of different sizes",
    "a sequence",
  ]) {
    const description = graphs[name]!;
    const net = new Network(manager, description, softmaxCrossEntropy(), {
      batchSize: 6,
      fisher: { kind: "monteCarlo" },
    });
    const live = manager.counts.pipelines;
    await manager.prepare(net.kernels);
    const { pipelines } = manager.counts;
    const batch = () => randomGraphBatch(t.random(1), formsOf(description), 6, net);
    pass(net, manager, batch(), { kind: "monteCarlo", step: 1 });
    await net.evaluate(batch());
    assertEqual(manager.counts.pipelines, pipelines, `${name}: net.kernels names them all`);
    assert(pipelines > live || name !== "residual blocks of images", "there was something to compile");
    const kfac = new Kfac(manager, net, { inverseEvery: 1 });
    await kfac.step(batch());
    await kfac.step(batch());
    const warm = JSON.stringify(manager.counts);
    for (let step = 0; step < 3; step++) await kfac.step(batch());
    assertEqual(JSON.stringify(manager.counts), warm, `${name}: counts`);
    kfac.dispose();
    net.dispose();
  }
  await t.device.queue.onSubmittedWorkDone();
  manager.pool.dispose();
  const { tables, liveBuffers } = manager.counts;
  assertEqual(liveBuffers - tables, empty.liveBuffers, "buffers left");
  manager.dispose();
  assertEqual(manager.counts.liveBytes, 0, "bytes after the manager's end");
});
