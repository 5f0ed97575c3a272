/** What may go wrong with a run: arguments, data, steps, callbacks, signals, the device. */
import { AbortedError, ArgumentError, DataError, DeviceLostError, ShapeError } from "../../src/errors.js";
import type { AnyBatch } from "../../src/model/index.js";
import { FitAbortedError, type FitData, type FitOptions } from "../../src/training/index.js";
import { createEngine } from "../harness/engine.js";
import { assert, assertEqual, assertThrows, trainingTest } from "../harness/kernel-test.js";
import { assertSame } from "../optimizers/helpers.js";
import { COUNT, networkFor, trainingData } from "./helpers.js";

const SGD = { learningRate: 0.1 };
const THREE = [1, 2, 3];

trainingTest("fit: everything wrong with the arguments is refused before the first step", async (t) => {
  const { engine } = t;
  const net = networkFor(engine);
  const sgd = engine.sgd(net, SGD);
  const data = trainingData(t);
  const weights = await net.weights();
  const refused = async (
    options: unknown,
    message: RegExp,
    given: unknown = data,
    error: Parameters<typeof assertThrows>[1] = ArgumentError,
  ) => assertThrows(() => engine.fit(net, sgd, given as FitData, options as FitOptions), error, message);
  const cases: [options: Record<string, unknown>, message: RegExp][] = [
    [{ epochs: undefined }, /^fit: epochs must be a whole number of at least 1 where steps is not given/],
    [{ epochs: 0 }, /^fit: epochs must be a whole number of at least 1, got 0/],
    [{ epochs: null }, /^fit: epochs must be .*got null/],
    [{ steps: 1.5 }, /^fit: steps must be .*got 1.5/],
    [{ stepsPerEpoch: -1 }, /^fit: stepsPerEpoch must be .*got -1/],
    [{ batchSize: "4" }, /^fit: batchSize must be .*got "4"/],
    [{ seed: -1 }, /^fit: seed must be a whole number from 0 to 4294967295, got -1/],
    [{ inFlight: 65 }, /^fit: inFlight must be a whole number from 1 to 64, got 65/],
    [{ validateEvery: 0 }, /^fit: validateEvery must be .*got 0/],
    [{ shuffle: 1 }, /^fit: shuffle must be true or false, got 1/],
    [{ dropLast: "no" }, /^fit: dropLast must be true or false, got "no"/],
    [{ onStep: 3 }, /^fit: onStep must be a function, got 3/],
    [{ onEpoch: {} }, /^fit: onEpoch must be a function/],
    [{ onProgress: true }, /^fit: onProgress must be a function, got true/],
    [{ log: "yes" }, /^fit: log must be true, false or a function, got "yes"/],
    [{ signal: {} }, /^fit: signal must be an AbortSignal/],
    [{ batchsize: 4 }, /^fit: batchsize is not an option; pass batchSize\.$/],
    [{ learning: 4 }, /^fit: learning is not an option; there are epochs, steps, /],
    [{ validation: 1 }, /^fit: validation must be a share in \(0, 1\).*got 1/],
    [{ validation: "all" }, /^fit: validation must be a share/],
    [{ start: 3 }, /^fit: start must be an object, got 3/],
    [{ start: {} }, /^fit: start\.epoch must be a whole number of at least 1, got undefined/],
    [{ start: { epoch: 1, steps: 2 } }, /^fit: start\.steps is not an option; pass step/],
    [{ start: { epoch: 4 } }, /^fit: start\.epoch must be at most epochs, the number of the last, 2, got 4/],
    [{ start: { epoch: 1, step: 4 } }, /^fit: start\.step must be at most 3, the steps of an epoch, got 4/],
    [{ earlyStopping: true }, /^fit: earlyStopping must be an object, got true/],
    [{ earlyStopping: { patients: 3 } }, /^fit: earlyStopping\.patients is not an option; pass patience/],
    [{ earlyStopping: { patience: 0 } }, /^fit: earlyStopping\.patience must be .* got 0/],
    [{ earlyStopping: { minDelta: -1 } }, /^fit: earlyStopping\.minDelta must be .* got -1/],
    [{ earlyStopping: { restoreBest: 1 } }, /^fit: earlyStopping\.restoreBest must be true or false, got 1/],
    [{ earlyStopping: { metric: "f1" } }, /^fit: earlyStopping\.metric must be loss, accuracy, .*got "f1"/],
    [
      { earlyStopping: { metric: "validationLoss" } },
      /^fit: earlyStopping\.metric must be loss or accuracy without/,
    ],
  ];
  for (const [options, message] of cases) await refused({ epochs: 2, ...options }, message);
  for (const options of [undefined, null, 3, []]) await refused(options, /^fit: options must be an object/);

  const once = { epochs: 1 };
  const { inputs, targets, count } = data;
  await refused(once, /^fit: data must be \{ inputs, targets, count \}.* got Null/, null);
  await refused(once, /^fit: data must be .* got Object/, { inputs, targets });
  await refused(once, /^fit: data must be .* got Float32Array/, inputs);
  await refused(once, /^fit: data\.count must be a positive integer, got 0/, { ...data, count: 0 });
  await refused(once, /^fit: inputs has shape \[30\], expected \[33\]/, { ...data, count: 11 }, ShapeError);
  const wrong = Uint32Array.from(targets).fill(2, 7, 8);
  await refused(once, /^targets: hold class 2 in example 7/, { ...data, targets: wrong }, DataError);
  const set = {
    count: 3,
    features: 3,
    featureShape: [3],
    images: new Uint8Array(9),
    labels: Uint8Array.of(0, 2, 1),
  };
  await refused(once, /^targets: hold class 2/, { ...set, classes: 3 }, DataError);
  await refused({ ...once, validation: { ...data, inputs: targets } }, /inputs must be a Float32Array/);
  await refused({ ...once, validation: 0.5 }, /cannot be a share of one example/, {
    inputs: inputs.subarray(0, 3),
    targets: targets.subarray(0, 1),
    count: 1,
  });
  const few = { inputs: inputs.subarray(0, 9), targets: targets.subarray(0, 3), count: 3 };
  await refused({ ...once, dropLast: true }, /^fit: dropLast leaves no batch: there are 3 examples/, few);
  await refused({ ...once, batchSize: 2 }, /^fit: batchSize is for examples/, [few]);
  await refused({ ...once, validation: 0.2 }, /^fit: validation must be examples, since a sequence/, [few]);
  await refused({ epochs: 2 }, /^fit: data goes by once and several epochs/, [few][Symbol.iterator]());

  const newton = engine.newton(net, { maxIterations: 2 });
  await assertThrows(
    () => engine.fit(net, newton, data, { epochs: 1, batchSize: 5 }),
    ArgumentError,
    /^fit: batchSize must be at most the network's, 4, got 5: there are no micro-batches, since its systems/,
  );
  newton.dispose();

  const other = networkFor(engine);
  await assertThrows(
    () => engine.fit(other, sgd, data, once),
    ArgumentError,
    /^fit: optimizer trains another network/,
  );
  await assertThrows(
    () => engine.fit(net, {} as typeof sgd, data, once),
    ArgumentError,
    /^fit: optimizer must be an opt/,
  );
  const first = engine.fit(net, sgd, data, { ...once, batchSize: 4, start: { epoch: 2 } });
  await assertThrows(
    () => engine.fit(net, sgd, data, once),
    ArgumentError,
    /^fit: net is being trained by another/,
  );
  await first;
  assertEqual(sgd.steps, 0, "steps");
  assertSame(await net.weights(), weights, "weights");
  assertEqual(count, COUNT, "count");
  for (const one of [net, other]) one.dispose();
});

