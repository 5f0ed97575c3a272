/** The recorder: order, read-backs, the caller's encoder, scratch. */
import { BufferPool } from "../../src/pipeline/pool.js";
import { assert, assertEqual, assertThrows, kernelTest } from "../harness/kernel-test.js";
import { addKernel, openManager } from "./helpers.js";

kernelTest("recorder: several ranges come back in order, each with its own numbers", async (t) => {
  const manager = await openManager(t);
  const first = t.upload(Uint32Array.of(1, 2, 3, 4, 5));
  const second = t.upload(Uint32Array.of(10, 20, 30));
  const recorder = manager.record();
  const bytes = recorder.readRanges([
    { buffer: second, offset: 4, bytes: 8 },
    { buffer: first, bytes: 4 },
    { buffer: first, offset: 8, bytes: 12 },
  ]);
  const whole = recorder.read(second);
  recorder.submit();
  const ranges = (await bytes).map((range) => new Uint32Array(range).join());
  assertEqual(ranges.join(" | "), "20,30 | 1 | 3,4,5", "ranges");
  assertEqual(new Uint32Array(await whole).join(), "10,20,30", "the whole buffer");
  manager.dispose();
});

kernelTest(
  "recorder: copies, clears, dispatches and read-backs happen in the order of the calls",
  async (t) => {
    const manager = await openManager(t);
    const source = t.upload(Uint32Array.of(5, 5, 5, 5));
    const target = t.upload(Uint32Array.of(9, 9, 9, 9));
    const kept = t.upload(new Uint32Array(4));
    const recorder = manager.record();
    recorder.dispatch(addKernel(), { source, target }, 4);
    recorder.copy(target, 4, kept, 0, 8);
    recorder.clear(source, 4, 8);
    recorder.dispatch(addKernel(), { source, target }, 4);
    const middle = recorder.read(target);
    recorder.dispatch(addKernel("twice", 2), { source: kept, target }, 4);
    recorder.clear(target);
    recorder.dispatch(addKernel("twice", 2), { source: kept, target }, 2);
    assertEqual(recorder.dispatches, 4, "dispatches");
    recorder.dispatch(addKernel(), { source, target }, 0);
    assertEqual(recorder.dispatches, 4, "no workgroups, no dispatch");
    recorder.submit();
    assertEqual(new Uint32Array(await middle).join(), "5,1,2,8", "read before the second clear");
    assertEqual((await t.downloadWords(kept)).join(), "6,7,0,0", "copied after the first dispatch");
    assertEqual((await t.downloadWords(target)).join(), "6,9,0,0", "at the end");
    manager.dispose();
  },
);

kernelTest("recorder: every workgroup runs once, however many there are", async (t) => {
  const manager = await openManager(t);
  for (const groups of [1, 65535, 65536, 2 * 65535 + 1]) {
    const source = t.upload(new Uint32Array(groups).fill(1));
    const target = t.upload(new Uint32Array(groups));
    const recorder = manager.record();
    recorder.dispatch(addKernel(), { source, target }, groups);
    recorder.submit();
    const numbers = await t.downloadWords(target);
    const wrong = numbers.findIndex((value, i) => value !== i + 1);
    assertEqual(wrong, -1, `first of ${groups} workgroups that did not run`);
  }
  manager.dispose();
});

kernelTest("recorder: on the caller's encoder, the caller submits", async (t) => {
  const manager = await openManager(t);
  const source = t.upload(Uint32Array.of(7, 7));
  const target = t.upload(new Uint32Array(2));
  const encoder = t.device.createCommandEncoder();
  const recorder = manager.record(encoder);
  assertEqual(recorder.encoder, encoder, "encoder");
  recorder.dispatch(addKernel(), { source, target }, 2);
  await assertThrows(() => recorder.read(target), Error, /submits its own commands/);
  assertThrows(() => recorder.submit(), Error, /submitted by whoever made it/);
  recorder.end();
  // The encoder is still open for the caller.
  encoder.clearBuffer(source);
  t.device.queue.submit([encoder.finish()]);
  assertEqual((await t.downloadWords(target)).join(), "7,8", "target");
  assertEqual((await t.downloadWords(source)).join(), "0,0", "source");
  manager.dispose();
});

kernelTest("recorder: scratch is separate within a recording and reused by the next", async (t) => {
  const manager = await openManager(t);
  const take = () => {
    const recorder = manager.record();
    const buffers = [recorder.scratch(100), recorder.scratch(100), recorder.scratch(5000)];
    assertEqual(new Set(buffers).size, 3, "buffers in one recording");
    assert(buffers[0]!.size >= 400 && buffers[2]!.size >= 20000, "sizes in elements");
    recorder.submit();
    return buffers;
  };
  const first = take();
  const { buffers } = manager.counts;
  const second = take();
  assertEqual(manager.counts.buffers, buffers, "buffers made");
  assert(
    second.every((buffer) => first.includes(buffer)),
    "the same buffers",
  );
  const ended = manager.record();
  const third = ended.scratch(5000);
  ended.end();
  assert(first.includes(third), "reused after end()");
  manager.dispose();
});

/** A manager whose pool keeps nothing: every buffer that comes back is destroyed. */
async function thriftyManager(t: Parameters<typeof openManager>[0]) {
  const manager = await openManager(t);
  const pool = new BufferPool(
    (label, size, usage) => manager.createBuffer(label, size, usage),
    (buffer) => manager.destroyBuffer(buffer),
    0,
  );
  Object.defineProperty(manager, "pool", { value: pool });
  return manager;
}

kernelTest("recorder: scratch that the pool does not keep lives until it is submitted", async (t) => {
  const manager = await thriftyManager(t);
  const source = t.upload(Uint32Array.of(3, 3));
  const recorder = manager.record();
  const target = recorder.scratch(2);
  recorder.dispatch(addKernel(), { source, target }, 2);
  const words = recorder.read(target, 0, 8);
  recorder.submit();
  assertEqual(new Uint32Array(await words).join(), "3,4", "through scratch");
  assertEqual(manager.counts.liveBuffers, 0, "live buffers");
  manager.dispose();
});

kernelTest("recorder: so it does on the caller's encoder", async (t) => {
  const manager = await thriftyManager(t);
  const source = t.upload(Uint32Array.of(3, 3));
  const target = t.upload(new Uint32Array(2));
  for (let i = 0; i < 3; i++) {
    const encoder = t.device.createCommandEncoder();
    const recorder = manager.record(encoder);
    const between = recorder.scratch(2);
    recorder.dispatch(addKernel(), { source, target: between }, 2);
    recorder.dispatch(addKernel(), { source: between, target }, 2);
    recorder.end();
    t.device.queue.submit([encoder.finish()]);
    assertEqual((await t.downloadWords(target)).join(), "3,5", "target");
  }
  assert(manager.counts.liveBuffers <= 1, `${manager.counts.liveBuffers} live buffers`);
  manager.dispose();
});

kernelTest("recorder: released scratch serves again in the same recording, and once", async (t) => {
  const manager = await openManager(t);
  const recorder = manager.record();
  const [a, b] = [recorder.scratch(100), recorder.scratch(100)];
  assert(a !== b, "two pieces of scratch are two buffers");
  recorder.release(a);
  assert(recorder.scratch(9000) !== a, "another size does not get it");
  assert(recorder.scratch(100) === a, "the same size gets it");
  assert(![a, b].includes(recorder.scratch(100)), "and nobody else");
  recorder.submit();
  const next = manager.record();
  const again = [next.scratch(100), next.scratch(100), next.scratch(100)];
  assertEqual(new Set(again).size, 3, "after the submit each is there once");
  next.submit();
});
