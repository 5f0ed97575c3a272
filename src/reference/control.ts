/**
 * The control of a training run in f64: the verdict on each batch by its loss, λ, and the rate and momentum of each step by the
 * quadratic model (Martens & Grosse 2015, section 7) corrected by what later batches say. The rules of `step_judge.wgsl`,
 * `step_plan.wgsl` and `step_ratio.wgsl`, where numbers beyond f32 count as not finite.
 */
import { dampingShare, gainAbove, leastLength } from "./gain.js";

/** What a run keeps from step to step; see `StepState` of the optimisers for what each number is. */
export interface ControlState {
  readonly seen: number;
  readonly badInARow: number;
  readonly verdict: "taken" | "held" | "restored";
  /** What becomes of the batch in the curvature. */
  readonly statistics: "taken" | "leftOut" | "afresh";
  readonly rejected: number;
  readonly heldBatches: number;
  readonly lowInARow: number;
  /** Whether the next batch can judge the last direction. */
  readonly judgeable: boolean;
  readonly mean: number;
  readonly deviation: number;
  readonly boost: number;
  readonly shrink: number;
  readonly lambda: number;
  readonly rate: number;
  readonly momentum: number;
  readonly slope: number;
  readonly bend: number;
  readonly slopeFound: number;
  readonly slopeCount: number;
  readonly steepness: number;
  readonly steepnessCount: number;
  readonly momentumSlope: number;
  readonly momentumCurvature: number;
  readonly lastMomentum: number;
  /** The slope that the last step promised, and its ρ; running sums of the first, and of what the next batch leaves of it. */
  readonly promise: number;
  readonly takenRate: number;
  readonly promisedSlope: number;
  readonly gained: number;
  readonly examples: number;
  /** Factor of the bound above which a loss is bad, and batches until no inverse is of the data before they changed. */
  readonly tolerance: number;
  readonly stale: number;
  /** Whether this batch was taken though its loss is above the bound. */
  readonly tolerated: boolean;
  /** The loss at the start, and at the start of what the curvature is of. */
  readonly startLoss: number;
  readonly firstLoss: number;
  readonly loss: number;
  readonly predicted: number;
  readonly ratio: number;
  /** λ of Levenberg–Marquardt's rule, before `boost`. */
  readonly steeredDamping: number;
}

/** What a step is told. */
export interface ControlStepSettings {
  /** ρ; undefined: from the model. */
  readonly learningRate?: number | undefined;
  /** μ; undefined: from the model. */
  readonly momentum?: number | undefined;
  /** λ, or its share of the running loss, where it begins for `"levenbergMarquardt"`. */
  readonly damping: number;
  readonly rule: "fixed" | "loss" | "levenbergMarquardt";
  readonly leastDamping: number;
  readonly mostDamping: number;
  /** ω of the penalty ½ω‖W‖². */
  readonly penalty: number;
  /** ω of a decay beside the step; defaults to 0. */
  readonly decoupled?: number;
  readonly klClip: number;
  readonly trustRegion: number;
  /** Whether the forms U'CU, U'CV, V'CV are known. */
  readonly measures: boolean;
  /** Whether λ is renewed. */
  readonly refreshes: boolean;
  /** Whether the step changes no weights; defaults to false. */
  readonly waits?: boolean;
  /** Whether a step before has changed them; defaults to true. Else every bad batch is held. */
  readonly moved?: boolean;
  /** Steps in which every inverse is renewed; defaults to 0. */
  readonly period?: number;
}

/** The inner products of a layer's G, U, V and of the U before it. */
export interface ControlLayer {
  /** Finite and with inverses. */
  readonly maySteps: boolean;
  readonly gg: number;
  readonly gu: number;
  readonly uu: number;
  readonly gv: number;
  readonly uv: number;
  readonly vv: number;
  readonly previous: number;
}

/** How far a step goes: V ← μV + cU, W ← W − V − sW with a c for each layer; where that is 0, nothing moves. */
export interface PlannedStep {
  readonly state: ControlState;
  readonly coefficients: readonly number[];
  readonly momentum: number;
  /** s of the decay beside the step. */
  readonly decay: number;
  readonly clip: number;
  readonly skippedLayers: number;
}

const LARGEST_F32 = 3.4028234663852886e38;
const REJECT = 3;
const SPREAD = 6;
const UNKNOWN = 3;
const PATIENCE = 5;
const DROP = 30;
const RAISE = 10;
const SHORTEN = 0.25;
const FAR = 10;
const LARGEST_TOLERANCE = 1e12;

