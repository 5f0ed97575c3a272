import { d, readFromArrayBuffer } from "typegpu";
import { Verdict } from "../structs.js";

/** What the control of a run keeps on the GPU from step to step. */
export const StepState = d.struct({
  /** 1 once the numbers below are set. */
  initialized: d.u32,
  /** Batches taken, and bad ones in a row. */
  seen: d.u32,
  badInARow: d.u32,
  verdict: d.u32,
  /** 1 where this batch is to be left out of the curvature, 2 where that starts afresh with it. */
  skip: d.u32,
  /** Steps taken back, and batches left out, in all. */
  rejected: d.u32,
  heldBatches: d.u32,
  /** 1 where the next batch can judge U. */
  judgeable: d.u32,
  /** Running loss and its mean deviation. */
  mean: d.f32,
  deviation: d.f32,
  /** Factors of λ and of the step's length after steps that were taken back. */
  boost: d.f32,
  shrink: d.f32,
  lambda: d.f32,
  /** Of the last step: ρ before it is shortened, μ, ⟨G, U⟩ and U'C(ρU + μV). */
  rate: d.f32,
  momentum: d.f32,
  slope: d.f32,
  bend: d.f32,
  /** Running sums and their counts: of the share of a promised slope that is found, of 1/ρ, and of both sides of μ. */
  slopeFound: d.f32,
  slopeCount: d.f32,
  steepness: d.f32,
  steepnessCount: d.f32,
  momentumSlope: d.f32,
  momentumCurvature: d.f32,
  lastMomentum: d.f32,
  /** Of the last step, ρ⟨G, U⟩ + μ⟨G, V⟩ and ρ as taken; running sums of the first, and of what the next batch leaves of it. */
  promise: d.f32,
  takenRate: d.f32,
  promisedSlope: d.f32,
  gained: d.f32,
  /** Running size of batches. */
  examples: d.f32,
  /** The loss of the batch, how the quadratic model of its step changes it, and the last reduction ratio. */
  loss: d.f32,
  predicted: d.f32,
  ratio: d.f32,
  /** λ of Levenberg–Marquardt's rule, before `boost`. */
  steeredDamping: d.f32,
  /** Batches in a row whose loss is a small part of the running loss. */
  lowInARow: d.u32,
  /** The loss of the first batch, and of the first since the curvature started afresh. */
  startLoss: d.f32,
  firstLoss: d.f32,
  /** Factor of the bound above which a loss is bad. */
  tolerance: d.f32,
  /** Batches until no inverse is of the data before they changed. */
  stale: d.u32,
  /** 1 where this batch was taken though its loss is above the bound. */
  tolerated: d.u32,
});

/** Words of the state that others read. */
export const STATE_WORDS = {
  verdict: d.memoryLayoutOf(StepState, ({ verdict }) => verdict).offset / 4,
  skip: d.memoryLayoutOf(StepState, ({ skip }) => skip).offset / 4,
  lambda: d.memoryLayoutOf(StepState, ({ lambda }) => lambda).offset / 4,
};

/** What a record tells of the control. */
export interface ControlReport {
  /** λ that the last inverses were made with. */
  readonly lambda: number;
  /** ρ before the step was shortened by `clip`; 0 where no step was taken. */
  readonly learningRate: number;
  /** μ of this step. */
  readonly momentum: number;
  /**
   * `"taken"`; `"burnIn"`, a batch whose statistics were taken in and no more; `"held"`, a batch that changed nothing; or
   * `"restored"`, the weights before the last step put back.
   */
  readonly verdict: "taken" | "burnIn" | "held" | "restored";
  /** Steps taken back so far. */
  readonly rejected: number;
  /** Batches left out so far. */
  readonly heldBatches: number;
  /** What happened and what was done about it, in words; undefined where a step was taken. */
  readonly status?: string;
}

/** What of a report may have been set rather than found. */
export type ControlNumbers = Pick<ControlReport, "lambda" | "learningRate" | "momentum">;

/** Decodes a `StepState`. Numbers that were set come back as they were set: on the GPU they are rounded to f32. */
export function controlReport(bytes: ArrayBuffer, set: Partial<ControlNumbers> = {}): ControlReport {
  const state = readFromArrayBuffer(bytes, StepState);
  const { rejected, heldBatches, verdict } = state;
  const asSet = (found: number, own: number | undefined) =>
    own !== undefined && Math.fround(own) === found ? own : found;
  const common = {
    lambda: asSet(state.lambda, set.lambda),
    learningRate: asSet(state.rate, set.learningRate),
    momentum: asSet(state.momentum, set.momentum),
    rejected,
    heldBatches,
  };
  if (verdict === Verdict.restored) return { ...common, verdict: "restored", status: restoredText(state) };
  if (verdict === Verdict.held) return { ...common, verdict: "held", status: heldText(state) };
  if (state.stale > 0) return { ...common, verdict: "burnIn", status: STALE };
  return { ...common, verdict: "taken" };
}

const STALE = "the data have changed: the curvature is learned afresh before weights change";

function restoredText({ mean, boost, shrink }: d.Infer<typeof StepState>): string {
  const done = `the last step is taken back, λ raised ${short(boost)}-fold, steps shortened to ${short(shrink)}`;
  return `loss far above ${short(mean)} twice in a row: ${done}`;
}

function heldText({ seen, badInARow, mean }: d.Infer<typeof StepState>): string {
  if (seen === 0) return "batch left out: its loss is not finite";
  const why = badInARow === 1 ? "" : ", and the weights are not to blame";
  return `batch left out: its loss is not finite or far above ${short(mean)}${why}`;
}

function short(value: number): string {
  return Number(value.toPrecision(3)).toString();
}
