/** Times by GPU timestamps, where the adapter has them. */
import { ArgumentError } from "../../src/errors.js";
import { Profiler } from "../../src/pipeline/index.js";
import { assert, assertEqual, assertThrows, kernelTest } from "../harness/kernel-test.js";
import { addKernel, kernelOf, openManager } from "./helpers.js";

kernelTest(
  "profiler: every dispatch is timed under its kernel's name, and the results are the same",
  async (t) => {
    t.requires("timestamp-query");
    const manager = await openManager(t);
    const profiler = new Profiler(t.device);
    manager.profiler = profiler;
    const source = t.upload(new Uint32Array(4));
    const target = t.upload(new Uint32Array(4));
    const kernels = [addKernel("one"), addKernel("two", 2), addKernel("one")];
    for (const kernel of kernels) {
      const recorder = manager.record();
      recorder.dispatch(kernel, { source, target }, 4);
      recorder.dispatch(kernel, { source, target }, 4);
      recorder.submit();
    }
    const times = await profiler.read();
    assertEqual(
      times
        .map(({ kernel }) => kernel)
        .sort()
        .join(),
      "one,two",
      "kernels",
    );
    for (const { kernel, dispatches, milliseconds } of times) {
      assertEqual(dispatches, kernel === "one" ? 4 : 2, `dispatches of ${kernel}`);
      assert(milliseconds >= 0 && milliseconds < 10_000, `${kernel}: ${milliseconds} ms`);
    }
    assert(times[0]!.milliseconds >= times[1]!.milliseconds, "the slowest first");
    assertEqual((await profiler.read()).length, 0, "nothing since");
    assertEqual((await t.downloadWords(target)).join(), "0,1,2,3", "results");
    profiler.dispose();
    manager.dispose();
  },
);

/** Some milliseconds of work at least: timestamps are coarse in browsers. */
const LONG = `@compute @workgroup_size(1)
fn main(@builtin(workgroup_id) id: vec3u) {
  var x = id.x;
  for (var i = 0u; i < source[0]; i++) {
    x = x * 1664525u + 1013904223u;
  }
  target_[id.x % 4u] = x;
}
`;

kernelTest("profiler: the kernel that works takes the time", async (t) => {
  t.requires("timestamp-query");
  const manager = await openManager(t);
  const [idle, working] = [addKernel("idle"), kernelOf("working", LONG)];
  await manager.prepare([idle, working]);
  const source = t.upload(Uint32Array.of(20_000, 0, 0, 0));
  const target = t.upload(new Uint32Array(4));
  const step = async (groups: number) => {
    const recorder = manager.record();
    recorder.dispatch(idle, { source, target }, 4);
    recorder.dispatch(working, { source, target }, groups);
    recorder.submit();
    await t.device.queue.onSubmittedWorkDone();
  };
  // Not timed: some drivers compile at the first dispatch.
  await step(1);
  const profiler = new Profiler(t.device);
  manager.profiler = profiler;
  await step(1024);
  const [first, second] = await profiler.read();
  assertEqual(first!.kernel, "working", "the slowest");
  assertEqual(second!.kernel, "idle", "the other");
  assert(first!.milliseconds > 0.1, `working: ${first!.milliseconds} ms`);
  profiler.dispose();
  manager.dispose();
});

kernelTest("profiler: what does not fit is not timed, but done; reading makes room", async (t) => {
  t.requires("timestamp-query");
  const manager = await openManager(t);
  const profiler = new Profiler(t.device, 3);
  manager.profiler = profiler;
  for (const pass of [1, 2]) {
    const source = t.upload(new Uint32Array(4));
    const targets = Array.from({ length: 5 }, () => t.upload(new Uint32Array(4)));
    const recorder = manager.record();
    for (const target of targets) recorder.dispatch(addKernel(), { source, target }, 4);
    recorder.submit();
    for (const target of targets) assertEqual((await t.downloadWords(target)).join(), "0,1,2,3", "target");
    const [time] = await profiler.read();
    assertEqual(time!.dispatches, 3, `timed dispatches of pass ${pass}`);
  }
  manager.profiler = undefined;
  profiler.dispose();
  manager.dispose();
});

kernelTest("profiler: dispatches on the caller's encoder are timed once it is submitted", async (t) => {
  t.requires("timestamp-query");
  const manager = await openManager(t);
  const [idle, working] = [addKernel("idle"), kernelOf("working", LONG)];
  await manager.prepare([idle, working]);
  const source = t.upload(Uint32Array.of(20_000, 0, 0, 0));
  const target = t.upload(new Uint32Array(4));
  const record = (encoder: GPUCommandEncoder) => {
    const recorder = manager.record(encoder);
    recorder.dispatch(idle, { source, target }, 4);
    const nested = recorder.nested();
    nested.dispatch(working, { source, target }, 1024);
    nested.end();
    recorder.end();
  };
  const profiler = new Profiler(t.device);
  manager.profiler = profiler;
  for (let round = 0; round < 2; round++) {
    const encoder = t.device.createCommandEncoder();
    record(encoder);
    record(encoder);
    t.device.queue.submit([encoder.finish()]);
    const times = await profiler.read();
    assertEqual(
      times.map(({ kernel, dispatches }) => `${kernel} ${dispatches}`).join(),
      "working 2,idle 2",
      "times",
    );
    assert(times[0]!.milliseconds > 0.1, `working: ${times[0]!.milliseconds} ms`);
  }
  record(t.device.createCommandEncoder());
  await assertThrows(() => profiler.read(), ArgumentError, /encoder must be submitted .* 2 dispatches/);
  assertEqual((await profiler.read()).length, 0, "nothing since");
  profiler.dispose();
  manager.dispose();
});
