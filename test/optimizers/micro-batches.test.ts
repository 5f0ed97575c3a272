/** A step on a list of micro-batches is one step on all their examples. */
import { ArgumentError, DataError, ShapeError } from "../../src/errors.js";
import type { Engine } from "../../src/index.js";
import type { Batch } from "../../src/model/index.js";
import {
  conv2d,
  dense,
  flatten,
  type Loss,
  type Module,
  type Network,
  relu,
  sigmoidCrossEntropy,
  softmaxCrossEntropy,
  tanh,
} from "../../src/network/index.js";
import {
  defineDirection,
  type KfacOptions,
  Optimizer,
  type OptimizerState,
} from "../../src/optimizers/index.js";
import { submits } from "../curvature/spies.js";
import { assert, assertClose, assertEqual, assertThrows, trainingTest } from "../harness/kernel-test.js";
import { randomBatch } from "../network/helpers.js";
import { assertRecord, assertSame, flat, moved } from "./helpers.js";

const LOSS = softmaxCrossEntropy();
const WHOLE = 29;
/** Of micro-batches, none of which may be larger than a pass of the small networks; the largest is not the last. */
const SIZES = [7, 11, 3, 8];
const LARGEST = 11;

interface Kind {
  readonly modules: readonly Module[];
  readonly features: number;
  readonly outputs: number;
  readonly input?: readonly [number, number, number];
  readonly loss: Loss;
}

const vectors: Kind = {
  modules: [dense(7, 12), tanh(), dense(12, 9, { bias: false }), relu(), dense(9, 4)],
  features: 7,
  outputs: 4,
  loss: LOSS,
};
const images: Kind = {
  modules: [conv2d(1, 3, 3, { padding: 1 }), tanh(), conv2d(3, 2, 2), relu(), flatten(), dense(2 * 12, 4)],
  features: 20,
  outputs: 4,
  input: [1, 5, 4],
  loss: LOSS,
};

const FIXED = { learningRate: 0.1, momentum: 0.9, damping: 0.1, emaDecay: 0.9, inverseEvery: 2 } as const;
const kfac =
  (options: KfacOptions) =>
  (engine: Engine, net: Network): Optimizer =>
    engine.kfac(net, { ...FIXED, ...options });

type Make = (engine: Engine, net: Network) => Optimizer;
const optimizers: Record<string, Make> = {
  sgd: (engine, net) => engine.sgd(net, { learningRate: 0.1, weightDecay: 0.01 }),
  adam: (engine, net) => engine.adam(net, { learningRate: 0.01, epsilon: 1e-3, gradientClip: 0.5 }),
  adamW: (engine, net) => engine.adamW(net, { learningRate: 0.01, epsilon: 1e-3 }),
  "kfac, exact": kfac({ fisher: "exact", factorEvery: 2, klClip: 0.01 }),
  "kfac, empirical": kfac({ fisher: "empirical", weightDecay: 0.01 }),
  "kfac, Monte-Carlo": kfac({ fisher: "monteCarlo", seed: 5 }),
  "kfac, ekfac": kfac({ curvature: "ekfac", fisher: "exact" }),
  "kfac, eigen": kfac({ curvature: "eigen" }),
  "kfac, reduce": kfac({ curvature: "reduce", fisher: "exact" }),
  "kfac, full": kfac({ curvature: "full", fisher: "exact" }),
  "kfac, diagonal": kfac({ curvature: "diagonal", fisher: "exact" }),
  "kfac, gradient": kfac({ curvature: "gradient" }),
  "kfac, blocks of several kinds": kfac({
    fisher: "exact",
    curvature: ({ in: inputs }) => (inputs > 11 ? "kronecker" : "diagonal"),
  }),
};

function network(engine: Engine, { modules, loss, input }: Kind, batchSize: number): Network {
  return engine.network(modules, loss, { batchSize, seed: 3, ...(input && { input }) });
}

