/** Quadratic forms of the exact Gauss-Newton matrix along directions in all weights, and the loss of the last batch again. */
import { scaleShift } from "../../examples/layers/scale-shift.js";
import { GgnBlock } from "../../src/curvature/index.js";
import { ArgumentError, UnsupportedLayerError } from "../../src/errors.js";
import { mapInputs } from "../../src/model/batch.js";
import type { AnyBatch, Pass } from "../../src/model/index.js";
import {
  add,
  averagePool2d,
  concat,
  conv2d,
  dense,
  flatten,
  type Graph,
  globalAveragePool,
  graph,
  halfSquaredError,
  type InputForm,
  type LayerModule,
  type Loss,
  leakyRelu,
  logistic,
  type Module,
  maxPool2d,
  Network,
  registerLayer,
  relu,
  sigmoidCrossEntropy,
  softmaxCrossEntropy,
  tanh,
  tied,
  twinOf,
} from "../../src/network/index.js";
import { lossCurvature } from "../../src/network/loss-curvature.js";
import type { PipelineManager, Recorder } from "../../src/pipeline/index.js";
import { graphForward, type ReferenceOp } from "../../src/reference/graph.js";
import { passCurvatureAlong } from "../../src/reference/graph-tangent.js";
import { lossHessian } from "../../src/reference/loss.js";
import { matmul } from "../../src/reference/matmul.js";
import { rowOf } from "../../src/reference/matrix.js";
import {
  assert,
  assertClose,
  assertEqual,
  assertThrows,
  kernelTest,
  type TestContext,
} from "../harness/kernel-test.js";
import { managerOf } from "../linalg/helpers.js";
import { factorOf, poisonedView, run, uploadView } from "./conv-helpers.js";
import { type Description, formsOf, randomDirections, randomGraphBatch } from "./graph-helpers.js";
import { download, matrixOf, pass } from "./helpers.js";

const losses: readonly Loss[] = [softmaxCrossEntropy(), halfSquaredError(), sigmoidCrossEntropy()];

/** Records the forms into a buffer of their own, submits and reads them. */
async function formsAlong(
  t: TestContext,
  manager: PipelineManager,
  recorded: Pass,
  buffers: readonly GPUBuffer[],
  options?: { examples: number },
): Promise<Float32Array> {
  const into = t.upload(new Float32Array(buffers.length ** 2));
  run(manager, (recorder) =>
    recorded.curvatureAlong!(recorder, buffers, { buffer: into, index: 0 }, options),
  );
  return (await t.download(into)).subarray(0, buffers.length ** 2);
}

/** A batch's forms along so many directions against the twin. */
async function checkForms(
  t: TestContext,
  manager: PipelineManager,
  net: Network,
  { description, input, what }: { description: Description; input?: InputForm; what: string },
  { count, directions, examples = count }: { count: number; directions: number; examples?: number },
): Promise<void> {
  const batch = randomGraphBatch(t.random(count), formsOf(description, input), count, net);
  const { buffers, twins } = randomDirections(t, net, directions);
  const options = examples === count ? undefined : { examples };
  const found = await formsAlong(t, manager, pass(net, manager, batch), buffers, options);
  const twin = twinOf(description, input);
  const weights = twin.weights(await net.weights(), net.layers);
  const first = mapInputs(batch.inputs, (array) => array.subarray(0, (array.length / count) * examples));
  const values = graphForward(twin.graph, weights, twin.inputs(first, examples));
  assertClose(found, passCurvatureAlong(values, net.loss.kind, twins).data, 2e-5, `${what}: forms`);
  for (let j = 0; j < directions; j++) {
    for (let k = 0; k < j; k++) {
      assertEqual(found[j * directions + k], found[k * directions + j], `${what}: (${j}, ${k}) symmetric`);
    }
  }
}

