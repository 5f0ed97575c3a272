/** What a device refuses reaches whoever reads back, and not as somebody else's numbers. */
import { OutOfMemoryError, SubmissionError } from "../../src/errors.js";
import { assert, assertEqual, assertThrows, kernelTest } from "../harness/kernel-test.js";
import { openManager } from "./helpers.js";

kernelTest(
  "refusals: what refused commands were to read is an error, and what comes after is right",
  async (t) => {
    const manager = await openManager(t);
    const read = (buffer: GPUBuffer, destroyed?: GPUBuffer) => {
      const recorder = manager.record();
      if (destroyed) recorder.clear(destroyed);
      const reading = recorder.read(buffer);
      if (destroyed) manager.destroyBuffer(destroyed);
      recorder.submit();
      return reading;
    };
    const numbers = manager.createStorage("numbers", 4);
    manager.device.queue.writeBuffer(numbers, 0, Uint32Array.of(1, 2, 3, 4));
    const words = async (reading: Promise<ArrayBuffer>) => new Uint32Array(await reading).join();
    assertEqual(await words(read(numbers)), "1,2,3,4", "before");
    // All at once: the staging buffer of the first is the second's.
    const refused = read(numbers, manager.createStorage("gone", 4));
    const after = read(numbers);
    const error = await assertThrows(() => refused, SubmissionError, /^The GPU refused the commands/);
    assert((error as SubmissionError).detail.length > 0, "the device's own words");
    assertEqual(await words(after), "1,2,3,4", "after");
    manager.dispose();
  },
);

kernelTest("refusals: commands that read nothing back are told of by what is read next, once", async (t) => {
  const manager = await openManager(t);
  const numbers = manager.createStorage("numbers", 4);
  const refuse = (options?: { watched: boolean }) => {
    const gone = manager.createStorage("gone", 4);
    const recorder = manager.record();
    recorder.clear(gone);
    manager.destroyBuffer(gone);
    recorder.submit(options);
  };
  const read = () => {
    const recorder = manager.record();
    const reading = recorder.read(numbers);
    recorder.submit();
    return reading;
  };
  refuse({ watched: true });
  refuse({ watched: true });
  await assertThrows(read, SubmissionError);
  assertEqual((await read()).byteLength, 16, "the next one");
  // Unless somebody else is to see to it.
  t.device.pushErrorScope("validation");
  refuse();
  assert(await t.device.popErrorScope(), "an error of the device");
  assertEqual((await read()).byteLength, 16, "nobody is told");
  manager.dispose();
});

kernelTest("refusals: where memory was lacking, that is the reason", async (t) => {
  const device = await t.freshDevice();
  const manager = await openManager(t, device);
  const pop = device.popErrorScope.bind(device);
  // The device says that there is no memory, as far as the manager can see; and then the buffer cannot be used.
  device.popErrorScope = async () => {
    await pop();
    return { message: "no memory" } as GPUOutOfMemoryError;
  };
  const lacking = manager.createStorage("weights", 1000);
  const pooled = manager.pool.take(4096, GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST);
  manager.pool.give(pooled);
  device.popErrorScope = pop;
  const recorder = manager.record();
  const reading = recorder.read(lacking);
  lacking.destroy();
  recorder.submit();
  const error = await assertThrows(
    () => reading,
    OutOfMemoryError,
    /^weights: .*no memory left for 4000 bytes/,
  );
  assertEqual((error as OutOfMemoryError).bytes, 4000, "bytes");
  assertEqual(
    manager.pool.idleBytes - 4096,
    0,
    "idle bytes: what was read back into, and not what is no buffer",
  );
  assert(!manager.owns(pooled), "a pooled buffer that is none is not handed out again");
  manager.destroyBuffer(lacking);
  const numbers = manager.createStorage("numbers", 4);
  const next = manager.record();
  const bytes = next.read(numbers);
  next.submit();
  assertEqual((await bytes).byteLength, 16, "once it is disposed of, all is well");
  manager.dispose();
});

kernelTest("refusals: many read-backs at once each have their own verdict", async (t) => {
  const manager = await openManager(t);
  const numbers = manager.createStorage("numbers", 4);
  const readings = Array.from({ length: 12 }, (_, k) => {
    manager.device.queue.writeBuffer(numbers, 0, Uint32Array.of(k));
    const recorder = manager.record();
    const gone = k % 3 === 1 ? manager.createStorage("gone", 4) : undefined;
    if (gone) recorder.clear(gone);
    const reading = recorder.read(numbers, 0, 4);
    if (gone) manager.destroyBuffer(gone);
    recorder.submit();
    return reading.then(
      (bytes) => new Uint32Array(bytes)[0],
      (error) => error.name,
    );
  });
  const found = (await Promise.all(readings)).join();
  const expected = Array.from({ length: 12 }, (_, k) => (k % 3 === 1 ? "SubmissionError" : k)).join();
  assertEqual(found, expected, "in order");
  manager.dispose();
});
