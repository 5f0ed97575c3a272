/** Kernels of the tests' own, managers on devices of their own. */
import tgpu, { d } from "typegpu";
import { openDevice } from "../../src/device/index.js";
import { defineKernel, PipelineManager } from "../../src/pipeline/index.js";
import type { TestContext } from "../harness/kernel-test.js";

const layout = tgpu
  .bindGroupLayout({
    source: { storage: d.arrayOf(d.u32), access: "readonly", visibility: ["compute"] },
    target: { storage: d.arrayOf(d.u32), access: "mutable", visibility: ["compute"] },
  })
  .$idx(0);

const BINDINGS = `@group(0) @binding(0) var<storage, read> source: array<u32>;
@group(0) @binding(1) var<storage, read_write> target_: array<u32>;
`;

/** A kernel with the bindings `source` and `target` (u32 each) and this body of `main`. */
export function kernelOf(name: string, code: string, constants?: Record<string, number>) {
  return defineKernel({ name, code: BINDINGS + code, layout, constants });
}

/** target[i] ← source[i] + amount · i, i the number of the workgroup. */
export function addKernel(name = "add", amount = 1) {
  return kernelOf(
    name,
    `override AMOUNT: u32 = 1;
@compute @workgroup_size(1)
fn main(@builtin(workgroup_id) id: vec3u, @builtin(num_workgroups) count: vec3u) {
  let i = id.x + id.y * count.x;
  if (i < arrayLength(&target_)) {
    target_[i] = source[i] + AMOUNT * i;
  }
}
`,
    { AMOUNT: amount },
  );
}

/** A manager of the test's own: dispose of it at the end. */
export async function openManager(t: TestContext, device = t.device): Promise<PipelineManager> {
  return new PipelineManager(await openDevice({ device }));
}
