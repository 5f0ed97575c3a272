import tgpu, { d } from "typegpu";
import finishCode from "../../shaders/invert_finish.wgsl?raw";
import pivot32Code from "../../shaders/invert_pivot32.wgsl?raw";
import pivot32Subgroup4Code from "../../shaders/invert_pivot32_subgroup4.wgsl?raw";
import pivot32Subgroup8Code from "../../shaders/invert_pivot32_subgroup8.wgsl?raw";
import pivot32WorkgroupCode from "../../shaders/invert_pivot32_workgroup.wgsl?raw";
import pivot64Code from "../../shaders/invert_pivot64.wgsl?raw";
import pivot64Subgroup4Code from "../../shaders/invert_pivot64_subgroup4.wgsl?raw";
import pivot64Subgroup8Code from "../../shaders/invert_pivot64_subgroup8.wgsl?raw";
import pivot64WorkgroupCode from "../../shaders/invert_pivot64_workgroup.wgsl?raw";
import prepareCode from "../../shaders/invert_prepare.wgsl?raw";
import updateCode from "../../shaders/invert_update.wgsl?raw";
import updateSubgroup4Code from "../../shaders/invert_update_subgroup4.wgsl?raw";
import updateSubgroup8Code from "../../shaders/invert_update_subgroup8.wgsl?raw";
import updateWorkgroup64Code from "../../shaders/invert_update_workgroup64.wgsl?raw";
import updateWorkgroup128Code from "../../shaders/invert_update_workgroup128.wgsl?raw";
import type { Capabilities } from "../device/index.js";
import { defineKernel, type Kernel } from "../pipeline/index.js";
import { tileShape } from "./products/choice.js";
import type { ProductForm } from "./products/tiles.js";

export const InvertProblem = d.struct({
  first: d.u32,
  n: d.u32,
  size: d.u32,
  sOffset: d.u32,
  sStride: d.u32,
  workOffset: d.u32,
  scaleOffset: d.u32,
  xOffset: d.u32,
  xStride: d.u32,
  index: d.u32,
});

export const SweepProblem = d.struct({
  first: d.u32,
  size: d.u32,
  width: d.u32,
  block: d.u32,
  workOffset: d.u32,
  pivotOffset: d.u32,
  oldOffset: d.u32,
  newOffset: d.u32,
  index: d.u32,
});

export const prepareLayout = tgpu
  .bindGroupLayout({
    problems: { storage: d.arrayOf(InvertProblem), access: "readonly", visibility: ["compute"] },
    dampings: { storage: d.arrayOf(d.f32), access: "readonly", visibility: ["compute"] },
    norms: { storage: d.arrayOf(d.vec2f), access: "readonly", visibility: ["compute"] },
    s: { storage: d.arrayOf(d.f32), access: "readonly", visibility: ["compute"] },
    scales: { storage: d.arrayOf(d.f32), access: "mutable", visibility: ["compute"] },
    work: { storage: d.arrayOf(d.f32), access: "mutable", visibility: ["compute"] },
    status: { storage: d.arrayOf(d.atomic(d.u32)), access: "mutable", visibility: ["compute"] },
  })
  .$idx(0);

export const pivotLayout = tgpu
  .bindGroupLayout({
    problems: { storage: d.arrayOf(SweepProblem), access: "readonly", visibility: ["compute"] },
    work: { storage: d.arrayOf(d.f32), access: "mutable", visibility: ["compute"] },
    panel: { storage: d.arrayOf(d.f32), access: "mutable", visibility: ["compute"] },
    status: { storage: d.arrayOf(d.atomic(d.u32)), access: "mutable", visibility: ["compute"] },
  })
  .$idx(0);

export const updateLayout = tgpu
  .bindGroupLayout({
    problems: { storage: d.arrayOf(SweepProblem), access: "readonly", visibility: ["compute"] },
    product: { storage: d.arrayOf(d.vec4f), access: "readonly", visibility: ["compute"] },
    work: { storage: d.arrayOf(d.vec4f), access: "mutable", visibility: ["compute"] },
  })
  .$idx(0);

export const finishLayout = tgpu
  .bindGroupLayout({
    problems: { storage: d.arrayOf(InvertProblem), access: "readonly", visibility: ["compute"] },
    status: { storage: d.arrayOf(d.u32), access: "readonly", visibility: ["compute"] },
    scales: { storage: d.arrayOf(d.f32), access: "readonly", visibility: ["compute"] },
    work: { storage: d.arrayOf(d.f32), access: "readonly", visibility: ["compute"] },
    x: { storage: d.arrayOf(d.f32), access: "mutable", visibility: ["compute"] },
  })
  .$idx(0);

const prepare = { name: "invert_prepare", code: prepareCode, layout: prepareLayout };
export const diagonalKernel = defineKernel({ ...prepare, entryPoint: "diagonal", rowwise: true });
export const equilibrateKernel = defineKernel({ ...prepare, entryPoint: "equilibrate", rowwise: true });
const pivot = (name: string, code: string) => defineKernel({ name, code, layout: pivotLayout });
const grid32 = pivot("invert_pivot32_workgroup", pivot32WorkgroupCode);
const grid64 = pivot("invert_pivot64_workgroup", pivot64WorkgroupCode);
const pivotForms: Readonly<Record<32 | 64, Readonly<Record<ProductForm, Kernel>>>> = {
  32: {
    registers: pivot("invert_pivot32", pivot32Code),
    subgroup4: pivot("invert_pivot32_subgroup4", pivot32Subgroup4Code),
    subgroup8: pivot("invert_pivot32_subgroup8", pivot32Subgroup8Code),
    workgroup64: grid32,
    workgroup128: grid32,
    sliced: grid32,
  },
  64: {
    registers: pivot("invert_pivot64", pivot64Code),
    subgroup4: pivot("invert_pivot64_subgroup4", pivot64Subgroup4Code),
    subgroup8: pivot("invert_pivot64_subgroup8", pivot64Subgroup8Code),
    workgroup64: grid64,
    workgroup128: grid64,
    sliced: grid64,
  },
};
const update = (name: string, code: string) => defineKernel({ name, code, layout: updateLayout });
/** Not in slices: the sums are short, and a matrix gets the same bits whatever is inverted beside it. */
export const updateForms: Readonly<Record<Exclude<ProductForm, "sliced">, Kernel>> = {
  registers: update("invert_update", updateCode),
  subgroup4: update("invert_update_subgroup4", updateSubgroup4Code),
  subgroup8: update("invert_update_subgroup8", updateSubgroup8Code),
  workgroup64: update("invert_update_workgroup64", updateWorkgroup64Code),
  workgroup128: update("invert_update_workgroup128", updateWorkgroup128Code),
};
export const finishKernel = defineKernel({
  name: "invert_finish",
  code: finishCode,
  layout: finishLayout,
  rowwise: true,
});

/** The pivot kernel for blocks of 32 or 64 rows. */
export function pivotKernel(capabilities: Capabilities, rows: 32 | 64): Kernel {
  const { form } = tileShape(capabilities, []);
  return pivotForms[rows][form];
}
