/** The place in a step where other processes come in. */
import { ArgumentError } from "../../src/errors.js";
import type { Engine } from "../../src/index.js";
import type { Batch } from "../../src/model/index.js";
import {
  conv2d,
  dense,
  flatten,
  type Module,
  type Network,
  relu,
  softmaxCrossEntropy,
  tanh,
} from "../../src/network/index.js";
import type { Optimizer, Seam, SeamTensors, StepRecord } from "../../src/optimizers/index.js";
import type { PipelineManager } from "../../src/pipeline/index.js";
import { submits } from "../curvature/spies.js";
import {
  assert,
  assertClose,
  assertEqual,
  assertThrows,
  type TestContext,
  trainingTest,
} from "../harness/kernel-test.js";
import { randomBatch } from "../network/helpers.js";
import { assertRecord, assertSame, moved } from "./helpers.js";

const LOSS = softmaxCrossEntropy();
const MODULES: Module[] = [dense(7, 12), tanh(), dense(12, 9, { bias: false }), relu(), dense(9, 4)];
const IMAGES: Module[] = [conv2d(1, 3, 3, { padding: 1 }), tanh(), flatten(), dense(3 * 20, 4)];

type Make = (engine: Engine, net: Network) => Optimizer;
const optimizers: Record<string, Make> = {
  sgd: (engine, net) => engine.sgd(net, { learningRate: 0.1, weightDecay: 0.01 }),
  adam: (engine, net) => engine.adam(net, { learningRate: 0.01, epsilon: 1e-3 }),
  "kfac, exact": (engine, net) =>
    engine.kfac(net, {
      fisher: "exact",
      factorEvery: 2,
      inverseEvery: 3,
      klClip: 0.01,
      learningRate: 0.2,
      momentum: 0.9,
      emaDecay: 0.95,
    }),
  "kfac, empirical": (engine, net) =>
    engine.kfac(net, {
      fisher: "empirical",
      learningRate: 0.05,
      damping: 0.1,
      momentum: 0.9,
      emaDecay: 0.95,
      weightDecay: 0.01,
    }),
};

/** What a ring of processes would do, between members of one process: all wait for each other and average in place. */
class Averaging {
  readonly #manager: PipelineManager;
  readonly #size: number;
  #waiting: { values: Float32Array[]; resolve: (means: Float32Array[]) => void }[] = [];

  constructor(manager: PipelineManager, size: number) {
    this.#manager = manager;
    this.#size = size;
  }

