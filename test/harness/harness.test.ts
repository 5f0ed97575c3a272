/** The harness itself: it must see a wrong kernel, and say so. */
import { AssertionFailure } from "./assertions.js";
import {
  assert,
  assertClose,
  assertEqual,
  assertThrows,
  kernelTest,
  runKernelTest,
  type TestContext,
} from "./kernel-test.js";

const DOUBLE = /* wgsl */ `
@group(0) @binding(0) var<storage, read> source: array<f32>;
@group(0) @binding(1) var<storage, read_write> target_: array<f32>;
override factor = 2.0;
@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
  if (id.x < arrayLength(&source)) { target_[id.x] = factor * source[id.x]; }
}`;

async function double(t: TestContext, source: GPUBuffer, target: GPUBuffer, count: number): Promise<void> {
  const pipeline = await t.device.createComputePipelineAsync({
    layout: "auto",
    compute: { module: t.device.createShaderModule({ code: DOUBLE }), entryPoint: "main" },
  });
  const bindGroup = t.device.createBindGroup({
    layout: pipeline.getBindGroupLayout(0),
    entries: [
      { binding: 0, resource: { buffer: source } },
      { binding: 1, resource: { buffer: target } },
    ],
  });
  t.submit((encoder) => {
    const pass = encoder.beginComputePass();
    pass.setPipeline(pipeline);
    pass.setBindGroup(0, bindGroup);
    pass.dispatchWorkgroups(Math.ceil(count / 64));
    pass.end();
  });
}

kernelTest("a kernel's output is compared with its reference", async (t) => {
  const data = t.random(1).normals(1000);
  const target = t.poisoned(1000);
  await double(t, t.upload(data), target, 1000);
  const result = await t.download(target);
  assertClose(
    result,
    data.map((x) => 2 * x),
    1e-7,
    "doubled",
  );
  assertThrows(
    () => assertClose(result, data, 1e-7, "doubled"),
    AssertionFailure,
    /relative error 1\.00e\+0/,
  );
  assertThrows(() => assertClose(result.slice(1), data, 1, "doubled"), AssertionFailure, /999 values/);
});

kernelTest("output that a kernel did not write is seen", async (t) => {
  const target = t.poisoned(128);
  await double(t, t.upload(t.random(2).normals(100)), target, 100);
  const result = await t.download(target);
  assertThrows(
    () => assertClose(result, new Float32Array(128), 1e30, "part"),
    AssertionFailure,
    /14 were never written, 14 are not finite \(first at 100\)/,
  );
});

kernelTest("ranges are read in elements", async (t) => {
  const source = t.upload(Float32Array.of(1, 2, 3, 4));
  assertEqual((await t.download(source, { offset: 1, length: 2 })).join(), "2,3", "floats");
  assertEqual((await t.downloadWords(t.upload(Uint32Array.of(7, 8)), { offset: 1 })).join(), "8", "words");
});

kernelTest("a validation error fails the test", async () => {
  const failure = runKernelTest((t) => {
    t.device.createComputePipeline({
      layout: "auto",
      compute: { module: t.device.createShaderModule({ code: DOUBLE }), entryPoint: "absent" },
    });
  });
  await assertThrows(() => failure, Error, /validation error:/);
});

kernelTest("an error is thrown on, and its class checked", async () => {
  const failure = runKernelTest(() => {
    throw new RangeError("too large");
  });
  await assertThrows(() => failure, RangeError, /too large/);
});

kernelTest("a lost device is replaced", async (t) => {
  let lost: GPUDevice | undefined;
  const failure = runKernelTest(
    async ({ device }) => {
      lost = device;
      device.destroy();
      await device.lost;
    },
    { plain: true },
  );
  await assertThrows(() => failure, Error, /not usable any more/);
  await runKernelTest(({ device }) => assert(device !== lost && device !== t.device, "a fresh device"), {
    plain: true,
  });
});

kernelTest("a test that takes too long is ended", async () => {
  const failure = runKernelTest(() => new Promise<void>(() => {}), { seconds: 0.05 });
  await assertThrows(() => failure, Error, /longer than 0\.05 s/);
});

kernelTest("what the adapter lacks is skipped aloud", async () => {
  const outcome = await runKernelTest((t) => t.requires("no-such-feature" as GPUFeatureName));
  assertEqual(outcome.skipped, "the adapter has no no-such-feature", "the reason");
});

kernelTest(
  "plain devices have default limits",
  ({ device }) => {
    assertEqual(device.limits.maxStorageBufferBindingSize, 134217728, "binding size");
    assert(!device.features.has("shader-f16"), "no shader-f16");
  },
  { plain: true },
);

kernelTest("fresh devices are separate", async (t) => {
  const device = await t.freshDevice();
  assert(device !== t.device, "another device");
});