/** A run before its first batch. */
export function initialControlState(): ControlState {
  const numbers = {
    mean: 0,
    deviation: 0,
    boost: 1,
    shrink: 1,
    tolerance: 1,
    stale: 0,
    tolerated: false,
    lambda: 0,
    rate: 0,
    momentum: 0,
    slope: 0,
    bend: 0,
  };
  const sums = {
    slopeFound: 0,
    slopeCount: 0,
    steepness: 0,
    steepnessCount: 0,
    momentumSlope: 0,
    momentumCurvature: 0,
    lastMomentum: 0,
    promise: 0,
    takenRate: 0,
    promisedSlope: 0,
    gained: 0,
    examples: 0,
  };
  const looks = { startLoss: 0, firstLoss: 0, loss: 0, predicted: 0, ratio: 0, steeredDamping: 0 };
  const counts = { seen: 0, badInARow: 0, rejected: 0, heldBatches: 0, lowInARow: 0 };
  return {
    ...counts,
    ...numbers,
    ...sums,
    ...looks,
    verdict: "taken",
    statistics: "taken",
    judgeable: false,
  };
}

/** The verdict on a batch of so many examples, and λ. */
export function judgeBatch(
  before: ControlState,
  loss: number,
  examples: number,
  settings: ControlStepSettings,
): ControlState {
  const usually = before.seen === 0 ? examples : before.examples;
  const scatter = Math.sqrt(Math.max(usually / examples, 1));
  const limit = (1 + (REJECT - 1) * scatter) * before.mean + (UNKNOWN * before.firstLoss) / examples;
  const spread = before.mean + SPREAD * scatter * before.deviation;
  const bound = Math.max(limit, spread);
  const within = loss <= Math.min(before.tolerance * bound, FAR * before.startLoss);
  const usual = before.seen === 0 || loss <= bound || within || before.badInARow >= PATIENCE;
  const judged =
    finite(loss) && usual
      ? take(before, loss, bound, settings.period ?? 0)
      : leave(before, settings.moved ?? true);
  const { damping, rule, leastDamping, mostDamping, refreshes } = settings;
  const common = { ...judged, loss, examples: mix(0.9, usually, examples) };
  if (!refreshes) return common;
  const base =
    damping *
    (rule === "fixed"
      ? 1
      : Math.abs(judged.mean) * (judged.promisedSlope > 0 ? dampingShare(gainOf(judged)) : 1));
  // It begins where the running loss would have it.
  const begins = rule === "levenbergMarquardt" && judged.steeredDamping === 0 && judged.seen > 0;
  const steeredDamping = begins ? base : judged.steeredDamping;
  const lambda = (rule === "levenbergMarquardt" ? steeredDamping : base) * judged.boost;
  return { ...common, steeredDamping, lambda: clamp(lambda, leastDamping, mostDamping) };
}

function take(before: ControlState, loss: number, bound: number, period: number): ControlState {
  const { seen, badInARow, mean, deviation } = before;
  const lowInARow = mean > DROP * loss ? before.lowInARow + 1 : 0;
  // One bad batch, or those after a step was taken back: the weights were not to blame.
  const alone = (badInARow === 1 || badInARow > 2) && finite(before.loss);
  const common: ControlState = {
    ...before,
    tolerance: alone
      ? Math.min(2 * before.tolerance ** 2, LARGEST_TOLERANCE)
      : Math.max(0.98 * before.tolerance, 1),
    stale: Math.max(before.stale - 1, 0),
    seen: seen + 1,
    tolerated: loss > bound && seen > 0,
    badInARow: 0,
    verdict: "taken",
    statistics: "taken",
    lowInARow,
    boost: Math.max(before.boost * 0.97, 1),
    shrink: Math.min(before.shrink * 1.03, 1),
  };
  if (seen === 0) return { ...common, startLoss: loss, firstLoss: loss, mean: loss, deviation: 0 };
  if (badInARow >= PATIENCE || (lowInARow === 2 && seen <= PATIENCE)) {
    const forgotten = {
      tolerance: 1,
      ...(badInARow >= PATIENCE && { stale: period, startLoss: loss }),
      lowInARow: 0,
      deviation: 0,
      judgeable: false,
      slopeFound: 0,
      slopeCount: 0,
      steepness: 0,
      steepnessCount: 0,
      promisedSlope: 0,
      gained: 0,
    };
    return { ...common, ...forgotten, firstLoss: loss, mean: loss, statistics: "afresh" };
  }
  return {
    ...common,
    deviation: mix(0.9, deviation, Math.abs(loss - mean)),
    mean: mix(0.9, mean, loss),
  };
}

