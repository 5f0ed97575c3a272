/** What K-FAC's settings mean for one step. */
import { type LayerStatus, statusText } from "../../curvature/index.js";
import { ArgumentError } from "../../errors.js";
import { InvertStatus } from "../../linalg/index.js";
import type { Model } from "../../model/index.js";
import type { ControlPlan } from "../control/control.js";
import type { ControlNumbers, ControlReport } from "../control/state.js";
import { decoupledOf, penaltyOf } from "../decay.js";
import type { StepPlan } from "../direction.js";
import type { KFAC_OPTIONS } from "../options.js";

type Schema = typeof KFAC_OPTIONS;

/** Bound of a λ that is set. */
const LARGEST = 1e38;
/** Least sampled derivatives of a batch that factors are made of. */
const SAMPLES = 256;
/** Examples that the moving means remember, and the least β. */
const WINDOW = 4000;
const LEAST_DECAY = 0.9;

/** Whether a step takes in factors. */
export function takesFactors(plan: StepPlan<Schema>): boolean {
  return burnsIn(plan) || (plan.number - plan.settings.burnIn - 1) % plan.settings.factorEvery === 0;
}

/** Whether a step takes in its batch and no more. */
export function burnsIn({ number, settings: { burnIn } }: StepPlan<Schema>): boolean {
  return number <= burnIn;
}

/** What a record says of such a step. */
export function burnInReport(
  plan: StepPlan<Schema>,
  { verdict }: ControlReport,
): Partial<Pick<ControlReport, "verdict" | "status">> {
  if (!burnsIn(plan) || verdict !== "taken") return {};
  const { number, settings } = plan;
  return {
    verdict: "burnIn",
    status: `burn-in: batch ${number} of ${settings.burnIn} taken in, weights as they were`,
  };
}

/** Monte-Carlo samples for each example of a step. */
export function samplesOf({ examples, settings: { samples } }: StepPlan<Schema>): number {
  return samples === "auto" ? Math.max(1, Math.ceil(SAMPLES / examples)) : samples;
}

/** β of a step of so many examples. */
export function emaDecayOf(decay: number | "window", examples: number): number {
  return decay === "window" ? Math.max(LEAST_DECAY, 1 - examples / WINDOW) : decay;
}

/** What the control of a step is told. */
export function controlPlan(plan: StepPlan<Schema>, canMeasure: boolean): ControlPlan {
  const { number, settings } = plan;
  const { learningRate, momentum, damping, dampingShare, inverseEvery, burnIn, ...rest } = settings;
  const asked = [learningRate, momentum].includes("model") || damping === "levenbergMarquardt";
  return {
    leastDamping: typeof damping === "number" ? 0 : rest.leastDamping,
    mostDamping: typeof damping === "number" ? LARGEST : rest.mostDamping,
    penalty: penaltyOf(settings),
    decoupled: decoupledOf(settings),
    klClip: rest.klClip,
    trustRegion: rest.trustRegion,
    learningRate: learningRate === "model" ? undefined : learningRate,
    momentum: momentum === "model" ? undefined : momentum,
    damping: typeof damping === "number" ? damping : dampingShare,
    rule: typeof damping === "number" ? "fixed" : damping,
    measures: asked && canMeasure && !burnsIn(plan),
    refreshes: !burnsIn(plan) && refreshes(number - burnIn, inverseEvery),
    period: Math.max(inverseEvery, rest.basesEvery ?? 0),
    examples: plan.examples,
    number,
    firstStep: burnIn + 1,
  };
}

/** The reduction ratio takes the loss of the batch a second time. @throws ArgumentError where the model does not give it */
export function requireRatio(model: Model, { damping }: { damping: unknown }): void {
  if (damping !== "levenbergMarquardt" || model.recordLoss) return;
  throw new ArgumentError("kfac", "damping", 'must be a number or "loss" for a model without recordLoss');
}

/** What is measured on one process's part of the batch alone differs between them. @throws ArgumentError */
export function requireShared({ settings }: StepPlan<Schema>): void {
  if (settings.damping === "levenbergMarquardt") {
    const problem = 'must be a number or "loss" where there is a seam, got "levenbergMarquardt"';
    throw new ArgumentError("kfac", "damping", problem);
  }
  for (const name of ["learningRate", "momentum"] as const) {
    if (settings[name] !== "model") continue;
    throw new ArgumentError("kfac", name, 'must be a number where there is a seam, got "model"');
  }
}

/** The first means are of few batches, so early inverses are renewed at steps 1, 2, 4, 8 … too. */
export function refreshes(number: number, every: number): boolean {
  return (number < every && Number.isInteger(Math.log2(number))) || (number - 1) % every === 0;
}

/** What of a step's numbers was set rather than left to the GPU. */
export function numbersSet({ settings }: StepPlan<Schema>): Partial<ControlNumbers> {
  const { damping, learningRate, momentum } = settings;
  return {
    ...(typeof damping === "number" && { lambda: damping }),
    ...(typeof learningRate === "number" && { learningRate }),
    ...(typeof momentum === "number" && { momentum }),
  };
}

/**
 * What the user should know of the layers. A λ that K-FAC finds by itself may be too small to count beside an f32 factor, as
 * where the loss has become tiny; that is no trouble and nothing that could be acted on.
 */
export function troubleOf(
  layers: readonly LayerStatus[],
  { settings: { damping } }: StepPlan<Schema>,
): { status?: string } {
  const minor = typeof damping === "number" ? 0 : InvertStatus.dampingBelowFloor;
  for (const { name, status, ready } of layers) {
    const text = statusText((status.A | status.B) & ~minor, ready);
    if (text !== "ok") return { status: `${name}: ${text}` };
  }
  return {};
}