const sizes: readonly [modules: readonly Module[], counts: readonly number[]][] = [
  [[dense(1, 1, { bias: false })], [1]],
  [
    [dense(3, 1), tanh(), dense(1, 2)],
    [1, 7],
  ],
  [
    [dense(17, 33), relu(), dense(33, 5, { bias: false }), logistic(), dense(5, 65)],
    [65, 12, 2],
  ],
  [[dense(5, 9), tanh(), leakyRelu(0.2), logistic(), dense(9, 3), tanh()], [33]],
  [[tanh(), dense(6, 131), relu()], [5]],
  // Transposes of each direction that begin at a multiple of four, and such that do not.
  [
    [dense(4, 6), dense(6, 3)],
    [8, 6],
  ],
];

for (const loss of losses) {
  kernelTest(`tangents: vectors of awkward sizes, ${loss.kind}`, async (t) => {
    const manager = managerOf(t);
    for (const [index, [modules, counts]] of sizes.entries()) {
      const input = index === 4 ? 6 : undefined;
      const net = new Network(manager, modules, loss, { batchSize: Math.max(...counts), seed: 2, input });
      for (const [k, count] of counts.entries()) {
        const what = `${modules.map(({ kind }) => kind).join()} of ${count}`;
        const directions = ((index + k) % 4) + 1;
        const own = { description: modules, input, what };
        await checkForms(t, manager, net, own, { count, directions });
        const examples = Math.ceil(count / 4);
        await checkForms(t, manager, net, own, { count, directions, examples });
      }
      net.dispose();
    }
  });
}

kernelTest("tangents: convolutions with all options, in chunks of lines", async (t) => {
  const manager = managerOf(t);
  const input = [4, 9, 7] as const;
  const description = [
    conv2d(4, 6, [3, 2], { stride: [2, 1], padding: [1, 2], dilation: [1, 2] }),
    relu(),
    conv2d(6, 8, 2, { groups: 2, bias: false }),
    maxPool2d(2, { stride: 1 }),
    tanh(),
    conv2d(8, 5, 1),
    averagePool2d([1, 2]),
    flatten(),
    dense(45, 3),
  ];
  for (const chunkBytes of [undefined, 600]) {
    const net = new Network(manager, description, softmaxCrossEntropy(), { batchSize: 3, input, chunkBytes });
    const what = `chunks of ${chunkBytes}`;
    await checkForms(t, manager, net, { description, input, what }, { count: 3, directions: 3 });
    await checkForms(t, manager, net, { description, input, what }, { count: 2, directions: 1 });
    await checkForms(t, manager, net, { description, input, what }, { count: 3, directions: 2, examples: 2 });
    net.dispose();
  }
});

kernelTest("tangents: a direction in one layer alone gives what its exact operator gives", async (t) => {
  const manager = managerOf(t);
  const description = graph({
    inputs: { image: [3, 6, 5], words: { length: 4, features: 3 } },
    values: {
      first: [conv2d(3, 4, 3, { padding: 1, stride: 2 }), "image"],
      pooled: [[relu(), conv2d(4, 4, 2, { groups: 2, name: "grouped" }), globalAveragePool()], "first"],
      each: [[dense(3, 4), tanh()], "words"],
      again: [[conv2d(3, 4, 1, { name: "small" }), maxPool2d(2), globalAveragePool()], "image"],
      means: [[globalAveragePool(), tied("last")], "each"],
      last: [dense(4, 4), "pooled"],
      out: [[add(), dense(4, 3)], "last", "means", "again"],
    },
    output: "out",
  });
  const net = new Network(manager, description, softmaxCrossEntropy(), { batchSize: 4 });
  const batch = randomGraphBatch(t.random(1), description.inputs, 4, net);
  const recorded = pass(net, manager, batch, { kind: "exact" });
  for (const [l, { name, W, out, in: columns }] of net.layers.entries()) {
    const all = new Float32Array(net.length);
    const own = matrixOf(t.random(l + 5).normals(out * columns), out, columns);
    own.data.forEach((v, at) => {
      all[W.offset + Math.floor(at / columns) * W.stride + (at % columns)] = v;
    });
    const [form] = await formsAlong(t, manager, recorded, [t.upload(all)]);
    const curved = recorded.layers[l]!;
    const block = new GgnBlock(manager, curved);
    const product = poisonedView(t, out, columns);
    const V = uploadView(t, out, columns, own.data);
    run(manager, (recorder) => block.over(curved).apply(recorder, V, product));
    const HV = await download(t, product);
    const wanted = HV.reduce((sum, x, at) => sum + x * own.data[at]!, 0);
    assertClose([form!], [wanted], 2e-5, name);
    block.dispose();
  }
});