/** A batch in micro-batches, in its order. */
function split({ inputs, targets, count }: Batch, sizes: readonly number[]): Batch[] {
  const [features, width] = [inputs.length / count, targets.length / count];
  let start = 0;
  return sizes.map((size) => {
    const end = start + size;
    const part = {
      inputs: inputs.slice(start * features, end * features),
      targets: targets.slice(start * width, end * width),
      count: size,
    };
    start = end;
    return part;
  });
}

/** Every f32 tensor of two states, by its own largest number. */
function assertAlike(actual: OptimizerState, expected: OptimizerState, tolerance: number): void {
  for (const [name, data] of Object.entries(expected)) {
    // Bases may be turned where eigenvalues are close; what they are for is compared by the weights.
    if (data instanceof Uint32Array || /update|bases|transposes|spectrum/.test(name)) continue;
    assertClose(actual[name] as Float32Array, data, tolerance, name);
  }
}

function same(name: string, make: Make, kind: Kind, tolerance: number): void {
  trainingTest(name, async (t) => {
    const random = t.random(4);
    const batches = Array.from({ length: 7 }, () =>
      randomBatch(random, WHOLE, kind.features, kind.outputs, kind.loss),
    );
    const large = network(t.engine, kind, WHOLE);
    const small = network(t.engine, kind, LARGEST);
    const before = await large.weights();
    const [one, many] = [make(t.engine, large), make(t.engine, small)];
    assertEqual(many.withoutMicroBatches, undefined, "why not");
    for (const batch of batches) {
      const expected = await one.step(batch);
      const record = await many.step(split(batch, SIZES));
      assertRecord(record, `step ${record.step}`);
      assertEqual(
        `${record.step} ${record.status}`,
        `${expected.step} ${expected.status}`,
        "step and status",
      );
      assertClose(
        [record.loss, record.gradientNorm, record.updateNorm, record.clip],
        [expected.loss, expected.gradientNorm, expected.updateNorm, expected.clip],
        tolerance,
        `loss, ‖G‖, ‖ηU‖ and ν of step ${record.step}`,
      );
      assertClose([record.accuracy], [expected.accuracy], 1e-6, "accuracy");
      assertEqual(
        JSON.stringify(record.layers?.map(({ skipped }) => skipped)),
        JSON.stringify(expected.layers?.map(({ skipped }) => skipped)),
        "batches left out",
      );
    }
    assertClose(
      moved(await small.weights(), before),
      moved(await large.weights(), before),
      tolerance,
      "change of the weights",
    );
    assertAlike(await many.state(), await one.state(), tolerance);
    // A step on the largest part alone is another one.
    const lonely = network(t.engine, kind, LARGEST);
    const other = make(t.engine, lonely);
    for (const batch of batches) await other.step(split(batch, SIZES)[1]!);
    const [apart, change] = [moved(await lonely.weights(), before), moved(await large.weights(), before)];
    const distance = Math.hypot(...apart.map((x, k) => x - change[k]!)) / Math.hypot(...change);
    assert(distance > 0.05, `a part of the batch does as well: ${distance}`);
    for (const made of [one, many, other, large, small, lonely]) made.dispose();
  });
}

for (const [name, make] of Object.entries(optimizers)) {
  same(`micro-batches: ${name}`, make, vectors, 2e-4);
}
same("micro-batches: kfac on convolutions", optimizers["kfac, exact"]!, images, 2e-4);
same("micro-batches: positions reduced", optimizers["kfac, reduce"]!, images, 2e-4);
same("micro-batches: whole blocks of convolutions", optimizers["kfac, full"]!, images, 2e-4);
same("micro-batches: ekfac on convolutions", optimizers["kfac, ekfac"]!, images, 5e-4);
same("micro-batches: diagonal on convolutions", optimizers["kfac, diagonal"]!, images, 2e-4);
same("micro-batches: sgd on convolutions", optimizers.sgd!, images, 2e-4);
same(
  "micro-batches: Monte-Carlo samples of sigmoids",
  optimizers["kfac, Monte-Carlo"]!,
  { ...vectors, loss: sigmoidCrossEntropy() },
  2e-4,
);

