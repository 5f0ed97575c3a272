import { d } from "typegpu";

/**
 * Where the numbers of a layer are that decide whether and how far it steps: its flag, its words of `ready`, and the parts of its
 * sums. Without `chunks` U is G.
 */
export const LayerStep = d.struct({
  flag: d.u32,
  ready: d.u32,
  words: d.u32,
  parts: d.u32,
  chunks: d.u32,
  slopes: d.u32,
  groups: d.u32,
});

/** What became of a step. `verdict` is one of `Verdict`. */
export const Outcome = d.struct({
  clip: d.f32,
  gradientSquared: d.f32,
  updateSquared: d.f32,
  skipped: d.u32,
  flags: d.u32,
  verdict: d.u32,
});

/** What the change of the weights is made with. */
export const AppliedStep = d.struct({
  learningRate: d.f32,
  momentum: d.f32,
  verdict: d.u32,
  velocity: d.u32,
  good: d.u32,
  /** Share of W that goes beside the step: ηω of a decoupled decay. */
  decay: d.f32,
});

/** The words of `shaders/source/pieces/verdicts.wgsl`. */
export const Verdict = { taken: 0, held: 1, restored: 2 } as const;
