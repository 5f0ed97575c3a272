/** The verdicts, λ, rates and momenta that the GPU decides on, and the quadratic forms behind them, against their f64 twins. */
import { readFromArrayBuffer } from "typegpu";
import { project } from "../../src/curvature/kernels/contract.js";
import type { Model, Pass } from "../../src/model/index.js";
import {
  add,
  conv2d,
  dense,
  flatten,
  globalAveragePool,
  graph,
  halfSquaredError,
  leakyRelu,
  Network,
  sigmoidCrossEntropy,
  softmaxCrossEntropy,
  tanh,
  tied,
  twinOf,
} from "../../src/network/index.js";
import { type ControlPlan, StepControl } from "../../src/optimizers/control/control.js";
import { quadraticForms } from "../../src/optimizers/control/forms.js";
import { StepState } from "../../src/optimizers/control/state.js";
import { OptimizerMemory } from "../../src/optimizers/memory.js";
import { FORM_PARTS } from "../../src/optimizers/sums.js";
import {
  type ControlLayer,
  initialControlState,
  judgeBatch,
  lookAtRatio,
  planStep,
} from "../../src/reference/control.js";
import { graphForward } from "../../src/reference/graph.js";
import { passCurvatureAlong } from "../../src/reference/graph-tangent.js";
import {
  assert,
  assertClose,
  assertEqual,
  networkTest,
  POISON,
  type Random,
  type TestContext,
} from "../harness/kernel-test.js";
import { managerOf } from "../linalg/helpers.js";
import { run, uploadView } from "../network/conv-helpers.js";
import { type Description, formsOf, randomDirections, randomGraphBatch } from "../network/graph-helpers.js";
import { pass } from "../network/helpers.js";

const LAYERS = 3;
const VERDICTS = ["taken", "held", "restored"];
const INTEGERS = new Set(
  Object.entries(StepState.propTypes).flatMap(([name, { type }]) => (type === "u32" ? [name] : [])),
);
const SKIPS = ["taken", "leftOut", "afresh"];

/** What a step is given: the loss of its batch, its inner products and forms, the loss of the batch after it. */
interface Given {
  loss: number;
  layers: ControlLayer[];
  forms: [number, number, number];
  after: number;
}

const SETTINGS: ControlPlan = {
  learningRate: undefined,
  momentum: undefined,
  damping: 1e-3,
  rule: "loss",
  leastDamping: 1e-10,
  mostDamping: 1e10,
  penalty: 0,
  decoupled: 0,
  klClip: 0,
  trustRegion: 1,
  measures: true,
  refreshes: true,
  examples: 32,
  number: 1,
  firstStep: 1,
  period: 3,
};

/** A control on the GPU whose sums and losses a test writes, beside its twin. */
class Pair {
  state = initialControlState();
  number = 0;
  readonly control: StepControl;
  readonly memory: OptimizerMemory;
  readonly #t: TestContext;
  readonly #statistics: GPUBuffer;
  readonly #after: GPUBuffer;

