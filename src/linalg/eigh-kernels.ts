import tgpu, { d } from "typegpu";
import basisCode from "../../shaders/eigh_basis.wgsl?raw";
import finishCode from "../../shaders/eigh_finish.wgsl?raw";
import prepareCode from "../../shaders/eigh_prepare.wgsl?raw";
import qlCode from "../../shaders/eigh_ql.wgsl?raw";
import rotateCode from "../../shaders/eigh_rotate.wgsl?raw";
import tridiagonalCode from "../../shaders/eigh_tridiagonal.wgsl?raw";
import type { Capabilities } from "../device/index.js";
import { defineKernel } from "../pipeline/index.js";

/** One matrix in every table of `eigh`; offsets count f32, that of the rotations pairs of f32. */
export const EighProblem = d.struct({
  first: d.u32,
  n: d.u32,
  size: d.u32,
  offset: d.u32,
  stride: d.u32,
  matrixOffset: d.u32,
  reflectorOffset: d.u32,
  vectorOffset: d.u32,
  rotationOffset: d.u32,
  capacity: d.u32,
  index: d.u32,
});

const problems = {
  storage: d.arrayOf(EighProblem),
  access: "readonly" as const,
  visibility: ["compute" as const],
};

export const prepareLayout = tgpu
  .bindGroupLayout({
    problems,
    s: { storage: d.arrayOf(d.f32), access: "readonly", visibility: ["compute"] },
    state: { storage: d.arrayOf(d.atomic(d.u32)), access: "mutable", visibility: ["compute"] },
    work: { storage: d.arrayOf(d.f32), access: "mutable", visibility: ["compute"] },
    status: { storage: d.arrayOf(d.atomic(d.u32)), access: "mutable", visibility: ["compute"] },
  })
  .$idx(0);

export const tridiagonalLayout = tgpu
  .bindGroupLayout({
    problems,
    work: { storage: d.arrayOf(d.vec4f), access: "mutable", visibility: ["compute"] },
    reflectors: { storage: d.arrayOf(d.vec4f), access: "mutable", visibility: ["compute"] },
    update: { storage: d.arrayOf(d.vec4f), access: "mutable", visibility: ["compute"] },
    tridiagonal: { storage: d.arrayOf(d.f32), access: "mutable", visibility: ["compute"] },
  })
  .$idx(0);

export const basisLayout = tgpu
  .bindGroupLayout({
    problems,
    reflectors: { storage: d.arrayOf(d.vec4f), access: "readonly", visibility: ["compute"] },
    tridiagonal: { storage: d.arrayOf(d.f32), access: "readonly", visibility: ["compute"] },
    work: { storage: d.arrayOf(d.vec4f), access: "mutable", visibility: ["compute"] },
  })
  .$idx(0);

export const qlLayout = tgpu
  .bindGroupLayout({
    problems,
    tridiagonal: { storage: d.arrayOf(d.f32), access: "mutable", visibility: ["compute"] },
    state: { storage: d.arrayOf(d.u32), access: "mutable", visibility: ["compute"] },
    rotations: { storage: d.arrayOf(d.vec2f), access: "mutable", visibility: ["compute"] },
  })
  .$idx(0);

export const rotateLayout = tgpu
  .bindGroupLayout({
    problems,
    state: { storage: d.arrayOf(d.u32), access: "readonly", visibility: ["compute"] },
    rotations: { storage: d.arrayOf(d.vec2f), access: "readonly", visibility: ["compute"] },
    work: { storage: d.arrayOf(d.vec4f), access: "mutable", visibility: ["compute"] },
  })
  .$idx(0);

export const finishLayout = tgpu
  .bindGroupLayout({
    problems,
    state: { storage: d.arrayOf(d.u32), access: "readonly", visibility: ["compute"] },
    tridiagonal: { storage: d.arrayOf(d.f32), access: "readonly", visibility: ["compute"] },
    work: { storage: d.arrayOf(d.f32), access: "readonly", visibility: ["compute"] },
    order: { storage: d.arrayOf(d.u32), access: "mutable", visibility: ["compute"] },
    out: { storage: d.arrayOf(d.f32), access: "mutable", visibility: ["compute"] },
    status: { storage: d.arrayOf(d.atomic(d.u32)), access: "mutable", visibility: ["compute"] },
  })
  .$idx(0);

const prepare = { name: "eigh_prepare", code: prepareCode, layout: prepareLayout };
const finish = { name: "eigh_finish", code: finishCode, layout: finishLayout };

const tridiagonal = { name: "eigh_tridiagonal", code: tridiagonalCode, layout: tridiagonalLayout };
const basis = { name: "eigh_basis", code: basisCode, layout: basisLayout };
const ql = { name: "eigh_ql", code: qlCode, layout: qlLayout };
const rotate = { name: "eigh_rotate", code: rotateCode, layout: rotateLayout };

/**
 * Threads of a workgroup. Software adapters run eight as one row of vector lanes, where barriers are cheap, and QL's
 * eight matrices as one; on a GPU, QL's threads are fastest apart.
 */
const THREADS = {
  software: { rows: 8, tridiagonal: 8, columns: 8, ql: 8 },
  gpu: { rows: 64, tridiagonal: 64, columns: 32, ql: 1 },
} as const;

/** The workgroup sizes for this kind of adapter. */
export function eighThreads({ software }: Capabilities) {
  return software ? THREADS.software : THREADS.gpu;
}

/** The kernels of `eigh` as this kind of adapter runs them. */
export function eighKernels(capabilities: Capabilities) {
  const threads = eighThreads(capabilities);
  const sized = (kernel: Parameters<typeof defineKernel>[0], count: number) => {
    return defineKernel({ ...kernel, constants: { THREADS: count } });
  };
  return {
    largest: sized({ ...prepare, entryPoint: "largest" }, threads.rows),
    load: sized({ ...prepare, entryPoint: "load" }, threads.rows),
    tridiagonal: sized(tridiagonal, threads.tridiagonal),
    basis: sized(basis, threads.columns),
    ql: sized(ql, threads.ql),
    rotate: sized(rotate, threads.columns),
    values: sized({ ...finish, entryPoint: "values" }, threads.rows),
    vectors: sized({ ...finish, entryPoint: "vectors" }, threads.rows),
  };
}