kernelTest("tangents: what a pass left is as it was, before and after", async (t) => {
  const manager = managerOf(t);
  const description = [
    conv2d(2, 3, 2, { padding: 1 }),
    relu(),
    maxPool2d(2),
    flatten(),
    dense(27, 6),
    tanh(),
    dense(6, 3),
  ];
  const options = { batchSize: 5, input: [2, 5, 5] as const, seed: 4 };
  const net = new Network(manager, description, softmaxCrossEntropy(), options);
  const batch = randomGraphBatch(t.random(1), { input: options.input }, 5, net);
  const { buffers } = randomDirections(t, net, 2);
  const into = { buffer: t.upload(new Float32Array(4)), index: 0 };
  const left = async (recorded: Pass): Promise<ArrayLike<number>[]> => {
    const numbers: ArrayLike<number>[] = [await t.download(net.statistics, { length: 2 })];
    for (const [l, { G }] of net.layers.entries()) {
      const curved = recorded.layers[l]!;
      numbers.push(await download(t, G));
      numbers.push(await factorOf(t, manager, curved.inputs(), curved.in));
      numbers.push(await factorOf(t, manager, curved.outputs(), curved.out));
    }
    return numbers;
  };
  const fisher = { kind: "monteCarlo", seed: 3, step: 1 } as const;
  const before = await left(pass(net, manager, batch, fisher));
  net.load(batch);
  let recorded: Pass | undefined;
  run(manager, (recorder) => {
    recorded = net.recordPass(recorder, fisher);
    recorded.curvatureAlong!(recorder, buffers, into);
  });
  const forms = await t.download(into.buffer);
  const after = await left(recorded!);
  assertEqual(
    JSON.stringify(after.map((x) => Array.from(x))),
    JSON.stringify(before.map((x) => Array.from(x))),
    "bits",
  );
  // The weights' own transposes are those of the forward pass: what changes W meanwhile changes nothing here.
  net.setWeights(net.layers.map((layer) => new Float32Array(layer.out * layer.in)));
  run(manager, (recorder) => recorded!.curvatureAlong!(recorder, buffers, into));
  assertEqual([...(await t.download(into.buffer))].join(), [...forms].join(), "forms after the factors");
});

kernelTest("tangents: once asked for, they create nothing; more directions at once make room", async (t) => {
  const manager = managerOf(t);
  const description = [dense(7, 9), tanh(), dense(9, 4)];
  const net = new Network(manager, description, halfSquaredError(), { batchSize: 6 });
  const batch = randomGraphBatch(t.random(1), { input: 7 }, 6, net);
  const { buffers } = randomDirections(t, net, 4);
  const into = { buffer: t.upload(new Float32Array(20)), index: 4 };
  const step = () => {
    net.load(batch);
    const recorder = manager.record();
    const recorded = net.recordPass(recorder);
    recorded.curvatureAlong!(recorder, buffers.slice(0, 2), into);
    const { dispatches } = recorder;
    recorder.submit();
    return dispatches - pass(net, manager, batch).dispatches;
  };
  // Transposes of both directions, V a of both layers; tanh; W da; forms and their sums.
  assertEqual(step(), 1 + 1 + 1 + 1 + 2, "dispatches");
  step();
  const warm = JSON.stringify(manager.counts);
  step();
  assertEqual(JSON.stringify(manager.counts), warm, "counts");
  // The first two still lie in memory that the four have left.
  net.load(batch);
  run(manager, (recorder) => {
    const recorded = net.recordPass(recorder);
    recorded.curvatureAlong!(recorder, buffers.slice(0, 2), { ...into, index: 0 });
    recorded.curvatureAlong!(recorder, buffers, into);
  });
  const found = await t.download(into.buffer, { length: 20 });
  for (const [two, four] of [
    [0, 4],
    [1, 5],
    [3, 9],
  ]) {
    assertClose([found[two!]!], [found[four!]!], 1e-6, `form ${two} of two and ${four} of four`);
  }
  const live = [1, 2].map(() => {
    const other = new Network(manager, description, halfSquaredError(), { batchSize: 6 });
    const recorded = pass(other, manager, batch);
    run(manager, (recorder) => recorded.curvatureAlong!(recorder, buffers.slice(0, 1), into));
    run(manager, (recorder) => recorded.curvatureAlong!(recorder, buffers, into));
    other.dispose();
    return manager.counts.liveBuffers;
  });
  assertEqual(live[1], live[0], "buffers of a network that is disposed of");
});