  constructor(t: TestContext) {
    this.#t = t;
    this.#statistics = t.upload([0, 0]);
    this.#after = t.upload([0, 0]);
    const model = {
      length: 4,
      layers: [],
      statistics: this.#statistics,
      recordLoss: (recorder, { buffer, index }) => recorder.copy(this.#after, 0, buffer, 4 * index, 8),
    } as Partial<Model> as Model;
    this.memory = new OptimizerMemory(managerOf(t));
    this.control = new StepControl(model, this.memory);
  }

  /** One step of both. */
  async step(given: Given, changed: Partial<ControlPlan>, what: string): Promise<void> {
    const t = this.#t;
    this.number += 1;
    const settings = { ...SETTINGS, ...changed, number: this.number };
    const { layers, forms, loss, after } = given;
    const write = (buffer: GPUBuffer, numbers: number[]) =>
      t.device.queue.writeBuffer(buffer, 0, Float32Array.from(numbers));
    write(this.#statistics, [loss, 0.5]);
    write(this.#after, [after, 0.5]);
    // Each number in two parts, as two workgroups leave them; behind the places of the totals and the forms.
    const parts = (numbers: number[]) => [0.25, 0.75].flatMap((share) => numbers.map((x) => share * x));
    // Every other step gets the forms in parts, of which that of V'CU is not read.
    const inParts = this.number % 2 === 0;
    const placedForms = inParts
      ? [forms[0], forms[1], POISON, forms[2]].flatMap(formParts)
      : [forms[0], forms[1], forms[1], forms[2]];
    const nothing = () => {};
    const pass = {
      ...(inParts && { curvatureAlong: nothing, curvatureInParts: nothing }),
    } as Partial<Pass> as Pass;
    const sums = t.upload([
      ...Array.from({ length: 7 * LAYERS }, () => POISON),
      ...placedForms,
      ...layers.flatMap(({ gu, gg, uu, gv, uv, vv, previous }) => [
        ...parts([gu, gg, uu, gv, uv, vv]),
        ...parts([POISON, previous]),
      ]),
    ]);
    // A layer that may not step has a flag, or lacks one of its two inverses.
    const flags = t.upload(Uint32Array.from(layers, ({ maySteps }, l) => (maySteps || l !== 1 ? 0 : 4)));
    const ready = t.upload(
      Uint32Array.from(layers.flatMap(({ maySteps }, l) => [1, maySteps || l === 1 ? 1 : l])),
    );
    const [coefficients, applied, outcome] = [t.poisoned(LAYERS), t.poisoned(6), t.poisoned(6)];
    const rows = layers.map((_, l) => {
      const start = 7 * LAYERS + placedForms.length + 16 * l;
      return { flag: l, ready: 2 * l, words: 2, parts: start, chunks: 2, slopes: start + 12, groups: 2 };
    });
    run(managerOf(t), (recorder) => {
      this.control.write(settings);
      this.control.judge(recorder);
      this.control.plan(recorder, { rows, sums, flags, ready, coefficients, applied, outcome }, pass);
      this.control.measureRatio(recorder);
    });

    this.state = judgeBatch(this.state, loss, settings.examples, settings);
    const planned = planStep(this.state, layers, forms, settings);
    this.state = planned.state;
    if (settings.rule === "levenbergMarquardt" && (this.number - 1) % 5 === 0) {
      this.state = lookAtRatio(this.state, after, 5, settings);
    }
    await this.#compare(what);
    close(await t.download(coefficients), planned.coefficients, `${what}: coefficients`);
    const verdict = VERDICTS.indexOf(this.state.verdict);
    const words = await t.downloadWords(applied);
    assertEqual(`${words[2]} ${words[3]} ${words[4]}`, `${verdict} 1 1`, `${what}: applied`);
    const [rate, momentum, , , , decay] = await t.download(applied);
    close([rate!, momentum!, decay!], [1, planned.momentum, planned.decay], `${what}: η, μ and ηω applied`);
    close((await t.download(outcome)).subarray(0, 1), [planned.clip], `${what}: clip`);
    const became = await t.downloadWords(outcome);
    assertEqual(became[3], planned.skippedLayers, `${what}: skipped layers`);
    assertEqual(became[4], layers[1]!.maySteps ? 0 : 4, `${what}: flags`);
    assertEqual(became[5], verdict, `${what}: verdict of the outcome`);
  }

  /** The state on the GPU, which a checkpoint holds. */
  async words(): Promise<Uint32Array<ArrayBuffer>> {
    return this.#t.downloadWords(this.control.state);
  }

  async #compare(what: string): Promise<void> {
    const words = await this.words();
    const own = readFromArrayBuffer(words.buffer, StepState);
    const { verdict, statistics, judgeable, tolerated, rejected, heldBatches, ...expected } = this.state;
    const counts = {
      rejected,
      heldBatches,
      verdict: VERDICTS.indexOf(verdict),
      judgeable: judgeable ? 1 : 0,
      tolerated: tolerated ? 1 : 0,
    };
    const wanted = { ...expected, ...counts, initialized: 1, skip: SKIPS.indexOf(statistics) };
    assertEqual(Object.keys(wanted).sort().join(), Object.keys(own).sort().join(), `${what}: fields`);
    for (const [name, number] of Object.entries(wanted)) {
      const found = own[name as keyof typeof own];
      if (INTEGERS.has(name)) assertEqual(found, number, `${what}: ${name}`);
      // What does not fit f32 is not read again.
      else if (name !== "loss" && Math.abs(number) < 3e38) close([found], [number], `${what}: ${name}`);
    }
    assert(this.state.lambda >= 0 && Number.isFinite(this.state.lambda), `${what}: λ`);
    const { status, ...report } = this.control.report(words.buffer);
    const told = verdict === "taken" && this.state.stale > 0 ? "burnIn" : verdict;
    assertEqual(
      `${report.verdict} ${report.rejected} ${report.heldBatches}`,
      `${told} ${rejected} ${heldBatches}`,
      what,
    );
    const text = {
      burnIn: /^the data have changed/,
      taken: /^undefined$/,
      held: /^batch left out: its loss is not finite/,
      restored: /taken back, λ raised/,
    };
    assert(text[told].test(String(status)), `${what}: status of ${told}: ${status}`);
  }
}

/** A number in as many parts as `step_plan` takes. */
function formParts(number: number): number[] {
  const shares = Array.from({ length: FORM_PARTS }, (_, part) => 2 * part + 1);
  return shares.map((share) => (number * share) / FORM_PARTS ** 2);
}

/** Sums in f32 cancel: what is small beside its terms is known less well. */
function close(actual: ArrayLike<number>, expected: readonly number[], what: string): void {
  for (const [k, wanted] of expected.entries()) {
    const error = Math.abs(actual[k]! - wanted);
    assert(error <= 2e-3 * Math.abs(wanted) + 1e-5, `${what}: ${actual[k]}, expected ${wanted}`);
  }
}

/** Inner products of vectors that there could be, and forms of a curvature that there could be. */
function given(random: Random, { loss = 1 + 0.2 * random.normal(), scale = 1, against = false } = {}): Given {
  const layers = Array.from({ length: LAYERS }, () => {
    const [G, U, V, W] = Array.from({ length: 4 }, () => random.normals(5, scale)) as [
      Float32Array,
      Float32Array,
      Float32Array,
      Float32Array,
    ];
    const sign = against ? -1 : 1;
    // U is mostly along G, as are the directions before.
    for (let k = 0; k < 5; k++) {
      U[k] = sign * G[k]! + 0.3 * U[k]!;
      V[k] = 0.1 * V[k]! + 0.05 * G[k]!;
      W[k] = 0.4 * G[k]! + W[k]!;
    }
    const dot = (x: Float32Array, y: Float32Array) =>
      Math.fround(x.reduce((sum, a, k) => sum + a * y[k]!, 0));
    return {
      maySteps: true,
      ...{ gg: dot(G, G), gu: dot(G, U), uu: dot(U, U), gv: dot(G, V), uv: dot(U, V), vv: dot(V, V) },
      previous: dot(G, W),
    };
  });
  const [a, b] = [random.normals(6, 2 * scale), random.normals(6, 0.3 * scale)];
  const dot = (x: Float32Array, y: Float32Array) =>
    Math.fround(x.reduce((sum, own, k) => sum + own * y[k]!, 0));
  return {
    layers,
    loss: Math.fround(Math.abs(loss)),
    forms: [dot(a, a), dot(a, b), dot(b, b)],
    after: Math.fround(Math.abs(loss) * (0.7 + 0.5 * random.uniform())),
  };
}

interface Course {
  changes?: (step: number, random: Random) => Partial<ControlPlan>;
  gives?: (step: number, random: Random) => Given;
}

const NAN = Number.NaN;
const courses: Record<string, Course> = {
  "the defaults on noise": {},
  "losses that fall": {
    gives: (step, random) => given(random, { loss: 0.93 ** step * (1 + 0.1 * random.normal()) }),
  },
  "bad batches of all lengths, and at first": {
    gives(step, random) {
      const bad = [NAN, Number.POSITIVE_INFINITY, 3e38, 50, 1e9];
      const runs = [0, 1, 8, 15, 16, 24, 25, 26, 35, 36, 37, 38, 39, 40, 41, 42, 43];
      const at = runs.indexOf(step);
      return { ...given(random), ...(at >= 0 && { loss: step < 35 ? bad[at % 5]! : 50 + random.uniform() }) };
    },
  },
  "huge losses first, and losses of nothing": {
    gives: (step, random) =>
      given(random, { loss: step < 2 ? 1e12 : step > 40 ? 0 : 1 + 0.1 * random.normal() }),
  },
  "numbers that are set": {
    changes: (step) => ({
      learningRate: [0.01, 0.3, 100][step % 3]!,
      momentum: [0, 0.9][step % 2]!,
      damping: 10 ** (-step / 10),
      rule: "fixed",
      penalty: 0.1,
      refreshes: step % 4 === 0,
    }),
  },
  "numbers that are set, nothing measured, a norm clip": {
    changes: () => ({ learningRate: 0.2, momentum: 0.5, klClip: 0.02, trustRegion: 0, measures: false }),
  },
  "weights that decay beside the step": { changes: () => ({ decoupled: 0.3 }) },
  "a model at every third step, a norm clip, tiny batches": {
    changes: (step) => ({ measures: step % 3 === 0, klClip: 0.05, examples: [1, 64, 2, 7][step % 4]! }),
    gives: (step, random) => given(random, { loss: step % 4 === 0 ? 3 + random.normal() : 1 }),
  },
  "directions that lead uphill": {
    gives: (step, random) => given(random, { against: step % 5 === 1 || (step > 20 && step < 30) }),
  },
  "layers that are flagged or not ready": {
    gives(step, random) {
      const own = given(random);
      const layers = own.layers.map((layer, l) => ({
        ...layer,
        maySteps: step % 7 !== 3 && (step + l) % 4 !== 0,
      }));
      if (step % 3 === 1) own.forms[0] = Number.POSITIVE_INFINITY;
      return { ...own, layers };
    },
  },
  "forms that are huge, nothing or not finite": {
    gives(step, random) {
      const own = given(random, { scale: step % 6 === 5 ? 1e12 : step % 6 === 4 ? 1e-6 : 1 });
      const forms = [own.forms, [0, 0, 0], [1e30, 1e10, 1], [NAN, 0, 1]] as const;
      return { ...own, forms: [...forms[step % 4]!] };
    },
  },
  "Levenberg–Marquardt": {
    changes: (step) => ({
      rule: "levenbergMarquardt",
      refreshes: step % 5 === 0,
      leastDamping: 5e-4,
      mostDamping: 2e-3,
    }),
    gives(step, random) {
      const own = given(random, step % 17 === 16 ? { loss: 1e6 } : {});
      const after = step < 20 ? own.loss + 1 : step < 40 ? own.loss - 5 : step < 50 ? NAN : own.after;
      return { ...own, after };
    },
  },
};

const usual: Required<Course> = { changes: () => ({}), gives: (_, random) => given(random) };
for (const [name, course] of Object.entries(courses)) {
  const { changes, gives } = { ...usual, ...course };
  networkTest(`control: ${name}, 60 steps against the f64 twin`, async (t) => {
    const pair = new Pair(t);
    const random = t.random(name.length);
    for (let step = 0; step < 60; step++) {
      await pair.step(gives(step, random), changes(step, random), `step ${step}`);
      if (step !== 37) continue;
      // A run that is resumed from its words.
      const words = await pair.words();
      t.device.queue.writeBuffer(pair.control.state, 0, new Uint32Array(words.length).fill(7));
      t.device.queue.writeBuffer(pair.control.state, 0, words);
    }
    pair.memory.dispose();
  });
}

networkTest("control: a batch that is not finite is held although nothing else is known", async (t) => {
  const pair = new Pair(t);
  for (let step = 0; step < 8; step++) await pair.step(given(t.random(1), { loss: 1 }), {}, "good");
  for (let step = 0; step < 9; step++)
    await pair.step({ ...given(t.random(1)), loss: NAN }, {}, "not finite");
  assertEqual(`${pair.state.rejected} ${pair.state.heldBatches}`, "1 8", "taken back and left out");
  await pair.step(given(t.random(1), { loss: 1 }), {}, "good again");
  assertEqual(pair.state.verdict, "taken", "verdict");
  pair.memory.dispose();
});

const loop = graph({
  inputs: { image: [2, 5, 4], words: { length: 3, features: 4 } },
  values: {
    first: [[conv2d(2, 5, [3, 2], { padding: 1 }), tanh(), globalAveragePool()], "image"],
    each: [[dense(4, 5), tanh()], "words"],
    means: [[globalAveragePool(), tied("shared")], "each"],
    shared: [dense(5, 5), "first"],
    out: [[add(), leakyRelu(0.1), dense(5, 3)], "shared", "means"],
  },
  output: "out",
});
const networks: readonly [
  what: string,
  Description,
  input: readonly [number, number, number] | undefined,
  number,
][] = [
  ["one weight", [dense(1, 1, { bias: false })], undefined, 1],
  [
    "dense layers",
    [dense(17, 33), tanh(), dense(33, 5, { bias: false }), tanh(), dense(5, 9)],
    undefined,
    37,
  ],
  [
    "convolutions",
    [conv2d(2, 3, 3), tanh(), conv2d(3, 2, 2, { bias: false }), flatten(), dense(4, 5)],
    [2, 5, 4],
    7,
  ],
  ["a graph with tied weights and sequences", loop, undefined, 6],
];

for (const [what, description, input, count] of networks) {
  networkTest(`control: forms of ${what} against tangents in f64`, async (t) => {
    const manager = managerOf(t);
    for (const loss of [softmaxCrossEntropy(), halfSquaredError(), sigmoidCrossEntropy()]) {
      const net = new Network(manager, description, loss, {
        batchSize: count,
        seed: 2,
        ...(input && { input }),
      });
      const batch = randomGraphBatch(t.random(count), formsOf(description, input), count, net);
      const recorded = pass(net, manager, batch, { kind: "exact" });
      const { buffers, twins } = randomDirections(t, net, 2);
      const [U, V] = buffers.map((buffer) => net.layers.map(({ G }) => ({ ...G, buffer })));
      const into = t.upload(new Float32Array(7).fill(POISON));
      run(manager, (recorder) => quadraticForms(recorder, recorded, [U!, V!], into, 2));
      const twin = twinOf(description, input);
      const weights = twin.weights(await net.weights(), net.layers);
      const values = graphForward(twin.graph, weights, twin.inputs(batch.inputs, count));
      const expected = passCurvatureAlong(values, loss.kind, twins);
      const found = await t.download(into);
      assertClose(found.subarray(2, 6), expected.data, 2e-5, `${loss.kind}: forms`);
      for (const place of [0, 1, 6]) assertEqual(found[place], Math.fround(POISON), `${loss.kind}: beside`);
      net.dispose();
    }
  });
}

networkTest("control: products with columns are written where they are wanted", async (t) => {
  const [N, columns, positions, length] = [5, 3, 2, 7];
  const random = t.random(4);
  const b = random.normals(columns * N * positions * length);
  const z = random.normals(N * positions * length);
  const views = [
    uploadView(t, columns * N * positions, length, b),
    uploadView(t, N * positions, length, z),
  ] as const;
  const y = t.upload(new Float32Array(40).fill(POISON));
  run(managerOf(t), (recorder) => {
    project(recorder, {
      ...{ examples: N, columns, positions, b: views[0], z: views[1], y, yOffset: 13 },
      bSteps: { column: N * positions, example: positions, position: 1 },
      zSteps: { example: positions, position: 1 },
    });
  });
  const expected = Float64Array.from({ length: columns * N }, (_, at) => {
    const [c, e] = [Math.floor(at / N), at % N];
    let sum = 0;
    for (let k = 0; k < positions * length; k++) {
      sum += b[(c * N + e) * positions * length + k]! * z[e * positions * length + k]!;
    }
    return sum;
  });
  const found = await t.download(y);
  assertClose(found.subarray(13, 28), expected, 1e-5, "products");
  for (let k = 0; k < 40; k++) {
    if (k < 13 || k >= 28) assertEqual(found[k], Math.fround(POISON), `number ${k}`);
  }
});
