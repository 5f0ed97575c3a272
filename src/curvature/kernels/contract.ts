import tgpu, { d } from "typegpu";
import code from "../../../shaders/contract.wgsl?raw";
import { checkView, type Matrix } from "../../linalg/layout/view.js";
import { defineKernel, type Recorder, withConstants } from "../../pipeline/index.js";

export const ContractProblem = d.struct({
  examples: d.u32,
  columns: d.u32,
  positions: d.u32,
  length: d.u32,
  share: d.u32,
  bOffset: d.u32,
  bStride: d.u32,
  bColumn: d.u32,
  bExample: d.u32,
  bPosition: d.u32,
  zOffset: d.u32,
  zStride: d.u32,
  zExample: d.u32,
  zPosition: d.u32,
  yOffset: d.u32,
});

export const contractLayout = tgpu
  .bindGroupLayout({
    problems: { storage: d.arrayOf(ContractProblem), access: "readonly", visibility: ["compute"] },
    b: { storage: d.arrayOf(d.vec4f), access: "readonly", visibility: ["compute"] },
    z: { storage: d.arrayOf(d.vec4f), access: "readonly", visibility: ["compute"] },
    y: { storage: d.arrayOf(d.f32), access: "readonly", visibility: ["compute"] },
    projected: { storage: d.arrayOf(d.f32), access: "mutable", visibility: ["compute"] },
    weighed: { storage: d.arrayOf(d.vec4f), access: "mutable", visibility: ["compute"] },
  })
  .$idx(0);

const contract = { name: "contract", code, layout: contractLayout };
const projectKernel = defineKernel({ ...contract, entryPoint: "project" });
const weighKernel = defineKernel({ ...contract, entryPoint: "weigh" });

/** Threads of a workgroup; the shader's THREADS. */
const THREADS = 64;

/** Threads that share one dot product: software adapters run a workgroup as vector lanes, GPUs want whole rows read at once. */
const LANES = { software: 1, gpu: 32 } as const;

/** Strides of an operand, in rows: row (c, e, t) is c · column + ⌊e / share⌋ · example + t · position. */
export interface RowSteps {
  /** Defaults to 0. */
  column?: number;
  example: number;
  /** Defaults to 0. */
  position?: number;
}

export interface Contraction {
  /** E. */
  examples: number;
  /** C, columns of each example. */
  columns: number;
  /** T, positions that `project` sums over. */
  positions: number;
  /** Stacked columns b_{c,e,t}, one a row; all rows start on a `vec4f`. */
  b: Matrix;
  bSteps: RowSteps;
  /** So many examples in a row have the same b; defaults to 1. */
  share?: number;
  /** Rows z_{e,t}, as long as b's: read by `project`, written by `weigh`. */
  z: Matrix;
  zSteps: RowSteps;
  /** y_{c,e}, number c · E + e: written by `project`, read by `weigh`. */
  y: GPUBuffer;
  /** Where y begins in its buffer; defaults to 0. */
  yOffset?: number;
}

/** Records y[c, e] ← Σ_t ⟨b[c, e, t], z[e, t]⟩ in a fixed order. @throws ShapeError when y is too small */
export function project(recorder: Recorder, contraction: Contraction): void {
  const { b, z, y, yOffset = 0, columns, examples } = contraction;
  checkView("project", "y", { buffer: y, offset: yOffset, rows: 1, cols: columns * examples });
  const lanes = LANES[recorder.manager.handle.capabilities.software ? "software" : "gpu"];
  const problems = problemOf(recorder, contraction);
  // What an entry point does not use is stood in for.
  const unused = { y: problems, weighed: recorder.scratch(4) };
  recorder.dispatch(
    withConstants(projectKernel, { LANES: lanes }),
    { problems, b: b.buffer, z: z.buffer, projected: y, ...unused },
    Math.ceil((columns * examples * lanes) / THREADS),
  );
}

/**
 * Records z[e, t] ← Σ_c y[c, e] b[c, e, t] in a fixed order: the adjoint of `project`. Up to three numbers beyond a row of z
 * are written too.
 */
export function weigh(recorder: Recorder, contraction: Contraction): void {
  const { b, z, y, positions, examples } = contraction;
  const problems = problemOf(recorder, contraction);
  const unused = { z: problems, projected: recorder.scratch(4) };
  recorder.dispatch(
    weighKernel,
    { problems, b: b.buffer, y, weighed: z.buffer, ...unused },
    Math.ceil((examples * positions * Math.ceil(b.cols / 4)) / THREADS),
  );
}

function problemOf(recorder: Recorder, contraction: Contraction): GPUBuffer {
  const { examples, columns, positions, b, bSteps, share = 1, z, zSteps, yOffset = 0 } = contraction;
  return recorder.manager.table(ContractProblem, [
    {
      examples,
      columns,
      positions,
      length: b.cols,
      share,
      bOffset: b.offset / 4,
      bStride: b.stride / 4,
      bColumn: bSteps.column ?? 0,
      bExample: bSteps.example,
      bPosition: bSteps.position ?? 0,
      zOffset: z.offset / 4,
      zStride: z.stride / 4,
      zExample: zSteps.example,
      zPosition: zSteps.position ?? 0,
      yOffset,
    },
  ]);
}
