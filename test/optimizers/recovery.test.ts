/** What K-FAC with its defaults promises: no batch and no setting ends a run. */
import type { Batch } from "../../src/curvature/index.js";
import {
  dense,
  halfSquaredError,
  type Loss,
  type Module,
  type Network,
  relu,
  sigmoidCrossEntropy,
  softmaxCrossEntropy,
  tanh,
} from "../../src/network/index.js";
import type { Kfac, KfacOptions } from "../../src/optimizers/index.js";
import {
  assert,
  assertEqual,
  assertWritten,
  type Random,
  type TestContext,
  trainingTest,
} from "../harness/kernel-test.js";
import { assertSame, flat } from "./helpers.js";

type Record = Awaited<ReturnType<Kfac["step"]>>;

interface Problem {
  readonly name: string;
  readonly modules: readonly Module[];
  readonly loss: Loss;
  /** A batch of so many examples; `changed` is another truth. */
  batch(random: Random, count: number, changed?: boolean): Batch;
}

const COUNT = 32;
const HELD = 256;

const classes: Problem = {
  name: "classes, tanh",
  modules: [dense(8, 16), tanh(), dense(16, 4)],
  loss: softmaxCrossEntropy(),
  batch(random, count, changed = false) {
    const inputs = random.normals(8 * count);
    const targets = Uint32Array.from({ length: count }, (_, i) => {
      const x = inputs.subarray(8 * i, 8 * i + 8);
      const label = (x[0]! + x[1]! > 0 ? 1 : 0) + (x[2]! - x[3]! + 0.4 * random.normal() > 0 ? 2 : 0);
      return changed ? (label + 1) % 4 : label;
    });
    return { inputs, targets, count };
  },
};

const numbers: Problem = {
  name: "numbers, relu",
  modules: [dense(6, 20), relu(), dense(20, 12), relu(), dense(12, 3)],
  loss: halfSquaredError(),
  batch(random, count, changed = false) {
    const inputs = random.normals(6 * count);
    const targets = new Float32Array(3 * count);
    for (let i = 0; i < count; i++) {
      const x = inputs.subarray(6 * i, 6 * i + 6);
      const y = [Math.abs(x[0]!) - x[1]!, x[2]! * 2 + Math.max(x[3]!, 0), Math.sin(x[4]!) + x[5]!];
      for (let j = 0; j < 3; j++)
        targets[3 * i + j] = (changed ? 20 - 3 * y[(j + 1) % 3]! : y[j]!) + 0.3 * random.normal();
    }
    return { inputs, targets, count };
  },
};

/** One run, its losses on data held back. */
class Run {
  readonly net: Network;
  readonly kfac: Kfac;
  readonly records: Record[] = [];
  readonly #random: Random;
  readonly #problem: Problem;
  readonly #held: { [truth in "old" | "new"]: Batch };

  constructor(t: TestContext, problem: Problem, seed = 1, options: KfacOptions = {}) {
    this.#problem = problem;
    this.net = t.engine.network(problem.modules, problem.loss, { batchSize: HELD, seed });
    this.kfac = t.engine.kfac(this.net, options);
    this.#random = t.random(10 + seed);
    this.#held = { old: problem.batch(t.random(5), HELD), new: problem.batch(t.random(5), HELD, true) };
  }

  batch(changed = false): Batch {
    return this.#problem.batch(this.#random, COUNT, changed);
  }

