/** Training over epochs: the same steps as by hand, whole and in parts, and how a run ends. */
import { BatchStream, type Dataset } from "../../src/data/index.js";
import { AbortedError } from "../../src/errors.js";
import type { AnyBatch } from "../../src/model/index.js";
import {
  add,
  dense,
  globalAveragePool,
  graph,
  type Network,
  oneHot,
  softmaxCrossEntropy,
} from "../../src/network/index.js";
import type { StepRecord } from "../../src/optimizers/index.js";
import { shuffle } from "../../src/random/index.js";
import { type EpochSummary, FitAbortedError, type FitHistory } from "../../src/training/index.js";
import { assert, assertClose, assertEqual, assertThrows, trainingTest } from "../harness/kernel-test.js";
import { randomBatch } from "../network/helpers.js";
import { assertSame } from "../optimizers/helpers.js";
import { COUNT, networkFor, trainingData } from "./helpers.js";

const SGD = { learningRate: 0.1 };

trainingTest("fit: the steps of a loop by hand, bit for bit", async (t) => {
  const { engine } = t;
  const data = trainingData(t);
  const byHand = networkFor(engine);
  const sgd = engine.sgd(byHand, SGD);
  const losses: number[] = [];
  const means: number[] = [];
  for (const epoch of [0, 1, 2]) {
    const order = shuffle(COUNT, 5, epoch);
    let sum = 0;
    for (let start = 0; start < COUNT; start += 4) {
      const batch = rowsOf(data, order.subarray(start, start + 4));
      const { loss } = await sgd.step(batch);
      losses.push(loss);
      sum += loss * batch.count;
    }
    means.push(sum / COUNT);
  }
  const net = networkFor(engine);
  const own = engine.sgd(net, SGD);
  const records: StepRecord[] = [];
  const places: string[] = [];
  const history = await engine.fit(net, own, data, {
    epochs: 3,
    seed: 5,
    onStep(record, { epoch, step }) {
      records.push(record);
      places.push(`${epoch}.${step}`);
    },
  });
  assertSame(await net.weights(), await byHand.weights(), "weights");
  assertEqual(records.map(({ loss }) => loss).join(), losses.join(), "losses");
  assertEqual(places.join(" "), "1.1 1.2 1.3 2.1 2.2 2.3 3.1 3.2 3.3", "places");
  assertEqual(records.map(({ step }) => step).join(), "1,2,3,4,5,6,7,8,9", "numbers of the steps");
  assertClose(
    history.epochs.map(({ loss }) => loss),
    means,
    1e-12,
    "means",
  );
  assertEqual(
    history.epochs.map(({ steps, examples }) => `${steps} ${examples}`).join(),
    "3 10,3 10,3 10",
    "sizes",
  );
  assertEqual(`${history.ended} ${history.steps} ${history.restored}`, "epochs 9 false", "end");
  for (const one of [byHand, net]) one.dispose();
});

trainingTest("fit: a data set in the order of BatchStream, without the smaller last batch", async (t) => {
  const { engine } = t;
  const data: Dataset = {
    count: 7,
    features: 3,
    featureShape: [3],
    classes: 2,
    images: Uint8Array.from({ length: 21 }, (_, k) => (k * 37) % 256),
    labels: Uint8Array.of(0, 1, 1, 0, 1, 0, 0),
  };
  const byHand = networkFor(engine);
  const sgd = engine.sgd(byHand, SGD);
  const stream = new BatchStream(data, 2, 8, byHand.loss);
  for (const index of [0, 1, 2, 4, 5, 6]) await sgd.step(stream.batch(index));
  const net = networkFor(engine);
  await engine.fit(net, engine.sgd(net, SGD), data, { epochs: 2, batchSize: 2, dropLast: true, seed: 8 });
  assertSame(await net.weights(), await byHand.weights(), "weights");
  for (const one of [byHand, net]) one.dispose();
});