kernelTest("tangents: all kernels are found without recording", async (t) => {
  const manager = managerOf(t);
  const description = [conv2d(2, 3, 2), relu(), maxPool2d(2), scaleShift(), flatten(), dense(12, 3)];
  const options = { batchSize: 3, input: [2, 5, 5] as const };
  const net = new Network(manager, description, softmaxCrossEntropy(), options);
  net.load(randomGraphBatch(t.random(1), { input: options.input }, 3, net));
  const { buffers } = randomDirections(t, net, 2);
  const record = (recorder: Recorder) => {
    const into = { buffer: recorder.scratch(6), index: 0 };
    net.recordPass(recorder).curvatureAlong!(recorder, buffers, into);
    net.recordLoss(recorder, { ...into, index: 4 });
  };
  await manager.prepare(manager.collect(record));
  const { pipelines } = manager.counts;
  run(manager, record);
  assertEqual(manager.counts.pipelines, pipelines, "pipelines");
});

kernelTest("tangents: forms in parts add up to the forms", async (t) => {
  const manager = managerOf(t);
  const K = 3;
  for (const loss of losses) {
    const net = new Network(manager, [dense(3, 7), tanh(), dense(7, 70)], loss, { batchSize: 11 });
    const recorded = pass(net, manager, randomGraphBatch(t.random(1), { input: 3 }, 11, net));
    const { buffers } = randomDirections(t, net, K);
    const whole = await formsAlong(t, manager, recorded, buffers);
    // Fewer parts than examples, as many, and more: these are 0.
    for (const parts of [1, 4, 11, 128]) {
      const buffer = t.poisoned(5 + K * K * parts);
      const options = { parts };
      run(manager, (recorder) =>
        recorded.curvatureInParts!(recorder, buffers, { buffer, index: 5 }, options),
      );
      const found = (await t.download(buffer)).subarray(5);
      for (let j = 0; j < K; j++) {
        for (let k = j; k < K; k++) {
          const at = j * K + k;
          const sum = found.subarray(at * parts, (at + 1) * parts).reduce((total, part) => total + part, 0);
          assertClose([sum], [whole[at]!], 1e-5, `${loss.kind}, ${parts} parts: (${j}, ${k})`);
        }
      }
    }
    net.dispose();
  }
});

