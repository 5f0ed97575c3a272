import tgpu, { d } from "typegpu";
import code from "../../../shaders/block_state.wgsl?raw";
import { defineKernel, type Kernel, type Recorder } from "../../pipeline/index.js";
import { LayerState } from "./layer-states.js";
import { FactorSettings } from "./settings.js";

export const BlockProblem = d.struct({ entry: d.u32, layer: d.u32, status: d.u32, lambda: d.f32 });

export const blockStateLayout = tgpu
  .bindGroupLayout({
    problems: { storage: d.arrayOf(BlockProblem), access: "readonly", visibility: ["compute"] },
    settings: { uniform: FactorSettings, visibility: ["compute"] },
    flags: { storage: d.arrayOf(d.u32), access: "readonly", visibility: ["compute"] },
    status: { storage: d.arrayOf(d.u32), access: "readonly", visibility: ["compute"] },
    layers: { storage: d.arrayOf(LayerState), access: "mutable", visibility: ["compute"] },
    counts: { storage: d.arrayOf(d.f32), access: "mutable", visibility: ["compute"] },
    scales: { storage: d.arrayOf(d.vec2f), access: "mutable", visibility: ["compute"] },
  })
  .$idx(0);

const ENTRIES = ["weigh", "adopt", "fitted", "damped"] as const;
const kernels = Object.fromEntries(
  ENTRIES.map((entryPoint) => [
    entryPoint,
    defineKernel({ name: "block_state", code, layout: blockStateLayout, entryPoint }),
  ]),
) as Record<(typeof ENTRIES)[number], Kernel>;

const WORKGROUP = 64;

/** One layer of a block: its entry in the shared state, and where its own words are. */
export interface BlockEntry {
  entry: number;
  /** Number of its flag, count and scale. */
  layer: number;
  /** The first of its status words; defaults to 0. */
  status?: number;
  /** λ, for `damped`; defaults to 0. */
  lambda?: number;
}

/** What the kernels read and write; each says what it needs. */
export interface BlockStateBuffers {
  settings: GPUBuffer;
  layers: GPUBuffer;
  flags?: GPUBuffer;
  status?: GPUBuffer;
  counts?: GPUBuffer;
  scales?: GPUBuffer;
}

/**
 * Records a decision of `block_state.wgsl` for layers of one block: `"weigh"` reads flags and writes counts and scales,
 * `"adopt"` and `"fitted"` read status and write counts and scales, `"damped"` reads status and writes counts.
 */
export function decide(
  recorder: Recorder,
  decision: (typeof ENTRIES)[number],
  entries: readonly BlockEntry[],
  buffers: BlockStateBuffers,
): void {
  const rows = entries.map(({ entry, layer, status = 0, lambda = 0 }) => ({ entry, layer, status, lambda }));
  const problems = recorder.manager.table(BlockProblem, rows);
  // What an entry point does not use is stood in for.
  const spare = () => recorder.scratch(4);
  const { flags = problems, status = problems, counts = spare(), scales = spare() } = buffers;
  const { settings, layers } = buffers;
  recorder.dispatch(
    kernels[decision],
    { problems, settings, flags, status, layers, counts, scales },
    Math.ceil(entries.length / WORKGROUP),
  );
}