trainingTest(
  "micro-batches: with its defaults K-FAC trains, the model measured on the largest",
  async (t) => {
    for (const damping of ["loss", "levenbergMarquardt"] as const) {
      const random = t.random(9);
      const net = network(t.engine, vectors, LARGEST);
      const own = t.engine.kfac(net, { damping });
      const batch = randomBatch(random, WHOLE, 7, 4, LOSS);
      const parts = split(batch, SIZES);
      const losses: number[] = [];
      const dampings = new Set<number>();
      for (let step = 0; step < 40; step++) {
        const record = await own.step(parts);
        losses.push(record.loss);
        dampings.add(record.lambda);
        assertEqual(record.verdict, "taken", `step ${record.step}`);
      }
      assert(losses.at(-1)! < 0.2 * losses[0]!, `${damping}: loss from ${losses[0]} to ${losses.at(-1)}`);
      assert(dampings.size > 1, `${damping}: λ has stayed`);
      own.dispose();
      net.dispose();
    }
  },
);

trainingTest("micro-batches: Levenberg–Marquardt's ratio is of the whole batch", async (t) => {
  const random = t.random(10);
  // One size: whichever comes last, the forms are those of as many examples.
  const [large, small] = [network(t.engine, vectors, 24), network(t.engine, vectors, 12)];
  const options = { damping: "levenbergMarquardt", fisher: "exact", dampingShare: 0.1 } as const;
  const [one, many] = [t.engine.kfac(large, options), t.engine.kfac(small, options)];
  const half = randomBatch(random, 12, 7, 4, LOSS);
  const both = {
    inputs: Float32Array.of(...half.inputs, ...half.inputs),
    targets: Uint32Array.of(...half.targets, ...half.targets),
    count: 24,
  };
  for (let step = 0; step < 12; step++) {
    const [record, expected] = [await many.step([half, half]), await one.step(both)];
    assertClose(
      [record.loss, record.lambda, record.learningRate],
      [expected.loss, expected.lambda, expected.learningRate],
      2e-3,
      `step ${step}`,
    );
  }
  for (const made of [one, many, large, small]) made.dispose();
});

trainingTest("micro-batches: one that is not finite leaves the whole batch out", async (t) => {
  for (const name of ["sgd", "adam", "kfac, exact", "kfac, ekfac", "kfac, diagonal"]) {
    const random = t.random(6);
    // Nothing that saturates.
    const net = network(t.engine, { ...vectors, modules: [dense(7, 12), relu(), dense(12, 4)] }, LARGEST);
    const own = optimizers[name]!(t.engine, net);
    const batches = Array.from({ length: 3 }, () => split(randomBatch(random, WHOLE, 7, 4, LOSS), SIZES));
    for (const batch of batches.slice(0, 2)) await own.step(batch);
    const [weights, state] = [await net.weights(), await own.state()];
    const bad = batches[2]!.map((part, k) => {
      const inputs = k === 2 ? (part.inputs as Float32Array).map(() => 3e38) : part.inputs;
      return { ...part, inputs } as Batch;
    });
    const record = await own.step(bad);
    assert(record.status !== "ok", `${name}: ${record.status}`);
    assertSame(await net.weights(), weights, `${name}: weights`);
    const after = await own.state();
    for (const part of ["factors", "mean", "ekfac.factors", "first", "second"]) {
      if (state[part]) assertSame([after[part]!], [state[part]!], `${name}: ${part}`);
    }
    // Nothing of it is left in the sums.
    assertEqual((await own.step(batches[2]!)).status, "ok", `${name}: the next step`);
    own.dispose();
    net.dispose();
  }
});

