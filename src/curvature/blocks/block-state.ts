import tgpu, { d } from "typegpu";
import code from "../../../shaders/block_state.wgsl?raw";
import { defineKernel, type Kernel, type Recorder } from "../../pipeline/index.js";
import type { BlockSite } from "./block.js";
import { LayerState } from "./layer-states.js";
import { type BlockSettings, FactorSettings } from "./settings.js";
import { wordOf } from "./stored.js";

export const BlockProblem = d.struct({
  entry: d.u32,
  layer: d.u32,
  status: d.u32,
  word: d.u32,
  stored: d.u32,
});

export const blockStateLayout = tgpu
  .bindGroupLayout({
    problems: { storage: d.arrayOf(BlockProblem), access: "readonly", visibility: ["compute"] },
    settings: { uniform: FactorSettings, visibility: ["compute"] },
    flags: { storage: d.arrayOf(d.u32), access: "readonly", visibility: ["compute"] },
    status: { storage: d.arrayOf(d.u32), access: "readonly", visibility: ["compute"] },
    layers: { storage: d.arrayOf(LayerState), access: "mutable", visibility: ["compute"] },
    counts: { storage: d.arrayOf(d.f32), access: "mutable", visibility: ["compute"] },
    scales: { storage: d.arrayOf(d.vec2f), access: "mutable", visibility: ["compute"] },
    words: { storage: d.arrayOf(d.u32), access: "readonly", visibility: ["compute"] },
  })
  .$idx(0);

const ENTRIES = ["weigh", "carry", "adopt", "fitted", "damped", "note"] as const;
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
}

/** What the kernels read and write; each says what it needs. */
export interface BlockStateBuffers {
  settings: BlockSettings;
  layers: GPUBuffer;
  flags?: GPUBuffer;
  status?: GPUBuffer;
  counts?: GPUBuffer;
  scales?: GPUBuffer;
}

/**
 * Records a decision of `block_state.wgsl` for layers of one block: `"weigh"` reads flags and writes counts and scales,
 * `"carry"` reads counts and writes scales, `"adopt"` and `"fitted"` read status and write counts and scales, `"damped"` reads status and writes counts. `"adopt"`,
 * `"damped"` and `"note"` write down λ.
 */
export function decide(
  recorder: Recorder,
  decision: (typeof ENTRIES)[number],
  entries: readonly BlockEntry[],
  buffers: BlockStateBuffers,
): void {
  const { settings, layers } = buffers;
  const { stored } = settings;
  const rows = entries.map(({ entry, layer, status = 0 }) => ({ entry, layer, status, ...wordOf(stored) }));
  const problems = recorder.manager.table(BlockProblem, rows);
  // What an entry point does not use is stood in for.
  const spare = () => recorder.scratch(4);
  const { flags = problems, status = problems, counts = spare(), scales = spare() } = buffers;
  recorder.dispatch(
    kernels[decision],
    {
      problems,
      settings: settings.buffer,
      flags,
      status,
      layers,
      counts,
      scales,
      // Without a λ of the GPU's nothing is read here.
      words: stored?.buffer ?? problems,
    },
    Math.ceil(entries.length / WORKGROUP),
  );
}

/** Records that a λ that the GPU keeps counts from here on, for a block that only divides by it; nothing where it keeps none. */
export function noteDamping(
  recorder: Recorder,
  { layers, entries, states }: BlockSite,
  settings: BlockSettings,
): void {
  if (!settings.stored) return;
  decide(
    recorder,
    "note",
    layers.map((_, layer) => ({ entry: entries[layer]!, layer })),
    { settings, layers: states.buffer },
  );
}