function leave(before: ControlState, moved: boolean): ControlState {
  const { boost, shrink } = before;
  const badInARow = before.badInARow + 1;
  const common = { ...before, badInARow, lowInARow: 0, judgeable: false, statistics: "leftOut" as const };
  if (badInARow === 2 && before.seen > 0 && moved) {
    return {
      ...common,
      verdict: "restored",
      rejected: before.rejected + 1,
      boost: Math.min(boost * RAISE, 1e12),
      shrink: Math.max(shrink * SHORTEN, 1e-12),
      momentumSlope: 0,
      momentumCurvature: 0,
    };
  }
  const innocent = badInARow === 3 && before.seen > 0;
  return {
    ...common,
    verdict: "held",
    heldBatches: before.heldBatches + 1,
    boost: innocent ? Math.max(boost / RAISE, 1) : boost,
    shrink: innocent ? Math.min(shrink / SHORTEN, 1) : shrink,
  };
}

/** How far the step goes; `forms` are U'CU, U'CV and V'CV without λ. */
export function planStep(
  before: ControlState,
  layers: readonly ControlLayer[],
  forms: readonly [uu: number, uv: number, vv: number],
  settings: ControlStepSettings,
): PlannedStep {
  const stepping = layers.filter(({ maySteps }) => maySteps);
  const skippedLayers = layers.length - stepping.length;
  const nothing = (skipped: number, state = before, clip = 0): PlannedStep => ({
    state: { ...state, judgeable: false, predicted: 0, rate: 0, momentum: 0 },
    coefficients: layers.map(() => 0),
    momentum: 0,
    decay: 0,
    clip,
    skippedLayers: skipped,
  });
  if (before.verdict !== "taken") return nothing(skippedLayers);
  if (settings.waits || before.stale > 0) return nothing(0);
  const total = (name: Exclude<keyof ControlLayer, "maySteps">) =>
    stepping.reduce((sum, own) => sum + own[name], 0);
  const [gu, uu, gv, uv, vv] = [total("gu"), total("uu"), total("gv"), total("uv"), total("vv")];
  const ridge = before.lambda + settings.penalty;
  const [cuu, cuv, cvv] = [forms[0] + ridge * uu, forms[1] + ridge * uv, forms[2] + ridge * vv];
  const measured = settings.measures && [cuu, cuv, cvv, gu, gv].every(finite);
  const gained = measured ? gainAbove(gv, forms[2] + settings.penalty * vv, before.takenRate) : Number.NaN;
  const state = {
    ...before,
    ...shares(before, total("previous")),
    ...gains(before, gained),
    judgeable: false,
  };
  const share = state.slopeCount > 0 ? state.slopeFound / state.slopeCount : 1;
  const least = state.promisedSlope > 0 ? leastLength(gainOf(state)) : 1;
  const s = clamp(share, least, 1);
  let model = 0;
  if (measured && gu > 0 && cuu > 0) {
    model = modelRate(gu, gv, cuu, cuv, cvv);
    if (finite(cuu / gu)) {
      state.steepness = mix(0.9, state.steepness, cuu / gu);
      state.steepnessCount = mix(0.9, state.steepnessCount, 1);
    }
  }
  const typical = state.steepness > 0 ? state.steepnessCount / state.steepness : 0;
  if (!settings.measures || (!measured && skippedLayers > 0)) model = typical;
  const eta = settings.learningRate ?? Math.min(model, typical) * s;
  let rate = settings.trustRegion > 0 && typical > 0 ? Math.min(eta, typical * s) : eta;
  const bounded = measured && settings.trustRegion > 0 && state.mean > 0;
  const bound = clamp(share, 0.1, 1) * settings.trustRegion * state.mean;
  if (bounded && 0.5 * rate * rate * cuu > bound) rate = Math.sqrt((2 * bound) / cuu);
  if (bounded && state.tolerated && 0.5 * rate * gu > bound) rate = (2 * bound) / gu;

  let momentum = state.lastMomentum;
  if (settings.momentum !== undefined) momentum = settings.momentum;
  else if (measured && cvv > 0) {
    const keep = s < 0.8 ? 0.95 : 0;
    const momentumSlope = mix(keep, state.momentumSlope, gv - rate * cuv);
    const momentumCurvature = mix(keep, state.momentumCurvature, cvv);
    if (finite(momentumSlope) && finite(momentumCurvature) && momentumCurvature > 0) {
      Object.assign(state, { momentumSlope, momentumCurvature });
      momentum = clamp(momentumSlope / momentumCurvature, s < 0.8 ? 0 : -0.95, 0.95);
    }
  }
  if (vv === 0) momentum = 0;
  state.lastMomentum = momentum;

  let clip = eta > rate ? rate / eta : 1;
  if (bounded) {
    const size = 0.5 * (rate * rate * cuu + 2 * rate * momentum * cuv + momentum * momentum * cvv);
    const shorter = size > bound ? Math.sqrt(bound / size) : 1;
    clip = finite(size) ? clip * shorter : 0;
    momentum *= shorter;
  }
  if (settings.klClip > 0) {
    const norm = eta * eta * gu;
    if (!finite(norm)) clip = 0;
    else if (norm > settings.klClip) clip = Math.min(clip, Math.sqrt(settings.klClip / norm));
  }
  clip *= state.shrink;
  rate = eta * clip;
  if (!finite(rate) || !finite(momentum) || clip === 0) return nothing(layers.length, state, clip);
  const judges = measured && gu > 0 && skippedLayers === 0;
  const decay = settings.penalty;
  const bend = rate * (forms[0] + decay * uu) + momentum * (forms[1] + decay * uv);
  const square = rate * rate * cuu + 2 * rate * momentum * cuv + momentum * momentum * cvv;
  const predicted = measured && skippedLayers === 0 ? 0.5 * square - rate * gu - momentum * gv : 0;
  return {
    state: {
      ...state,
      predicted,
      rate: eta,
      momentum,
      ...(judges && {
        judgeable: true,
        slope: gu,
        bend,
        promise: rate * gu + momentum * gv,
        takenRate: rate,
      }),
    },
    coefficients: layers.map(({ maySteps }) => (maySteps ? rate : 0)),
    momentum,
    decay: rate * (settings.decoupled ?? 0),
    clip,
    skippedLayers,
  };
}