trainingTest("fit: sequences of batches, whatever makes them", async (t) => {
  const { engine } = t;
  const batches = THREE.map((k) => part(trainingData(t), 2 * k, 2 * k + 2));
  const byHand = networkFor(engine);
  const sgd = engine.sgd(byHand, SGD);
  for (const batch of [...batches, ...batches]) await sgd.step(batch);
  const expected = await byHand.weights();
  const stream = () =>
    new ReadableStream<AnyBatch>({
      start(controller) {
        for (const batch of batches) controller.enqueue(batch);
        controller.close();
      },
    });
  let closed = 0;
  async function* endless() {
    try {
      for (let k = 0; ; k++) yield batches[k % 3]!;
    } finally {
      closed++;
    }
  }
  const sequences: [what: string, data: FitData, options?: FitOptions][] = [
    ["an array", batches],
    [
      "a generator an epoch",
      function* () {
        yield* batches;
      },
    ],
    ["a stream an epoch", async () => stream() as unknown as AsyncIterable<AnyBatch>],
    ["an endless generator an epoch", endless, { stepsPerEpoch: 3 }],
    ["one endless generator", endless(), { stepsPerEpoch: 3 }],
    ["one generator, by steps", endless(), { epochs: undefined, steps: 6 }],
  ];
  for (const [what, data, options] of sequences) {
    const net = networkFor(engine);
    const history = await engine.fit(net, engine.sgd(net, SGD), data, { epochs: 2, ...options });
    assertSame(await net.weights(), expected, what);
    assertEqual(history.ended, options?.steps ? "steps" : "epochs", `${what}: end`);
    net.dispose();
  }
  assertEqual(closed, 2, "generators closed, those made for an epoch");

  // Resumed in mid-epoch, what starts again is gone through to there.
  const net = networkFor(engine);
  const own = engine.sgd(net, SGD);
  const { at } = await engine.fit(net, own, batches, { epochs: 2, steps: 4 });
  assertEqual(JSON.stringify(at), '{"epoch":2,"step":1}', "the place");
  await engine.fit(net, own, batches, { epochs: 2, start: at });
  assertSame(await net.weights(), expected, "resumed");
  const iterator = batches[Symbol.iterator]();
  const short = await engine.fit(net, own, iterator, { epochs: 4, stepsPerEpoch: 2 });
  assertEqual(`${short.ended} ${short.steps} ${short.epochs.length}`, "data 3 2", "data that ends");
  for (const one of [byHand, net]) one.dispose();
});