kernelTest("tangents: bad arguments are refused before anything is recorded", async (t) => {
  const manager = managerOf(t);
  const net = new Network(manager, [dense(3, 4), tanh(), dense(4, 2)], halfSquaredError(), { batchSize: 4 });
  const batch = randomGraphBatch(t.random(1), { input: 3 }, 4, net);
  const recorded = pass(net, manager, batch);
  const { buffers } = randomDirections(t, net, 2);
  const buffer = t.upload(new Float32Array(4));
  const recorder = manager.record();
  const ask = (directions: readonly GPUBuffer[], index: number) => () =>
    recorded.curvatureAlong!(recorder, directions, { buffer, index });
  await assertThrows(ask([], 0), ArgumentError, /directions.*1 to 4 buffers, got 0/);
  await assertThrows(ask([...buffers, ...buffers, buffers[0]!], 0), ArgumentError, /1 to 4 buffers, got 5/);
  await assertThrows(
    ask([buffers[0]!, buffer], 0),
    ArgumentError,
    /directions\[1\].*laid out as the weights/,
  );
  await assertThrows(ask(buffers, 1), ArgumentError, /into.*room for 4, got 1/);
  await assertThrows(ask(buffers, -1), ArgumentError, /into/);
  await assertThrows(ask(undefined as never, 0), ArgumentError, /directions.*got undefined/);
  await assertThrows(ask([undefined as never], 0), ArgumentError, /directions\[0\].*got undefined/);
  const nowhere = () => recorded.curvatureAlong!(recorder, buffers, undefined as never);
  await assertThrows(nowhere, ArgumentError, /into.*buffer/);
  for (const examples of [0, 1.5, Number.NaN]) {
    const some = () => recorded.curvatureAlong!(recorder, buffers, { buffer, index: 0 }, { examples });
    await assertThrows(some, ArgumentError, /examples/);
  }
  const inParts = (parts: number) => () =>
    recorded.curvatureInParts!(recorder, buffers, { buffer, index: 0 }, { parts });
  for (const parts of [0, 1.5, Number.NaN]) await assertThrows(inParts(parts), ArgumentError, /parts/);
  await assertThrows(inParts(2), ArgumentError, /into.*room for 8, got 0/);
  const loss = (index: number) => () => net.recordLoss(recorder, { buffer, index });
  await assertThrows(loss(3), ArgumentError, /into.*room for 2, got 3/);
  net.load(batch);
  await assertThrows(ask(buffers, 0), ArgumentError, /curvatureAlong.*pass is over/);
  assertEqual(recorder.dispatches, 0, "dispatches");
  recorder.submit();
  await net.evaluate(batch);
  await assertThrows(loss(0), ArgumentError, /recordLoss.*batch.*load\(\)/);
  net.dispose();
  await assertThrows(loss(0), ArgumentError, /disposed of/);
});

/** Twice its input, and nothing said about tangents. */
const DOUBLE = "doubleWithoutTangent";

kernelTest(
  "tangents: a kind that has none is named, and in front of all weights it needs none",
  async (t) => {
    const manager = managerOf(t);
    const twin: ReferenceOp = {
      kind: DOUBLE,
      forward: ([input]) => ({
        output: { ...input!, data: input!.data.map((x) => 2 * x) },
        back: (d) => [d.map((x) => 2 * x)],
      }),
    };
    registerLayer({
      kind: DOUBLE,
      treatment: "nothing to train",
      shape: (_module, [input]) => input!,
      build: (module, site) => ({
        name: site.name,
        kind: module.kind,
        parameters: 0,
        inputs: site.inputs,
        output: site.output(),
        forward() {},
        backward() {},
      }),
      twin: () => twin,
    });
    const own: LayerModule = { kind: DOUBLE, name: "twice" };
    const description = [dense(3, 4), own, dense(4, 2)];
    const net = new Network(manager, description, halfSquaredError(), { batchSize: 2 });
    assert(/twice.*doubleWithoutTangent.*tangent/.test(net.withoutTangent ?? ""), `${net.withoutTangent}`);
    const recorded = pass(net, manager, randomGraphBatch(t.random(1), { input: 3 }, 2, net));
    const { buffers } = randomDirections(t, net, 1);
    const into = { buffer: t.upload(new Float32Array(4)), index: 0 };
    const recorder = manager.record();
    await assertThrows(
      () => recorded.curvatureAlong!(recorder, buffers, into),
      UnsupportedLayerError,
      /twice \(doubleWithoutTangent\).*tangent\(\)/,
    );
    recorder.submit();
    const first = new Network(manager, [own, dense(3, 2)], halfSquaredError(), { input: 3 });
    assertEqual(first.withoutTangent, undefined, "in front of all weights");
  },
);

