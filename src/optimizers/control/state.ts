import { d } from "typegpu";
import { Verdict } from "../structs.js";

/** What the control of a run keeps on the GPU from step to step. */
export const StepState = d.struct({
  /** 1 once the rest is meant. */
  started: d.u32,
  /** Batches taken, and bad ones in a row. */
  seen: d.u32,
  held: d.u32,
  verdict: d.u32,
  /** 1 where this batch is to be left out of the curvature, 2 where that starts afresh with it. */
  skip: d.u32,
  /** Steps taken back, and batches left out, in all. */
  rejected: d.u32,
  heldBatches: d.u32,
  /** 1 where the next batch can judge U. */
  fresh: d.u32,
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
  /** Running sums of the share s, of 1/ρ, and of μ. */
  real: d.f32,
  promised: d.f32,
  steep: d.f32,
  weight: d.f32,
  along: d.f32,
  bent: d.f32,
  kept: d.f32,
  /** Running size of batches. */
  examples: d.f32,
  /** The loss of the batch, how the quadratic model of its step changes it, and the last reduction ratio. */
  loss: d.f32,
  predicted: d.f32,
  ratio: d.f32,
  /** λ of Levenberg–Marquardt's rule, before `boost`. */
  steered: d.f32,
  /** Batches in a row whose loss is a small part of the running loss. */
  low: d.u32,
  /** The loss at the start. */
  start: d.f32,
});

/** Words of the state that others read. */
export const STATE_WORDS = { skip: 4, lambda: 12 } as const;

/** What a record tells of the control. */
export interface ControlReport {
  /** λ that the last inverses were made with. */
  readonly lambda: number;
  /** ρ before the step was shortened by `clip`; 0 where no step was taken. */
  readonly learningRate: number;
  /** μ of this step. */
  readonly momentum: number;
  /** `"taken"`; `"held"`, a batch that changed nothing; or `"restored"`, the weights before the last step put back. */
  readonly verdict: "taken" | "held" | "restored";
  /** Steps taken back so far. */
  readonly rejected: number;
  /** Batches left out so far. */
  readonly heldBatches: number;
  /** What happened and what was done about it, in words; undefined where a step was taken. */
  readonly status?: string;
}

/** Decodes a `StepState`. */
export function controlReport(bytes: ArrayBuffer): ControlReport {
  const [, seen, held, verdict, , rejected, heldBatches] = new Uint32Array(bytes, 0, 8);
  const [mean, , boost, shrink, lambda, learningRate, momentum] = new Float32Array(bytes, 32, 7);
  const common = {
    lambda: lambda!,
    learningRate: learningRate!,
    momentum: momentum!,
    rejected: rejected!,
    heldBatches: heldBatches!,
  };
  if (verdict === Verdict.restored) {
    const done = `the last step is taken back, λ raised ${short(boost!)}-fold, steps shortened to ${short(shrink!)}`;
    return {
      ...common,
      verdict: "restored",
      status: `loss far above ${short(mean!)} twice in a row: ${done}`,
    };
  }
  if (verdict === Verdict.held) {
    const what = seen === 0 ? "is not finite" : `is not finite or far above ${short(mean!)}`;
    const why = held === 1 || seen === 0 ? "" : ", and the weights are not to blame";
    return { ...common, verdict: "held", status: `batch left out: its loss ${what}${why}` };
  }
  return { ...common, verdict: "taken" };
}

function short(value: number): string {
  return Number(value.toPrecision(3)).toString();
}