trainingTest("micro-batches: bad lists are refused, and nothing is lost", async (t) => {
  const random = t.random(7);
  const good = split(randomBatch(random, WHOLE, 7, 4, LOSS), SIZES);
  const [a] = good;
  for (const name of ["sgd", "kfac, exact"]) {
    const net = network(t.engine, vectors, LARGEST);
    const own = optimizers[name]!(t.engine, net);
    await own.step(good);
    const [weights, state] = [await net.weights(), await own.state()];
    const large = randomBatch(random, LARGEST + 1, 7, 4, LOSS);
    const bad: [unknown, typeof ArgumentError | typeof ShapeError | typeof DataError, RegExp][] = [
      [[], ArgumentError, /step: batch must hold a batch, got an empty list/],
      [[a, 3], ArgumentError, /batch\[1\] must be an object, got 3/],
      [[undefined, a], ArgumentError, /batch\[0\] must be an object, got undefined/],
      // A hole is no batch either.
      [new Array(2), ArgumentError, /batch\[0\] must be an object, got undefined/],
      [[a, [a, a]], ArgumentError, /batch\[1\]\.count must be a whole number/],
      [
        [a, { ...a, count: 0 }],
        ArgumentError,
        /batch\[1\]\.count must be a whole number of at least 1, got 0/,
      ],
      [[a, { ...a, count: "7" }], ArgumentError, /batch\[1\]\.count/],
      [[a, large], ArgumentError, /count must be an integer from 1 to 11/],
      [[a, { ...a, inputs: new Float32Array(3) }], ShapeError, /inputs/],
      [[a, { ...a, inputs: a!.inputs.map(() => Number.NaN) }], DataError, /inputs/],
    ];
    for (const [list, error, text] of bad) {
      await assertThrows(() => own.step(list as Batch[]), error, text);
      assertEqual(own.steps, 1, "steps");
    }
    assertSame(await net.weights(), weights, "weights");
    assertSame(Object.values(await own.state()), Object.values(state), "state");
    const other = network(t.engine, vectors, LARGEST);
    const fresh = optimizers[name]!(t.engine, other);
    await fresh.step(good);
    assertEqual(
      JSON.stringify(await own.step(good)),
      JSON.stringify(await fresh.step(good)),
      "the next step",
    );
    for (const made of [own, net, fresh, other]) made.dispose();
  }
});

trainingTest("micro-batches: optimisers that need a batch in one pass say so", async (t) => {
  const net = network(t.engine, vectors, LARGEST);
  const batch = split(randomBatch(t.random(8), WHOLE, 7, 4, LOSS), SIZES);
  const kind = defineDirection({
    name: "columns",
    options: {},
    create: () => ({ fisher: () => ({ kind: "exact" as const }) }),
  });
  const refusing: [Optimizer, RegExp][] = [
    [
      t.engine.newton(net, { maxIterations: 3 }),
      /newton\.step: batch must be one batch, not a list of 4: its systems are solved with/,
    ],
    [
      t.engine.kfac(net, { curvature: "batch:ekfac" }),
      /kfac\.step: batch must be one batch, .* block batch:ekfac is fitted/,
    ],
    [
      new Optimizer(t.engine.manager, net, kind, { learningRate: 0.1 }),
      /columns\.step: .* columns takes its curvature from one pass/,
    ],
  ];
  for (const [own, text] of refusing) {
    assert(own.withoutMicroBatches !== undefined, "no reason");
    await assertThrows(() => own.step(batch), ArgumentError, text);
    // A list of one is that one.
    assertEqual((await own.step([batch[1]!])).step, 1, "a list of one");
    own.dispose();
  }
  net.dispose();
});

trainingTest(
  "micro-batches: a list of one has the bits of that one, and a list may be reused at once",
  async (t) => {
    const random = t.random(11);
    const make = optimizers["kfac, Monte-Carlo"]!;
    const batches = Array.from({ length: 3 }, () => randomBatch(random, LARGEST, 7, 4, LOSS));
    const run = async (list: boolean) => {
      const net = network(t.engine, vectors, LARGEST);
      const own = make(t.engine, net);
      const pending = batches.map((batch) => {
        const own_ = { ...batch, inputs: batch.inputs.slice() };
        const record = own.step(list ? [own_] : own_);
        own_.inputs.fill(0);
        return record;
      });
      const records = JSON.stringify(await Promise.all(pending));
      const weights = await net.weights();
      own.dispose();
      net.dispose();
      return { records, weights };
    };
    const [lists, alone] = [await run(true), await run(false)];
    assertEqual(lists.records, alone.records, "records");
    assertSame(lists.weights, alone.weights, "weights");
  },
);

