/** Compiling: errors name kernel, line and message; nothing is compiled twice. */
import { ShaderError } from "../../src/errors.js";
import { withConstants } from "../../src/pipeline/index.js";
import { assert, assertEqual, assertThrows, kernelTest } from "../harness/kernel-test.js";
import { addKernel, kernelOf, openManager } from "./helpers.js";

/** The bindings take two lines, so this mistake is in line 5. */
const BROKEN = `@compute @workgroup_size(1)
fn main() {
  target_[0] = missing_name;
}
`;

kernelTest("compile: an error shows the kernel, the line and the compiler's message", async (t) => {
  const manager = await openManager(t);
  const broken = kernelOf("broken", BROKEN);
  for (let i = 0; i < 2; i++) {
    const error = (await assertThrows(
      () => manager.prepare([addKernel(), broken]),
      ShaderError,
      /^Shader broken, line 5: .*missing_name/s,
    )) as ShaderError;
    assertEqual(error.kernel, "broken", "kernel");
    assertEqual(error.line, 5, "line");
    assert(error.detail.includes("missing_name"), "detail");
    assertEqual(error.code, "shader", "code");
  }
  // The kernel beside it is compiled all the same.
  await manager.prepare([addKernel()]);
  assertEqual(manager.counts.pipelines, 1, "pipelines");
  manager.dispose();
});

kernelTest("compile: a pipeline that cannot be made is an error too", async (t) => {
  const manager = await openManager(t);
  const absent = { ...addKernel("absent"), entryPoint: "nowhere" };
  await assertThrows(() => manager.prepare([absent]), ShaderError, /^Shader absent: /);
  const foreign = withConstants(addKernel("foreign"), { NO_SUCH_CONSTANT: 1 });
  await assertThrows(() => manager.prepare([foreign]), ShaderError, /^Shader foreign: /);
  assertEqual(manager.counts.pipelines, 0, "pipelines");
  manager.dispose();
});

kernelTest("compile: without preparing, an error reaches the caller's error scope", async (t) => {
  const manager = await openManager(t);
  t.device.pushErrorScope("validation");
  manager.pipeline(kernelOf("broken on the spot", BROKEN));
  const error = await t.device.popErrorScope();
  assert(error, "a validation error");
  manager.dispose();
});

kernelTest("compile: requests for the same kernel share one compilation", async (t) => {
  const device = await t.freshDevice();
  let made = 0;
  const original = device.createComputePipelineAsync.bind(device);
  device.createComputePipelineAsync = (descriptor) => {
    made++;
    return original(descriptor);
  };
  const manager = await openManager(t, device);
  await Promise.all([manager.prepare([addKernel()]), manager.prepare([addKernel(), addKernel()])]);
  assertEqual(made, 1, "compilations while one was under way");
  await manager.prepare([addKernel()]);
  assertEqual(made, 1, "compilations afterwards");
  assertEqual(manager.counts.pipelines, 1, "pipelines");
  const pipeline = manager.pipeline(addKernel());
  assertEqual(manager.pipeline(addKernel()), pipeline, "the pipeline");
  await manager.prepare([withConstants(addKernel(), { AMOUNT: 2 })]);
  assertEqual(made, 2, "other constants make another pipeline");
  assert(manager.pipeline(withConstants(addKernel(), { AMOUNT: 2 })) !== pipeline, "another pipeline");
  manager.dispose();
});

kernelTest("compile: whoever cannot wait does not get a second pipeline later", async (t) => {
  const manager = await openManager(t);
  const preparing = manager.prepare([addKernel()]);
  const now = manager.pipeline(addKernel());
  await preparing;
  assertEqual(manager.pipeline(addKernel()), now, "the pipeline");
  assertEqual(manager.counts.pipelines, 1, "pipelines");
  manager.dispose();
});
