/** Data sets of which the GPU holds only some examples: which, what is sent when, and what is refused. */
import { ArgumentError } from "../../src/errors.js";
import { dense, type Network, softmaxCrossEntropy, tanh } from "../../src/network/index.js";
import { type Placing, Slots } from "../../src/resident/slots.js";
import {
  assert,
  assertEqual,
  assertThrows,
  kernelTest,
  type TestContext,
  trainingTest,
} from "../harness/kernel-test.js";
import { uploaded } from "./uploads.js";

const [COUNT, FEATURES, SIZE] = [37, 5, 8];
/** Of an example. */
const BYTES = 4 * (FEATURES + 1);

function examples(t: TestContext) {
  const random = t.random(3);
  return {
    inputs: random.normals(COUNT * FEATURES),
    targets: Uint32Array.from({ length: COUNT }, () => random.integer(3)),
    count: COUNT,
  };
}

function networkOf({ engine }: Pick<TestContext, "engine">): Network {
  const modules = [dense(FEATURES, 6), tanh(), dense(6, 3)];
  return engine.network(modules, softmaxCrossEntropy(), { batchSize: SIZE, seed: 2 });
}

kernelTest("streaming: every batch finds its examples, and nothing sent ahead overwrites them", (t) => {
  const random = t.random(1);
  for (const [capacity, most] of [
    [8, 8],
    [20, 8],
    [64, 8],
    [9, 3],
  ] as const) {
    const slots = new Slots(capacity, capacity);
    const memory = Int32Array.from({ length: capacity }, (_, slot) => slot);
    const send = (batch: Uint32Array, { slots: places, missing }: Placing) => {
      for (const i of missing) memory[places[i]!] = batch[i]!;
    };
    const holds = (batch: Uint32Array, { slots: places }: Placing) => {
      places.forEach((slot, i) => {
        assertEqual(memory[slot], batch[i], `example in slot ${slot} of ${capacity}`);
      });
    };
    const draw = () => Uint32Array.from({ length: 1 + random.integer(most) }, () => random.integer(100));
    let ahead = draw();
    for (let step = 0; step < 200; step++) {
      const batch = random.integer(4) === 0 ? draw() : ahead;
      slots.reserve(Math.min(capacity, 2 * batch.length));
      const placing = slots.place(batch);
      send(batch, placing);
      assertEqual(placing.slots.length, batch.length, "slots of a batch that is used now");
      holds(batch, placing);
      ahead = draw();
      for (const next of [batch, ahead, draw()]) {
        const soon = slots.placeAhead(next);
        send(next, soon);
        holds(next, soon);
        holds(batch, placing);
      }
    }
  }
});

trainingTest("streaming: what is expected is sent ahead, and what stays is not sent", async (t) => {
  const { engine } = t;
  const own = examples(t);
  const net = networkOf(t);
  const optimizer = engine.sgd(net, { learningRate: 0.1 });
  const loads = async (budget: number, options: object) => {
    const data = engine.dataset(own, { budgetBytes: budget * BYTES, ...options });
    assert(data.bytes <= budget * BYTES + 32, `${data.bytes} bytes`);
    const bytes: number[] = [];
    for (const epoch of [0, 1, 2]) {
      for (const batch of data.batches({ batchSize: SIZE, seed: 1, epoch })) {
        await optimizer.step(batch);
        // Not by the step itself, but since the one before.
        bytes.push(await uploaded(t.device, async () => net.load(batch)));
        await optimizer.step(batch);
      }
    }
    data.dispose();
    return bytes;
  };
  const order = (count: number) => 4 * (5 + count);
  for (const count of await loads(3 * SIZE, {})) {
    assert([order(SIZE), order(COUNT % SIZE)].includes(count), `${count} bytes are words`);
  }
  // Nothing is ahead of the first batch, and of the first examples nothing is sent at all.
  const data = engine.dataset(own, { budgetBytes: (SIZE + 10) * BYTES, prefetch: 0 });
  const sent = async (numbers: readonly number[]) => {
    const bytes = await uploaded(t.device, async () => net.load(data.batch(numbers)));
    return (bytes - order(numbers.length)) / BYTES;
  };
  assertEqual(await sent([9, 0, 20, 3, 21, 20]), 2, "examples sent");
  assertEqual(await sent([21, 22, 5, 1]), 1, "examples sent, one of them again");
  assertEqual(await sent([9, 8, 7, 6]), 0, "examples that stay");
  optimizer.dispose();
});

kernelTest("streaming: networks that share a data set do not take each other's examples", async (t) => {
  const { engine } = t;
  const data = engine.dataset(examples(t), { budgetBytes: SIZE * BYTES });
  const nets = [networkOf(t), networkOf(t)];
  const losses = engine.manager.createStorage("losses", 4);
  const batches = [data.range(3, 3 + SIZE), data.range(20, 20 + SIZE)];
  const expected: number[] = [];
  for (const batch of batches) expected.push(Math.fround((await nets[0]!.evaluate(batch)).loss));
  for (const [n, net] of nets.entries()) net.load(batches[n]!);
  for (const [n, net] of nets.entries()) {
    const recorder = engine.manager.record();
    net.recordLoss(recorder, { buffer: losses, index: 2 * n });
    recorder.submit();
  }
  const recorder = engine.manager.record();
  const reading = recorder.read(losses, 0, 16);
  recorder.submit();
  const [first, , second] = new Float32Array(await reading);
  assertEqual(`${first} ${second}`, expected.join(" "), "losses");
  engine.manager.destroyBuffer(losses);
});

kernelTest("streaming: budgets that are too small are refused", async (t) => {
  const { engine } = t;
  const own = examples(t);
  const net = networkOf(t);
  const before = engine.manager.counts.liveBuffers;
  const refuses = (message: RegExp, options: object) =>
    assertThrows(() => engine.dataset(own, options), ArgumentError, message);
  await refuses(/budgetBytes must be at least 24, the bytes of an example, got 23/, { budgetBytes: 23 });
  await refuses(/budgetBytes must be a positive number, got NaN/, { budgetBytes: Number.NaN });
  await refuses(/prefetch must be a whole number of at least 0, got 0.5/, { prefetch: 0.5 });
  assertEqual(engine.manager.counts.liveBuffers, before, "buffers");
  const data = engine.dataset(own, { budgetBytes: 7 * BYTES });
  assert(data.streamed && !engine.dataset(own, { budgetBytes: COUNT * BYTES }).streamed, "streamed");
  net.load(data.range(0, 7));
  const message = /budgetBytes of the data set must be at least 192 for a batch of 8, got 168/;
  await assertThrows(() => net.load(data.range(0, 8)), ArgumentError, message);
  await assertThrows(() => net.evaluate(data), ArgumentError, message);
  const sgd = engine.sgd(net, { learningRate: 0.1 });
  await assertThrows(() => sgd.step(data.range(0, 8)), ArgumentError, message);
  data.dispose();
  await assertThrows(() => net.load(data.all), ArgumentError, /disposed of/);
});
