/** A device that is lost: everyone who waits or calls is told so, with one typed error. */
import { openDevice } from "../../src/device/index.js";
import { createEngine } from "../../src/engine.js";
import { DeviceLostError } from "../../src/errors.js";
import { PipelineManager } from "../../src/pipeline/index.js";
import { assert, assertEqual, assertThrows, kernelTest } from "../harness/kernel-test.js";
import { addKernel } from "./helpers.js";

kernelTest("lost: calls throw, waiting ends, the loss is announced", async (t) => {
  const device = await t.freshDevice();
  const handle = await openDevice({ device });
  const manager = new PipelineManager(handle);
  handle.assertUsable();
  const source = manager.createStorage("source", 4);
  const target = manager.createStorage("target", 4);
  const recorder = manager.record();
  recorder.dispatch(addKernel(), { source, target }, 4);
  const bytes = recorder.read(target);
  recorder.submit();
  // Whatever the driver makes of the read-back, it must not hang, and if it fails then by its right name.
  const outcome = bytes.then(
    (data) => assertEqual(data.byteLength, 16, "bytes"),
    (error: unknown) => assert(error instanceof DeviceLostError, `rejected with ${String(error)}`),
  );
  device.destroy();
  await outcome;
  const loss = await handle.lost;
  assert(loss instanceof DeviceLostError, "lost resolves with the error");
  assertEqual(loss.code, "device-lost", "code");
  assert(/create a new engine and resume from the last checkpoint/.test(loss.message), loss.message);
  assertThrows(() => handle.assertUsable(), DeviceLostError);
  assertThrows(() => manager.record(), DeviceLostError);
  await assertThrows(() => manager.prepare([addKernel()]), DeviceLostError);
  await assertThrows(() => manager.allocating("test", () => 1), DeviceLostError);
  manager.dispose();
  assertEqual(manager.counts.liveBuffers, 0, "live buffers");
});

kernelTest("lost: a read-back under way when the device goes is rejected by the right name", async (t) => {
  const device = await t.freshDevice();
  const manager = new PipelineManager(await openDevice({ device }));
  const buffer = manager.createStorage("buffer", 4);
  const recorder = manager.record();
  const bytes = recorder.read(buffer);
  // The device goes between the recording and the submit: the mapping cannot succeed any more.
  device.destroy();
  recorder.submit();
  await assertThrows(() => bytes, DeviceLostError);
  manager.dispose();
});

kernelTest("lost: an engine says so and can be replaced", async (t) => {
  const device = await t.freshDevice();
  const engine = await createEngine({ device });
  const A = { rows: 1, cols: 1, data: Float32Array.of(3) };
  device.destroy();
  const loss = await engine.lost;
  assert(loss instanceof DeviceLostError, "engine.lost");
  await assertThrows(() => engine.gram({ A }), DeviceLostError);
  engine.dispose();
  const next = await createEngine({ device: await t.freshDevice() });
  assertEqual((await next.gram({ A })).data.join(), "9", "the next engine");
  next.dispose();
});

kernelTest("lost: disposing an engine rejects what is still to be read, by a typed error", async (t) => {
  const device = await t.freshDevice();
  const engine = await createEngine({ device });
  const buffer = engine.manager.createStorage("buffer", 4);
  const recorder = engine.manager.record();
  const bytes = recorder.read(buffer);
  recorder.submit();
  const outcome = bytes.then(
    () => undefined,
    (error: unknown) => error,
  );
  engine.dispose();
  const error = await outcome;
  assert(error === undefined || error instanceof DeviceLostError, `rejected with ${String(error)}`);
});