trainingTest("fit: several inputs by name, indices among them, and examples by number", async (t) => {
  const { engine } = t;
  const make = () =>
    engine.network(
      graph({
        inputs: { words: { indices: 5, length: 2 }, size: 3 },
        values: {
          text: [[oneHot(), dense(5, 2, { bias: false }), globalAveragePool()], "words"],
          number: [dense(3, 2), "size"],
          sum: [add(), "text", "number"],
        },
        output: "sum",
      }),
      softmaxCrossEntropy(),
      { batchSize: 4, seed: 2 },
    );
  const { inputs, targets, count } = trainingData(t);
  const words = Uint32Array.from({ length: 2 * COUNT }, (_, k) => (3 * k) % 5);
  const data = { inputs: { words, size: inputs }, targets, count };
  const [byHand, net, other] = [make(), make(), make()];
  const sgd = engine.sgd(byHand, SGD);
  for (let start = 0; start < COUNT; start += 4) {
    const end = Math.min(COUNT, start + 4);
    await sgd.step({
      inputs: { words: words.subarray(2 * start, 2 * end), size: inputs.subarray(3 * start, 3 * end) },
      targets: targets.subarray(start, end),
      count: end - start,
    });
  }
  const options = { epochs: 1, shuffle: false, validation: data };
  await engine.fit(net, engine.sgd(net, SGD), data, options);
  assertSame(await net.weights(), await byHand.weights(), "weights");
  // The same examples, made when they are asked for.
  const made = {
    count,
    async batch(indices: Uint32Array): Promise<AnyBatch> {
      const size = rowsOf({ inputs, targets, count }, indices);
      const own = Array.from(indices).flatMap((i) => [...words.subarray(2 * i, 2 * i + 2)]);
      return { ...size, inputs: { words: Uint32Array.from(own), size: size.inputs } };
    },
  };
  const history = await engine.fit(other, engine.sgd(other, SGD), made, { ...options, validation: made });
  assertSame(await other.weights(), await byHand.weights(), "weights by number");
  const evaluation = await byHand.evaluate(data);
  assertClose([history.epochs[0]!.validationLoss!], [evaluation.loss], 1e-6, "validation by number");
  for (const one of [byHand, net, other]) one.dispose();
});

trainingTest("fit: goes on where it stopped as if it had not", async (t) => {
  const { engine } = t;
  const data = trainingData(t);
  const options = { epochs: 4, seed: 1 };
  const whole = networkFor(engine);
  const all = await engine.fit(whole, engine.adam(whole), data, options);

  const net = networkFor(engine);
  const adam = engine.adam(net);
  await engine.fit(net, adam, data, { ...options, epochs: 2 });
  // Then the third epoch and the first steps of the fourth, by a signal that comes while others are under way.
  const controller = new AbortController();
  const error = (await assertThrows(
    () =>
      engine.fit(net, adam, data, {
        ...options,
        start: { epoch: 3 },
        signal: controller.signal,
        onStep: (_, { epoch, step }) => epoch === 4 && step === 1 && controller.abort("enough"),
      }),
    FitAbortedError,
  )) as FitAbortedError;
  assert(error instanceof AbortedError && error.reason === "enough", "an AbortedError with its reason");
  const { at, ended, epochs, steps } = error.history;
  assertEqual(ended, "aborted", "end");
  assertEqual(adam.steps, 6 + steps, "steps, all of them in the history");
  assert(at.epoch === 4 && at.step! >= 1 && epochs.length === 1, JSON.stringify(error.history));
  const rest = await engine.fit(net, adam, data, { ...options, start: at });
  assertEqual(adam.steps, 12, "steps");
  assertSame(await net.weights(), await whole.weights(), "weights");
  assertEqual(epochs[0]!.loss, all.epochs[2]!.loss, "loss of epoch 3");
  assertEqual(rest.at.epoch, 5, "the place after it all");
  const nothing = await engine.fit(net, adam, data, { ...options, start: rest.at });
  assertEqual(
    `${nothing.steps} ${nothing.epochs.length} ${nothing.ended}`,
    "0 0 epochs",
    "nothing left to do",
  );
  for (const one of [whole, net]) one.dispose();
});

