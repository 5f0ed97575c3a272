import tgpu, { d } from "typegpu";
import code from "../../../shaders/factor_trials.wgsl?raw";
import { defineKernel, type Recorder } from "../../pipeline/index.js";
import type { BlockSite } from "./block.js";
import type { FactorState, InversionWords } from "./factor-state.js";
import { LayerState } from "./layer-states.js";
import { FactorSettings } from "./settings.js";
import { wordOf } from "./stored.js";

export const TrialProblem = d.struct({
  index: d.u32,
  entry: d.u32,
  place: d.u32,
  layers: d.u32,
  word: d.u32,
  stored: d.u32,
  multiplier: d.f32,
  sizeA: d.f32,
  sizeB: d.f32,
});

export const factorTrialsLayout = tgpu
  .bindGroupLayout({
    problems: { storage: d.arrayOf(TrialProblem), access: "readonly", visibility: ["compute"] },
    settings: { uniform: FactorSettings, visibility: ["compute"] },
    traces: { storage: d.arrayOf(d.vec2f), access: "readonly", visibility: ["compute"] },
    layers: { storage: d.arrayOf(LayerState), access: "readonly", visibility: ["compute"] },
    words: { storage: d.arrayOf(d.u32), access: "readonly", visibility: ["compute"] },
    dampings: { storage: d.arrayOf(d.vec2f), access: "mutable", visibility: ["compute"] },
    status: { storage: d.arrayOf(d.vec2u), access: "mutable", visibility: ["compute"] },
    outcome: { storage: d.arrayOf(d.u32), access: "mutable", visibility: ["compute"] },
  })
  .$idx(0);

const trialKernel = (entryPoint: string) =>
  defineKernel({ name: "factor_trials", code, layout: factorTrialsLayout, entryPoint });
const dampKernel = trialKernel("damp");
const judgeKernel = trialKernel("judge");

const WORKGROUP = 64;

/** What both kernels work with. */
export interface TrialOperands {
  site: BlockSite;
  state: FactorState;
  multipliers: readonly number[];
  /** Dampings and status: those of trial k, layer l are pair place + k · layers + l. */
  words: InversionWords;
  /** A word a trial. */
  outcome: GPUBuffer;
}

/** Records how the λ of each trial is split between the factors of each layer, from the state's traces. */
export function dampTrials(recorder: Recorder, operands: TrialOperands): void {
  const { site, multipliers } = operands;
  run(
    recorder,
    dampKernel,
    operands,
    multipliers.flatMap((multiplier, trial) =>
      site.layers.map(({ in: sizeA, out: sizeB }, index) => {
        return { index, trial, entry: site.entries[index]!, multiplier, sizeA, sizeB, first: index };
      }),
    ),
  );
}

/** Records what the status words of each trial come to. */
export function judgeTrials(recorder: Recorder, operands: TrialOperands): void {
  run(
    recorder,
    judgeKernel,
    operands,
    operands.multipliers.map((multiplier, trial) => {
      return { index: trial, trial, entry: 0, multiplier, sizeA: 0, sizeB: 0, first: 0 };
    }),
  );
}

type Row = Omit<d.Infer<typeof TrialProblem>, "place" | "layers" | "word" | "stored"> & {
  trial: number;
  first: number;
};

function run(
  recorder: Recorder,
  kernel: typeof dampKernel,
  { site, state, words, outcome }: TrialOperands,
  rows: readonly Row[],
): void {
  const { stored } = state.settings;
  const layers = site.layers.length;
  const problems = recorder.manager.table(
    TrialProblem,
    rows.map(({ trial, first, ...row }) => {
      return { ...row, place: words.place + trial * layers + first, layers, ...wordOf(stored) };
    }),
  );
  recorder.dispatch(
    kernel,
    {
      problems,
      settings: state.settings.buffer,
      traces: state.traces,
      layers: site.states.buffer,
      // Without a λ of the GPU's nothing is read here.
      words: stored?.buffer ?? problems,
      dampings: words.dampings,
      status: words.status,
      outcome,
    },
    Math.ceil(rows.length / WORKGROUP),
  );
}