  async loss(truth: "old" | "new" = "old"): Promise<number> {
    return (await this.net.evaluate(this.#held[truth])).loss;
  }

  /** Steps in flight together, and their records. */
  async take(count: number, batch: (k: number) => Batch = () => this.batch()): Promise<Record[]> {
    const records = await Promise.all(Array.from({ length: count }, (_, k) => this.kfac.step(batch(k))));
    this.records.push(...records);
    return records;
  }

  async finite(what: string): Promise<void> {
    assertWritten(flat(await this.net.weights()), `${what}: weights`);
    const count = (wanted: Record["verdict"]) =>
      this.records.filter(({ verdict }) => verdict === wanted).length;
    const { rejected, heldBatches } = this.records.at(-1)!;
    assertEqual(`${rejected} ${heldBatches}`, `${count("restored")} ${count("held")}`, `${what}: counts`);
    for (const record of this.records) {
      assert(Number.isFinite(record.lambda), `${what}: λ of step ${record.step} is ${record.lambda}`);
      const words = {
        taken: /./,
        burnIn: /./,
        held: /^batch left out: /,
        restored: /the last step is taken back, λ raised/,
      }[record.verdict];
      assert(
        words.test(record.status),
        `${what}: status of a step that was ${record.verdict}: ${record.status}`,
      );
    }
  }

  /** A run of its own that goes on from here. */
  async copy(t: TestContext): Promise<Run> {
    const other = new Run(t, this.#problem, 2);
    await other.take(2);
    other.net.setWeights(await this.net.weights());
    other.kfac.restore(await this.kfac.state());
    return other;
  }

  dispose(): void {
    this.kfac.dispose();
    this.net.dispose();
  }
}

const scaled = (batch: Batch, scale: number): Batch => ({
  ...batch,
  inputs: (batch.inputs as Float32Array).map((x) => x * scale),
});

const oneHuge = (batch: Batch): Batch => {
  const inputs = (batch.inputs as Float32Array).slice();
  inputs[7] = 1e30;
  return { ...batch, inputs };
};

/** A loss that is no number: by its targets, or where these are classes by its inputs. */
const overflowing = (batch: Batch): Batch =>
  batch.targets instanceof Float32Array
    ? { ...batch, targets: batch.targets.map((y) => 3e38 * Math.sign(y)) }
    : { ...batch, inputs: (batch.inputs as Float32Array).map((x) => 3e38 * Math.sign(x)) };

type Trouble = (run: Run) => Promise<unknown>;

/** Each leaves 50 steps from its first bad one. */
const troubles: { readonly [name: string]: Trouble } = {
  "an input of 1e30": async (run) => {
    await run.take(1, () => oneHuge(run.batch()));
    await run.take(49);
  },
  "inputs × 1e6": async (run) => {
    await run.take(1, () => scaled(run.batch(), 1e6));
    await run.take(49);
  },
  "a loss that overflows": async (run) => {
    const [record] = await run.take(1, () => overflowing(run.batch()));
    if (record!.verdict === "held") assert(/batch left out/.test(record!.status), record!.status);
    await run.take(49);
  },
  "three bad batches in a row": async (run) => {
    await run.take(3, (k) => (k === 1 ? scaled(run.batch(), 1e6) : overflowing(run.batch())));
    await run.take(47);
  },
  "a rate × 1000, left there": async (run) => {
    run.kfac.change({ learningRate: 1000 * run.records.at(-1)!.learningRate });
    await run.take(50);
  },
  "λ / 1e6, left there": async (run) => {
    run.kfac.change({ damping: run.records.at(-1)!.lambda / 1e6 });
    await run.take(50);
  },
  both: async (run) => {
    const { learningRate, lambda } = run.records.at(-1)!;
    run.kfac.change({ learningRate: 1000 * learningRate, damping: lambda / 1e6 });
    await run.take(50);
  },
  "every fourth batch bad": async (run) => {
    const bad = [oneHuge, overflowing, (batch: Batch) => scaled(batch, 1e6)];
    await run.take(50, (k) => (k % 4 === 0 ? bad[(k / 4) % 3]!(run.batch()) : run.batch()));
  },
};

for (const problem of [classes, numbers]) {
  for (const [name, trouble] of Object.entries(troubles)) {
    trainingTest(`recovery: ${problem.name}: ${name}`, async (t) => {
      const run = new Run(t, problem);
      const start = await run.loss();
      await run.take(40);
      const before = await run.loss();
      assert(before < 0.6 * start, `40 good steps lead from ${start} to ${before} only`);
      await trouble(run);
      const after = await run.loss();
      await run.finite(name);
      assert(after <= 1.2 * before, `loss ${before} before, ${after} 50 steps after`);
      run.dispose();
    });
  }

  trainingTest(`recovery: ${problem.name}: other data for good are accepted and learned`, async (t) => {
    const run = new Run(t, problem);
    await run.take(40);
    const peak = await run.loss("new");
    const records = await run.take(50, () => run.batch(true));
    assertEqual(records.at(-1)!.verdict, "taken", "verdict in the end");
    await run.take(30, () => run.batch(true));
    const loss = await run.loss("new");
    await run.finite("changed");
    assert(loss < 0.3 * peak, `loss on the new data ${peak} at the change, ${loss} after 80 steps`);
    run.dispose();
  });

  trainingTest(`recovery: ${problem.name}: bad batches first`, async (t) => {
    for (const [name, bad] of Object.entries({
      oneHuge,
      overflowing,
      scaled: (batch: Batch) => scaled(batch, 1e6),
    })) {
      const run = new Run(t, problem);
      const start = await run.loss();
      await run.take(3, () => bad(run.batch()));
      await run.take(47);
      const loss = await run.loss();
      await run.finite(name);
      assert(loss < 0.6 * start, `${name}: from ${start} to ${loss} only`);
      run.dispose();
    }
  });
}

trainingTest(
  "recovery: a bad batch changes nothing, a second one puts the last step's weights back, to the bit",
  async (t) => {
    const run = new Run(t, numbers);
    await run.take(12);
    const good = await run.net.weights();
    const [{ verdict }] = (await run.take(1)) as [Record];
    assertEqual(verdict, "taken", "a good batch");
    const [after, state] = [await run.net.weights(), await run.kfac.state()];
    assert(
      flat(after).some((w, k) => w !== flat(good)[k]),
      "the step moved nothing",
    );
    const bad = () => scaled(run.batch(), 1e6);

    const [first] = await run.take(1, bad);
    assertEqual(first!.verdict, "held", "one bad batch");
    assertSame(await run.net.weights(), after, "weights after it");
    const then = await run.kfac.state();
    for (const part of ["velocity", "factors", "goodWeights"])
      assertSame([then[part]!], [state[part]!], `${part} after it`);

    const [second] = await run.take(1, bad);
    assertEqual(second!.verdict, "restored", "another");
    assertSame(await run.net.weights(), good, "weights after that");
    const end = await run.kfac.state();
    assertSame([end.factors!], [state.factors!], "factors after that");
    assert(
      state.velocity!.some((v) => v !== 0) && end.velocity!.every((v) => v === 0),
      "velocity after that",
    );
    run.dispose();
  },
);

trainingTest("recovery: a step that ruins the weights is taken back, whatever was set", async (t) => {
  const options = { learningRate: 0.02, momentum: 0.5, damping: 0.1, trustRegion: 0 };
  const run = new Run(t, numbers, 1, options);
  await run.take(30);
  const [before, good] = [await run.loss(), await run.net.weights()];
  run.kfac.change({ learningRate: 1e4 });
  await run.take(1);
  run.kfac.change({ learningRate: options.learningRate });
  const ruined = await run.loss();
  assert(!(ruined < 100 * before), `the step was to ruin the weights: ${before}, then ${ruined}`);
  const records = await run.take(2);
  assertEqual(records.map((record) => record.verdict).join(), "held,restored", "verdicts");
  assertSame(await run.net.weights(), good, "weights");
  await run.take(30);
  assert((await run.loss()) <= 1.2 * before, "the loss is not back");
  await run.finite("a ruinous step");
  run.dispose();
});

trainingTest("recovery: a run that is resumed between bad batches goes on bit for bit", async (t) => {
  const run = new Run(t, numbers);
  await run.take(12);
  const batches = Array.from({ length: 9 }, (_, k) =>
    k === 2 ? run.batch() : scaled(run.batch(), k < 5 ? 1e6 : 1),
  );
  const expected = ["held", "restored", "taken", "held", "restored", "taken"];
  const copies: Run[] = [];
  for (const batch of batches) {
    copies.push(await run.copy(t));
    await run.take(1, () => batch);
  }
  assertEqual(
    run.records
      .slice(12, 18)
      .map(({ verdict }) => verdict)
      .join(),
    expected.join(),
    "verdicts",
  );
  for (const [stop, copy] of copies.entries()) {
    const again = await copy.take(9 - stop, (k) => batches[stop + k]!);
    assertEqual(
      JSON.stringify(again),
      JSON.stringify(run.records.slice(12 + stop)),
      `records, resumed after ${stop}`,
    );
    assertSame(await copy.net.weights(), await run.net.weights(), `weights, resumed after ${stop}`);
    const states = [await copy.kfac.state(), await run.kfac.state()].map((state) => Object.values(state));
    assertSame(states[0]!, states[1]!, `state, resumed after ${stop}`);
    copy.dispose();
  }
  run.dispose();
});

trainingTest("recovery: an auto-encoder with a linear code never ends above its start", async (t) => {
  const loss = sigmoidCrossEntropy();
  const side = 14;
  const pixels = side * side;
  const count = 60;
  const random = t.random(3);
  const inputs = new Float32Array(count * pixels);
  for (let i = 0; i < count; i++) {
    // Three smooth blobs.
    for (let blob = 0; blob < 3; blob++) {
      const [x, y, width] = [side * random.uniform(), side * random.uniform(), 1.5 + 2.5 * random.uniform()];
      for (let k = 0; k < pixels; k++) {
        const distance = ((k % side) - x) ** 2 + (Math.floor(k / side) - y) ** 2;
        const at = i * pixels + k;
        inputs[at] = Math.max(inputs[at]!, Math.exp(-distance / width ** 2));
      }
    }
  }
  const batch: Batch = { inputs, targets: inputs, count };
  const modules = [dense(pixels, 60), relu(), dense(60, 12), dense(12, 60), relu(), dense(60, pixels)];
  const net = t.engine.network(modules, loss, { batchSize: count, seed: 1 });
  const kfac = t.engine.kfac(net);
  const records = await Promise.all(Array.from({ length: 60 }, () => kfac.step(batch)));
  const [start, end] = [records[0]!.loss, (await net.evaluate(batch)).loss];
  assertWritten(flat(await net.weights()), "weights");
  assert(Math.max(...records.map((record) => record.loss)) <= 1.2 * start, "the loss rises");
  assert(end < 0.7 * start, `from ${start} to ${end} only`);
  kfac.dispose();
  net.dispose();
});

trainingTest("recovery: batches with examples of a rare class are learned, and not left out", async (t) => {
  for (const seed of [1, 2, 3]) {
    const random = t.random(40 + seed);
    const [all, size] = [512, 16];
    const inputs = random.normals(3 * all);
    const rare = Uint32Array.from({ length: all }, (_, i) => (inputs[3 * i]! > 2 ? 1 : 0));
    const net = t.engine.network([dense(3, 8), relu(), dense(8, 2)], softmaxCrossEntropy(), {
      batchSize: all,
      seed,
    });
    const kfac = t.engine.kfac(net);
    const draw = (): Batch => {
      const chosen = Array.from({ length: size }, () => Math.floor(all * random.uniform()));
      return {
        inputs: Float32Array.from(chosen.flatMap((i) => Array.from(inputs.subarray(3 * i, 3 * i + 3)))),
        targets: Uint32Array.from(chosen, (i) => rare[i]!),
        count: size,
      };
    };
    const records: Record[] = [];
    for (let k = 0; k < 10; k++) {
      records.push(...(await Promise.all(Array.from({ length: 30 }, () => kfac.step(draw())))));
    }
    const late = records.slice(200).filter(({ verdict }) => verdict !== "taken").length;
    const { loss } = await net.evaluate({ inputs, targets: rare, count: all });
    assert(late <= 15, `seed ${seed}: ${late} of the last 100 batches were left out`);
    // Of who says no to all of them.
    const share = rare.reduce((sum, one) => sum + one, 0) / all;
    const blind = -share * Math.log(share) - (1 - share) * Math.log(1 - share);
    assert(loss < blind, `seed ${seed}: loss ${loss}, ${blind} without a look at the inputs`);
    kfac.dispose();
    net.dispose();
  }
});

trainingTest("recovery: weights wait for curvature of the new data", async (t) => {
  const run = new Run(t, numbers);
  await run.take(40);
  const other = () => {
    const batch = run.batch(true);
    return { ...batch, targets: (batch.targets as Float32Array).map((y) => 100 * y) };
  };
  const records = await run.take(6, other);
  const verdicts = records.map(({ verdict }) => verdict).join();
  assertEqual(verdicts, "held,restored,held,held,held,burnIn", "verdicts");
  assert(/^the data have changed/.test(records[5]!.status), records[5]!.status);
  const before = await run.net.weights();
  const later = await run.take(9, other);
  assertEqual([...new Set(later.map(({ verdict }) => verdict))].join(), "burnIn", "later verdicts");
  assertSame(await run.net.weights(), before, "weights");
  const then = await run.take(40, other);
  assertEqual(then[0]!.verdict, "taken", "verdict in the end");
  await run.finite("other data");
  assert(then.at(-1)!.loss < 0.5 * records[5]!.loss, `${records[5]!.loss}, then ${then.at(-1)!.loss}`);
  run.dispose();
});

for (const scale of [1e-3, 1e3]) {
  trainingTest(`recovery: regression with targets of scale ${scale}`, async (t) => {
    const run = new Run(t, {
      ...numbers,
      batch(random, count, changed) {
        const batch = numbers.batch(random, count, changed);
        return { ...batch, targets: (batch.targets as Float32Array).map((y) => scale * y) };
      },
    });
    const start = await run.loss();
    await run.take(60);
    const loss = await run.loss();
    await run.finite("scaled targets");
    assert(loss < 0.4 * start, `from ${start} to ${loss} only`);
    run.dispose();
  });
}