trainingTest("fit: validation is the network's evaluate, of data of its own or of a share", async (t) => {
  const { engine } = t;
  const data = trainingData(t);
  const kept = randomBatch(t.random(9), 7, 3, 2, softmaxCrossEntropy());
  const net = networkFor(engine);
  const seen: number[] = [];
  const history = await engine.fit(net, engine.sgd(net, SGD), data, {
    epochs: 3,
    validation: kept,
    validateEvery: 2,
    async onEpoch({ epoch, validationLoss, validationAccuracy }) {
      if (epoch === 1) {
        assertEqual(validationLoss, undefined, "validation after epoch 1");
        return;
      }
      const { loss, accuracy } = await net.evaluate(kept);
      assertEqual(validationLoss, loss, `validation loss ${epoch}`);
      assertEqual(validationAccuracy, accuracy, `validation accuracy ${epoch}`);
      seen.push(loss);
    },
  });
  const best = seen.indexOf(Math.min(...seen)) + 2;
  assertEqual(history.bestEpoch, best, "best epoch, the last being validated as well");

  // A share: which examples, follows from the seed; what is left is trained on.
  const numbers: number[] = [];
  const examples = {
    count: COUNT,
    batch(indices: Uint32Array) {
      numbers.push(...indices);
      return rowsOf(data, indices);
    },
  };
  const parts = async (seed: number) => {
    numbers.length = 0;
    await engine.fit(net, engine.sgd(net, SGD), examples, { epochs: 1, validation: 0.3, seed });
    return { trained: numbers.slice(0, 7).sort(), kept: numbers.slice(7) };
  };
  const { trained, kept: split } = await parts(4);
  assertEqual([...trained, ...split].sort().join(), "0,1,2,3,4,5,6,7,8,9", "both parts together");
  assertEqual((await parts(4)).kept.join(), split.join(), "the same seed");
  assert((await parts(5)).kept.join() !== split.join(), "another seed");
  const share = await engine.fit(net, engine.sgd(net, SGD), data, { epochs: 1, validation: 0.3, seed: 4 });
  const { loss } = await net.evaluate(rowsOf(data, Uint32Array.from(split)));
  assertClose([share.epochs[0]!.validationLoss!], [loss], 1e-6, "loss of the share");
  net.dispose();
});

trainingTest("fit: early stopping puts the best weights back", async (t) => {
  const { engine } = t;
  const data = trainingData(t);
  const after: Float32Array[][] = [];
  const values = [3, 2, 1.95, 2.5, Number.NaN, 1];
  const run = async (net: Network, options: object): Promise<FitHistory> => {
    after.length = 0;
    return engine.fit(net, engine.sgd(net, SGD), data, {
      epochs: 6,
      earlyStopping: {
        metric: (summary: EpochSummary) => values[summary.epoch - 1]!,
        patience: 3,
        ...options,
      },
      onEpoch: async () => after.push(await net.weights()),
    });
  };
  const net = networkFor(engine);
  const history = await run(net, { minDelta: 0.1 });
  assertEqual(`${history.ended} ${history.epochs.length}`, "early stopping 5", "end");
  assertEqual(`${history.bestEpoch} ${history.restored}`, "2 true", "best");
  assertSame(await net.weights(), after[1]!, "weights after epoch 2");

  const kept = await run(networkFor(engine), { minDelta: 0.1, restoreBest: false });
  assertEqual(`${kept.bestEpoch} ${kept.restored} ${kept.epochs.length}`, "2 false 5", "without");
  const last = networkFor(engine);
  const lasting = await run(last, { patience: 4 });
  assertEqual(
    `${lasting.ended} ${lasting.bestEpoch} ${lasting.restored}`,
    "epochs 6 false",
    "the last is best",
  );
  assertSame(await last.weights(), after[5]!, "weights after epoch 6");
  for (const one of [net, last]) one.dispose();
});