kernelTest("tangents: numbers that are not finite leave nothing behind", async (t) => {
  const manager = managerOf(t);
  const description: Graph = graph({
    inputs: { x: 3 },
    values: {
      h: [[dense(3, 4), tanh()], "x"],
      out: [[concat(), logistic(), dense(7, 2)], "x", "h"],
    },
    output: "out",
  });
  const net = new Network(manager, description, halfSquaredError(), { batchSize: 4 });
  const weights = await net.weights();
  const batch = randomGraphBatch(t.random(1), description.inputs, 4, net);
  const { buffers } = randomDirections(t, net, 2);
  const bad: AnyBatch = { ...batch, inputs: new Float32Array(12).fill(3e38) };
  const broken = t.upload(new Float32Array(net.length).fill(Number.NaN));
  const wild = await formsAlong(t, manager, pass(net, manager, bad), [broken, buffers[0]!]);
  assert(
    wild.some((q) => !Number.isFinite(q)),
    "they pass through",
  );
  net.setWeights(weights);
  await checkForms(t, manager, net, { description, what: "afterwards" }, { count: 4, directions: 2 });
});

kernelTest("tangents: the loss's forms at outputs that are almost sure, and far out", async (t) => {
  const manager = managerOf(t);
  for (const [index, { kind }] of losses.entries()) {
    const code = kind === "softmaxCrossEntropy" ? 1 : kind === "sigmoidCrossEntropy" ? 2 : 0;
    for (const [rows, cols, scale] of [
      [1, 1, 1],
      [3, 2, 14],
      [70, 67, 20],
      [5, 300, 1],
      [4, 3, 1e4],
    ] as const) {
      const random = t.random(10 * index + cols);
      const Z = uploadView(
        t,
        rows,
        cols,
        random.normals(rows * cols).map((z) => scale * z),
      );
      const K = 3;
      const D = uploadView(
        t,
        K * rows,
        cols,
        random.normals(K * rows * cols).map((x) => 7 + x),
      );
      const into = t.upload(new Float32Array(K * K));
      run(manager, (recorder) =>
        lossCurvature(recorder, { kind: code, outputs: Z, tangents: D, into: { buffer: into, index: 0 } }),
      );
      const [z, d] = [await download(t, Z), await download(t, D)];
      const outputs = matrixOf(z, rows, cols);
      const directions = matrixOf(d, K * rows, cols);
      const wanted = new Float64Array(K * K);
      for (let i = 0; i < rows; i++) {
        const hessian = lossHessian(kind, outputs, i);
        for (let at = 0; at < K * K; at++) {
          const [j, k] = [Math.floor(at / K), at % K].map((block) => rowOf(directions, block * rows + i));
          wanted[at]! += matmul(matmul(j!, hessian), k!, { transposeB: true }).data[0]! / rows;
        }
      }
      const found = (await t.download(into)).subarray(0, K * K);
      assertClose(found, wanted, 1e-5, `${kind}, ${rows} × ${cols} at ${scale}`);
    }
  }
});

kernelTest("recordLoss: the loss of the loaded batch, with the weights as they are by then", async (t) => {
  const manager = managerOf(t);
  const description = [dense(5, 6), relu(), dense(6, 3)];
  for (const loss of losses) {
    const net = new Network(manager, description, loss, { batchSize: 8, seed: 1 });
    const batch = randomGraphBatch(t.random(1), { input: 5 }, 7, net);
    const recorded = pass(net, manager, batch, { kind: "exact" });
    const G = await t.download(net.gradients);
    const [first, ...rest] = await t.download(net.statistics, { length: 2 });
    const into = { buffer: t.upload(new Float32Array(4)), index: 1 };
    const other = (await net.weights()).map((w, l) => t.random(l + 1).normals(w.length));
    net.setWeights(other);
    run(manager, (recorder) => net.recordLoss(recorder, into));
    const found = await t.download(into.buffer);
    await assertThrows(() => recorded.layers[0]!.inputs(), ArgumentError, /pass is over/);
    assertEqual(
      [...(await t.download(net.statistics, { length: 2 }))].join(),
      [first, ...rest].join(),
      "kept",
    );
    assertEqual([...(await t.download(net.gradients))].join(), [...G].join(), "G");
    const wanted = await net.evaluate(batch);
    assertClose([found[1]!, found[2]!], [wanted.loss, wanted.accuracy], 1e-6, loss.kind);
    assertEqual([found[0], found[3]].join(), "0,0", "beside");
    assert(found[1] !== first, "the weights have moved");
    net.dispose();
  }
});