trainingTest(
  "micro-batches: steps in flight keep their order, and go on from a checkpoint bit for bit",
  async (t) => {
    const random = t.random(12);
    const batches = Array.from({ length: 6 }, (_, k) => {
      const whole = randomBatch(random, WHOLE, 7, 4, LOSS);
      // Lone batches and lists, of other sizes each time.
      return k % 3 === 2 ? split(whole, SIZES)[1]! : split(whole, k % 2 === 0 ? SIZES : [11, 11, 7]);
    });
    for (const name of ["adam", "kfac, exact", "kfac, ekfac"]) {
      const make = optimizers[name]!;
      const [net, other] = [network(t.engine, vectors, LARGEST), network(t.engine, vectors, LARGEST)];
      const [own, resumed] = [make(t.engine, net), make(t.engine, other)];
      await Promise.all(batches.slice(0, 3).map((batch) => own.step(batch)));
      other.setWeights(await net.weights());
      resumed.restore(await own.state());
      const all = (one: Optimizer) => Promise.all(batches.slice(3).map((batch) => one.step(batch)));
      assertEqual(JSON.stringify(await all(own)), JSON.stringify(await all(resumed)), `${name}: records`);
      assertSame(await net.weights(), await other.weights(), `${name}: weights`);
      assertSame(Object.values(await own.state()), Object.values(await resumed.state()), `${name}: state`);
      for (const made of [own, resumed, net, other]) made.dispose();
    }
  },
);

trainingTest(
  "micro-batches: a submit for each and one for the step, and nothing new after the first steps",
  async (t) => {
    const net = network(t.engine, vectors, LARGEST);
    const own = optimizers["kfac, exact"]!(t.engine, net);
    const batch = split(randomBatch(t.random(13), WHOLE, 7, 4, LOSS), SIZES);
    for (let k = 0; k < 5; k++) await own.step(batch);
    const { pipelines, bindGroups, tables, buffers } = t.engine.manager.counts;
    const sent = await submits(t.device, async () => {
      for (let k = 0; k < 4; k++) await own.step(batch);
    });
    assertEqual(sent, 4 * (SIZES.length + 1), "submits");
    const after = t.engine.manager.counts;
    assertEqual(
      [after.pipelines, after.bindGroups, after.tables, after.buffers].join(),
      [pipelines, bindGroups, tables, buffers].join(),
      "what was made",
    );
    own.dispose();
    net.dispose();
  },
);

trainingTest("micro-batches: sums are freed with their optimiser", async (t) => {
  const net = network(t.engine, vectors, LARGEST);
  const batch = split(randomBatch(t.random(14), WHOLE, 7, 4, LOSS), SIZES);
  const live: number[] = [];
  for (let k = 0; k < 3; k++) {
    const own = optimizers["kfac, ekfac"]!(t.engine, net);
    await own.step(batch);
    own.dispose();
    live.push(t.engine.manager.counts.liveBytes);
  }
  // Tables and pooled scratch stay.
  assertEqual(live[2], live[1], "bytes");
  net.dispose();
});

trainingTest("micro-batches: a seam averages what they add up to", async (t) => {
  for (const name of ["sgd", "kfac, exact"]) {
    const net = network(t.engine, vectors, LARGEST);
    const other = network(t.engine, vectors, LARGEST);
    const [own, plain] = [optimizers[name]!(t.engine, net), optimizers[name]!(t.engine, other)];
    const calls: string[] = [];
    own.seam = { gradients: () => void calls.push("G"), statistics: () => void calls.push("factors") };
    const batch = split(randomBatch(t.random(15), WHOLE, 7, 4, LOSS), SIZES);
    const [record, expected] = [await own.step(batch), await plain.step(batch)];
    assertEqual(JSON.stringify(record), JSON.stringify(expected), "record");
    assertSame(await net.weights(), await other.weights(), "weights");
    assertEqual(calls.join(), name === "sgd" ? "G" : "G,factors", "calls, once a step");
    assert(flat(await net.weights()).every(Number.isFinite), "weights");
    for (const made of [own, plain, net, other]) made.dispose();
  }
});