trainingTest("fit: never more steps under way than allowed, and none at an epoch's end", async (t) => {
  const { engine } = t;
  const data = trainingData(t);
  for (const inFlight of [1, 2, undefined]) {
    const net = networkFor(engine);
    const sgd = engine.sgd(net, SGD);
    let [open, most] = [0, 0];
    const counting = {
      async step(batch: AnyBatch) {
        most = Math.max(most, ++open);
        const record = await sgd.step(batch);
        open--;
        return record;
      },
    };
    const progress: string[] = [];
    await engine.fit(net, counting, data, {
      epochs: 2,
      steps: 8,
      batchSize: 2,
      inFlight,
      onEpoch: () => assertEqual(open, 0, "steps under way after an epoch"),
      onProgress: ({ epoch, step, stepsPerEpoch, done, total }) =>
        progress.push(`${epoch}:${step}/${stepsPerEpoch} ${done}/${total}`),
    });
    assertEqual(most, inFlight ?? 4, "most steps under way");
    assertEqual(progress.slice(-2).join(), "2:2/5 7/8,2:3/5 8/8", "progress");
    net.dispose();
  }
});

trainingTest("fit: a callback may end the run, and change what comes", async (t) => {
  const { engine } = t;
  const data = trainingData(t);
  const net = networkFor(engine);
  const sgd = engine.sgd(net, SGD);
  const rates: number[] = [];
  const onStep = await engine.fit(net, sgd, data, {
    epochs: 5,
    inFlight: 2,
    onStep({ learningRate, step }) {
      rates.push(learningRate);
      sgd.learningRate = 0.1 / (step + 1);
      return step === 4 ? "stop" : false;
    },
  });
  // With two under way, what step 1 says counts from step 3 on, whatever the speed of the GPU; after an epoch none is.
  assertClose(rates, [0.1, 0.1, 0.1 / 2, 0.1 / 4, 0.1 / 4], 1e-7, "rates");
  assertEqual(
    `${onStep.ended} ${onStep.steps} ${JSON.stringify(onStep.at)}`,
    'callback 5 {"epoch":2,"step":2}',
    "end",
  );
  const lines: string[] = [];
  const onEpoch = await engine.fit(net, sgd, data, {
    steps: 100,
    log: (line) => lines.push(line),
    onEpoch: async ({ epoch }) => (epoch < 2 ? undefined : "stop"),
  });
  assertEqual(`${onEpoch.ended} ${onEpoch.epochs.length}`, "callback 2", "end by onEpoch");
  assert(/^epoch 2 {2}loss 0\.\d+ \(\d+\.0 % right\) {2}\d+(\.\d s| ms)$/.test(lines[1]!), lines[1]!);
  net.dispose();
});

trainingTest("fit: steps taken back and batches left out are counted, and told", async (t) => {
  const { engine } = t;
  const net = networkFor(engine);
  const sgd = engine.sgd(net, SGD);
  // Verdicts of steps 1 to 6, two epochs.
  const verdicts = ["taken", "held", "restored", "held", "taken", "taken"];
  const judging = {
    step: async (batch: AnyBatch) => {
      const record = await sgd.step(batch);
      return { ...record, verdict: verdicts[record.step - 1] };
    },
  };
  const lines: string[] = [];
  const { epochs } = await engine.fit(net, judging, trainingData(t), {
    epochs: 2,
    log: (line) => lines.push(line),
  });
  assertEqual(epochs.map(({ rejected, held }) => `${rejected} ${held}`).join(), "1 1,0 1", "counts");
  assert(/ {2}1 step taken back {2}1 batch left out {2}/.test(lines[0]!), lines[0]!);
  assert(/right\) {2}1 batch left out {2}/.test(lines[1]!), lines[1]!);
  net.dispose();
});

/** Some of the examples. */
function rowsOf({ inputs, targets, count }: ReturnType<typeof trainingData>, indices: Uint32Array) {
  const width = inputs.length / count;
  return {
    inputs: Float32Array.from([...indices].flatMap((i) => [...inputs.subarray(i * width, (i + 1) * width)])),
    targets: Uint32Array.from(indices, (i) => targets[i]!),
    count: indices.length,
  };
}