/**
 * λ by the reduction ratio, where the loss of the batch is looked at again after the step, every `every` steps
 * (Martens & Grosse 2015, section 6.5).
 */
export function lookAtRatio(
  before: ControlState,
  after: number,
  every: number,
  { leastDamping, mostDamping }: ControlStepSettings,
): ControlState {
  const { predicted, steeredDamping, verdict, loss } = before;
  if (verdict !== "taken" || !(predicted < 0) || steeredDamping <= 0) return before;
  const ratio = finite(after) ? (after - loss) / predicted : -1;
  const factor = 0.95 ** every;
  const next =
    ratio > 0.75 ? steeredDamping * factor : ratio >= 0.25 ? steeredDamping : steeredDamping / factor;
  return { ...before, ratio, steeredDamping: clamp(next, leastDamping, mostDamping) };
}

/** How much of the slope that the last direction promised is there on a batch that it has not seen. */
function shares({ judgeable, bend, slope, slopeFound, slopeCount }: ControlState, previous: number) {
  const share = (previous + bend) / slope;
  if (!judgeable || !finite(share)) return {};
  return { slopeFound: mix(0.95, slopeFound, clamp(share, -10, 10)), slopeCount: mix(0.95, slopeCount, 1) };
}

/** What a batch that the last step has not seen leaves of its promise. */
function gains({ judgeable, promise, promisedSlope, gained }: ControlState, now: number) {
  if (!judgeable || !(promise > 0) || !finite(promise) || !finite(now)) return {};
  return { promisedSlope: mix(0.95, promisedSlope, promise), gained: mix(0.95, gained, now) };
}

function gainOf({ promisedSlope, gained }: ControlState): number {
  return gained / promisedSlope;
}

/** ρ of the model in the plane of U and V, or along U alone where that is no plane. */
function modelRate(gu: number, gv: number, cuu: number, cuv: number, cvv: number): number {
  const product = cuu * cvv;
  const det = product - cuv * cuv;
  if (cvv > 0 && finite(product) && finite(det) && det > 1e-6 * product) {
    const above = cvv * gu - cuv * gv;
    if (finite(above) && above / det > 0 && finite(above / det)) return above / det;
  }
  return gu / cuu;
}

function mix(keep: number, old: number, own: number): number {
  return keep * old + (1 - keep) * own;
}

function clamp(value: number, least: number, most: number): number {
  return Math.min(Math.max(value, least), most);
}

function finite(value: number): boolean {
  return Math.abs(value) <= LARGEST_F32;
}