trainingTest("fit: an error ends the run, and what is under way is waited for", async (t) => {
  const { engine } = t;
  const net = networkFor(engine);
  const sgd = engine.sgd(net, SGD);
  const data = trainingData(t);
  const good = part(data, 0, 2);
  const bad = { ...good, count: 3 };
  // Steps that wait for kernels are refused later than others.
  await engine.fit(net, sgd, [good], { epochs: 1 });
  const taken: number[] = [];
  let open = 0;
  const watched = {
    step(batch: AnyBatch) {
      open++;
      const record = sgd.step(batch);
      const over = () => void open--;
      record.then(over, over);
      return record;
    },
  };
  const onStep = (_: unknown, { step }: { step: number }) => taken.push(step);
  const fails = async (
    given: unknown,
    error: Parameters<typeof assertThrows>[1],
    message: RegExp,
    options = {},
  ) => {
    taken.length = 0;
    const before = sgd.steps;
    const run = () => engine.fit(net, watched, given as FitData, { epochs: 2, onStep, ...options });
    await assertThrows(run, error, message);
    assertEqual(open, 0, "steps under way");
    return sgd.steps - before;
  };
  assertEqual(await fails([good, good, bad, good, good], ShapeError, /inputs/), 2, "steps, with a bad batch");
  assertEqual(taken.join(), "1,2", "records, with a bad batch");
  async function* failing() {
    yield good;
    throw new RangeError("no more");
  }
  assertEqual(await fails(failing, RangeError, /no more/), 1, "steps, with a generator that fails");
  assertEqual(taken.join(), "1", "records, with a generator that fails");
  const examples = {
    count: 8,
    batch(indices: Uint32Array) {
      if (indices.includes(6)) throw new RangeError("six");
      return part(data, 0, indices.length);
    },
  };
  assertEqual(
    await fails(examples, RangeError, /six/, { shuffle: false }),
    1,
    "steps, with examples that fail",
  );
  await fails([], DataError, /^data: gave no batch for epoch 1/);
  await fails(() => good, DataError, /^data: gave Object for epoch 1; return an iterable/);
  await fails([3], ArgumentError, /batch must be an object, got 3/);
  await fails([null], ArgumentError, /batch must be an object, got null/);
  for (const name of ["onStep", "onEpoch", "onProgress"]) {
    const callback = () => {
      throw new RangeError(name);
    };
    await fails(data, RangeError, new RegExp(name), { [name]: callback });
  }
  assertEqual((await engine.fit(net, sgd, data, { epochs: 1 })).steps, 3, "steps of a run after all this");
  net.dispose();
});

trainingTest(
  "fit: a signal ends the run between steps, also while data or a validation keeps it",
  async (t) => {
    const { engine } = t;
    const net = networkFor(engine);
    const sgd = engine.sgd(net, SGD);
    const data = trainingData(t);
    const aborted = async (given: FitData, options: Partial<FitOptions>, controller: AbortController) => {
      const run = () => engine.fit(net, sgd, given, { epochs: 9, signal: controller.signal, ...options });
      const error = (await assertThrows(run, FitAbortedError, /^fit was stopped/)) as FitAbortedError;
      assert(error instanceof AbortedError && error.history.ended === "aborted", "the history");
      return error.history;
    };
    const early = new AbortController();
    early.abort();
    assertEqual((await aborted(data, {}, early)).steps, 0, "steps, aborted beforehand");
    const hung = new AbortController();
    async function* hanging() {
      yield part(data, 0, 2);
      setTimeout(() => hung.abort(), 5);
      await new Promise(() => {});
    }
    assertEqual((await aborted(hanging, {}, hung)).steps, 1, "steps, with data that never comes");
    const between = new AbortController();
    const validation = {
      count: 2,
      batch() {
        between.abort();
        return part(data, 0, 2);
      },
    };
    const history = await aborted(data, { validation }, between);
    assertEqual(
      `${history.steps} ${JSON.stringify(history.at)}`,
      '3 {"epoch":2,"step":0}',
      "in the validation",
    );
    const after = new AbortController();
    await engine.fit(net, sgd, data, { epochs: 1, signal: after.signal, onEpoch: () => after.abort() });
    net.dispose();
  },
);

trainingTest("fit: a device that is lost in mid-run rejects it, and nothing else", async (t) => {
  const device = await t.freshDevice();
  const engine = await createEngine(device);
  const net = networkFor(engine);
  const sgd = engine.sgd(net, SGD);
  const onStep = ({ step }: { step: number }) => {
    if (step === 4) device.destroy();
  };
  await assertThrows(() => engine.fit(net, sgd, trainingData(t), { epochs: 9, onStep }), DeviceLostError);
  engine.dispose();
});

/** Examples `start` … `end` − 1. */
function part({ inputs, targets }: ReturnType<typeof trainingData>, start: number, end: number) {
  return {
    inputs: inputs.subarray(3 * start, 3 * end),
    targets: targets.subarray(start, end),
    count: end - start,
  };
}