  readonly hook = async (tensors: SeamTensors): Promise<void> => {
    const ranges = Object.values(tensors);
    const recorder = this.#manager.record();
    const bytes = recorder.readRanges(ranges);
    recorder.submit();
    const values = (await bytes).map((data) => new Float32Array(data));
    const means = await new Promise<Float32Array[]>((resolve) => {
      this.#waiting.push({ values, resolve });
      if (this.#waiting.length === this.#size) this.#settle();
    });
    for (const [r, { buffer, offset }] of ranges.entries()) {
      this.#manager.device.queue.writeBuffer(buffer, offset, means[r]! as Float32Array<ArrayBuffer>);
    }
  };

  #settle(): void {
    const all = this.#waiting;
    this.#waiting = [];
    const means = all[0]!.values.map((values, r) =>
      values.map((_, k) => all.reduce((sum, member) => sum + member.values[r]![k]!, 0) / this.#size),
    );
    for (const { resolve } of all) resolve(means);
  }
}

/** A part of a batch. */
function part({ inputs, targets, count }: Batch, which: number, of: number): Batch {
  const [size, features] = [count / of, inputs.length / count];
  return {
    inputs: inputs.slice(which * size * features, (which + 1) * size * features),
    targets: targets.slice(which * size, (which + 1) * size),
    count: size,
  };
}

async function dataParallel(t: TestContext, make: Make, images = false): Promise<void> {
  const { engine } = t;
  const network = () =>
    images
      ? engine.network(IMAGES, LOSS, { batchSize: 16, seed: 3, input: [1, 5, 4] })
      : engine.network(MODULES, LOSS, { batchSize: 16, seed: 3 });
  const random = t.random(5);
  const batches = Array.from({ length: 20 }, () => randomBatch(random, 16, images ? 20 : 7, 4, LOSS));
  const whole = network();
  const alone = make(engine, whole);
  const before = await whole.weights();
  const averaging = new Averaging(engine.manager, 2);
  const nets = [network(), network()];
  const members = nets.map((net) => make(engine, net));
  for (const member of members) member.seam = { gradients: averaging.hook, statistics: averaging.hook };
  const pending: Promise<StepRecord>[][] = [[], []];
  const expected: StepRecord[] = [];
  for (const [k, batch] of batches.entries()) {
    for (const [rank, member] of members.entries()) pending[rank]!.push(member.step(part(batch, rank, 2)));
    expected.push(await alone.step(batch));
    // Some are awaited, some queue.
    if (k % 3 === 0) await Promise.all(pending.map((records) => records.at(-1)!));
  }
  const records = await Promise.all(pending.map((own) => Promise.all(own)));
  for (const [k, { step, loss, accuracy, gradientNorm, updateNorm, clip, status }] of expected.entries()) {
    for (const own of records) {
      const record = own[k]!;
      assertRecord(record, `step ${step}`);
      assertEqual(`${record.step} ${record.status}`, `${step} ${status}`, "step and status");
      const [found, wanted] = [
        [record.loss, record.gradientNorm, record.updateNorm, record.clip],
        [loss, gradientNorm, updateNorm, clip],
      ];
      assertClose(found, wanted, 1e-4, `loss, ‖G‖, ‖ηU‖ and ν of step ${step}`);
      assertClose([record.accuracy], [accuracy], 1e-6, `accuracy of step ${step}`);
    }
  }
  const [first, second] = await Promise.all(nets.map((net) => net.weights()));
  assertSame(first!, second!, "weights of the two");
  const change = moved(await whole.weights(), before);
  assertClose(moved(first!, before), change, 5e-5, "change of the weights");
  // The halves are not alike: without the seam they end elsewhere.
  const lonely = network();
  const other = make(engine, lonely);
  for (const batch of batches) await other.step(part(batch, 0, 2));
  const apart = moved(await lonely.weights(), before);
  const distance = Math.hypot(...apart.map((x, k) => x - change[k]!)) / Math.hypot(...change);
  assert(distance > 0.05, `half of the data does as well: ${distance}`);
  for (const made of [alone, ...members, other, whole, ...nets, lonely]) made.dispose();
}

for (const [name, make] of Object.entries(optimizers)) {
  trainingTest(`seam: ${name} on two halves of each batch is one on the whole`, async (t) => {
    await dataParallel(t, make);
  });
}

trainingTest("seam: so it is with convolutions", async (t) => {
  await dataParallel(t, optimizers["kfac, exact"]!, true);
});

for (const [name, make] of Object.entries(optimizers)) {
  trainingTest(
    `seam: ${name} with one that does nothing has the same bits, in a few submits a step`,
    async (t) => {
      const random = t.random(6);
      const batches = Array.from({ length: 6 }, () => randomBatch(random, 16, 7, 4, LOSS));
      const calls: string[] = [];
      const run = async (seam: Seam | undefined) => {
        const net = t.engine.network(MODULES, LOSS, { batchSize: 16, seed: 3 });
        const own = make(t.engine, net);
        own.seam = seam;
        const records: StepRecord[] = [];
        for (const batch of batches.slice(0, 4)) records.push(await own.step(batch));
        const sent = await submits(t.device, async () => {
          records.push(...(await Promise.all(batches.slice(4).map((batch) => own.step(batch)))));
        });
        // K-FAC's verdict comes between the two hooks.
        const parts = name.startsWith("kfac") ? 3 : 2;
        assertEqual(sent, seam ? 2 * parts : 2, "submits of two steps");
        const result = {
          weights: await net.weights(),
          state: await own.state(),
          records: JSON.stringify(records),
        };
        own.dispose();
        net.dispose();
        return result;
      };
      const idle: Seam = {
        gradients: ({ gradients, statistics, ...rest }) => {
          assertEqual(statistics!.bytes, 8, "bytes of the statistics");
          assert(gradients!.bytes > 4 * 100 && gradients!.offset === 0, "no gradients");
          assertEqual(Object.keys(rest).join(), "", "other tensors");
          calls.push("G");
        },
        statistics: async (tensors) => {
          await new Promise((resolve) => setTimeout(resolve, 1));
          calls.push(Object.keys(tensors).join());
        },
      };
      const [plain, apart, empty] = [await run(undefined), await run(idle), await run({})];
      const every = { "kfac, exact": 2, "kfac, empirical": 1 }[name];
      const steps = [0, 1, 2, 3, 4, 5].flatMap((k) => (every && k % every === 0 ? ["G", "factors"] : ["G"]));
      assertEqual(calls.join(), steps.join(), "calls");
      for (const other of [apart, empty]) {
        assertSame(other.weights, plain.weights, "weights");
        assertSame(Object.values(other.state), Object.values(plain.state), "state");
        assertEqual(other.records, plain.records, "records");
      }
    },
  );
}

trainingTest("seam: steps, state, restore and changes keep their order while one waits", async (t) => {
  const random = t.random(7);
  const [a, b, c] = Array.from({ length: 3 }, () => randomBatch(random, 16, 7, 4, LOSS)) as [
    Batch,
    Batch,
    Batch,
  ];
  const make = optimizers["kfac, exact"]!;
  const net = t.engine.network(MODULES, LOSS, { batchSize: 16, seed: 3 });
  const own = make(t.engine, net);
  const other = t.engine.network(MODULES, LOSS, { batchSize: 16, seed: 3 });
  const slow = make(t.engine, other);
  await own.step(a);
  await slow.step(a);
  let open = () => {};
  const gate = new Promise<void>((resolve) => {
    open = resolve;
  });
  own.seam = { gradients: () => gate };
  const second = own.step(b);
  own.seam = undefined;
  own.learningRate = 0.05;
  const third = own.step(c);
  const state = own.state();
  const restored = structuredClone(await slow.state());
  own.restore(restored);
  const again = own.step(c);
  // What was handed over may be reused at once.
  for (const data of Object.values(restored)) data.fill(0);
  await new Promise((resolve) => setTimeout(resolve, 20));
  assertEqual(own.steps, 1, "steps while the second waits");
  open();
  const records = await Promise.all([second, third, again]);
  assertEqual(records.map(({ step }) => step).join(), "2,3,2", "numbers of the steps");
  assertEqual(records.map(({ learningRate }) => learningRate).join(), "0.2,0.05,0.05", "rates");

  const start = await slow.state();
  await slow.step(b);
  slow.learningRate = 0.05;
  await slow.step(c);
  assertSame(Object.values(await state), Object.values(await slow.state()), "state after three steps");
  slow.restore(start);
  await slow.step(c);
  assertSame(await net.weights(), await other.weights(), "weights");
  assertSame(Object.values(await own.state()), Object.values(await slow.state()), "state");
  for (const made of [own, slow, net, other]) made.dispose();
});

trainingTest("seam: one that fails ends its step only", async (t) => {
  const [batch] = [randomBatch(t.random(8), 16, 7, 4, LOSS)];
  for (const make of [optimizers.sgd!, optimizers["kfac, exact"]!]) {
    const net = t.engine.network(MODULES, LOSS, { batchSize: 16, seed: 3 });
    const own = make(t.engine, net);
    await own.step(batch);
    const weights = await net.weights();
    const broken: Seam[] = [
      { gradients: () => Promise.reject(new RangeError("no peer")) },
      {
        gradients: () => {
          throw new RangeError("no peer");
        },
      },
    ];
    for (const seam of broken) {
      own.seam = seam;
      const failing = own.step(batch);
      own.seam = undefined;
      await assertThrows(() => failing, RangeError, /no peer/);
      assertEqual(own.steps, 1, "steps");
      assertSame(await net.weights(), weights, "weights");
    }
    const record = await own.step(batch);
    assertEqual(`${record.step} ${record.status}`, "2 ok", "the next step");
    own.dispose();
    net.dispose();
  }
});

trainingTest("seam: what is no seam is refused, and nothing is", (t) => {
  const net = t.engine.network(MODULES, LOSS, { batchSize: 16 });
  const sgd = t.engine.sgd(net, { learningRate: 0.1 });
  const seam = {};
  sgd.seam = seam;
  const bad: [unknown, RegExp][] = [
    [3, /sgd: seam must be an object, got 3/],
    [{ gradients: 1 }, /sgd: seam.gradients must be a function, got 1/],
    [{ statistics: "x" }, /seam.statistics must be a function/],
    [{ gradient: () => {} }, /seam.gradient is no hook; pass gradients/],
    [{ gradients: () => {}, statistic: () => {} }, /seam.statistic is no hook; pass statistics/],
    [Symbol("x"), /seam must be an object, got Symbol\(x\)/],
  ];
  for (const [value, text] of bad) {
    assertThrows(() => Object.assign(sgd, { seam: value }), ArgumentError, text);
    assert(sgd.seam === seam, "the seam has changed");
  }
  sgd.seam = undefined;
  assertEqual(sgd.seam, undefined, "seam");
  sgd.dispose();
  net.dispose();
});
