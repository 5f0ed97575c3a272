/** Every shader file stands alone: it compiles as it is, in each compiler, and every entry point makes a pipeline. */
import { Skipped } from "./context.js";
import { assert, kernelTest, type TestContext } from "./kernel-test.js";

const shaders = import.meta.glob("/shaders/*.wgsl", {
  query: "?raw",
  import: "default",
  eager: true,
}) as Record<string, string>;

/** What an `enable` line asks of the device. */
const FEATURES: Record<string, GPUFeatureName> = { f16: "shader-f16", subgroups: "subgroups" };

for (const [path, code] of Object.entries(shaders).sort()) {
  const file = path.slice(1);
  kernelTest(`${file} compiles`, async (t) => {
    // The same compiler as Chromium's, which takes minutes for all of them.
    if (t.driver === "swiftshader") throw new Skipped("Chromium compiles it for SwiftShader");
    for (const [, names] of code.matchAll(/^\s*enable\s+([^;]+);/gm)) {
      for (const name of names!.split(",")) requireExtension(t, name.trim());
    }
    const module = t.device.createShaderModule({ code, label: file });
    const { messages } = await module.getCompilationInfo();
    const errors = messages
      .filter(({ type }) => type === "error")
      .map(({ lineNum, linePos, message }) => `${file}:${lineNum}:${linePos}: ${message}`);
    assert(errors.length === 0, errors.join("\n"));
    // Chromium takes half a second for each, and the kernels' own tests make them there.
    if (t.driver !== "chromium") await makePipelines(t, module, code);
  });
}

function requireExtension(t: TestContext, name: string): void {
  const feature = FEATURES[name];
  assert(feature, `the harness does not know which feature \`enable ${name}\` needs`);
  t.requires(feature);
}

/** Some compilers look at function bodies and overrides only now. */
async function makePipelines(t: TestContext, module: GPUShaderModule, code: string): Promise<void> {
  const undecided = /^\s*(@id\(\d+\)\s*)?override\s+[^=;]*;/m.test(code);
  if (undecided) return; // an override without a default: only its users know a value
  for (const [, entryPoint] of code.matchAll(/@compute\b[^{]*?\bfn\s+(\w+)/g)) {
    await t.device.createComputePipelineAsync({ layout: "auto", compute: { module, entryPoint } });
  }
}
