/**
 * The options of the optimisers: one entry each, and all there is to say of it. This file knows no GPU, so that the command
 * line can print its help without one.
 */
import type { BlockChoice } from "../curvature/index.js";
import { APPROXIMATIONS, BLOCK_KINDS, FALLBACKS } from "../curvature/names.js";
import { PRECISIONS } from "../linalg/products/precision.js";
import type { FisherKind } from "../model/index.js";
import { choice, fraction, functionOf, nonNegative, positive, whole } from "./schema.js";

/** `fisher` with its samples beside it. */
export interface FisherChoice {
  readonly kind: FisherKind;
  /** Of `"monteCarlo"`, for each example; defaults to 1. */
  readonly samples?: number;
}

/** What all learning rates have in common; the default is each optimiser's. */
const LEARNING_RATE = {
  symbol: "η",
  label: "Learning rate",
  help: "step size",
  live: true,
  scheduled: true,
  usual: [1e-4, 1],
} as const;

/** What all dampings have in common. */
const DAMPING = {
  symbol: "λ",
  label: "Damping λ",
  help: "added to the curvature, on the scale of the mean loss's Hessian whatever the batch size",
  live: true,
  scheduled: true,
  usual: [1e-4, 10],
} as const;

const MOMENTUM = {
  symbol: "μ",
  label: "Momentum",
  help: "share of V that stays in each step",
  live: true,
} as const;

const WEIGHT_DECAY = {
  default: 0,
  symbol: "ω",
  label: "Weight decay",
  help: "a pull of the weights towards zero",
  live: true,
} as const;

const DECAY = {
  default: "coupled",
  label: "Decay by",
  titles: { coupled: "Penalty", decoupled: "Beside the step" },
  help: "how weights decay: by the penalty ½ω‖W‖², or ηωW beside the step",
  live: true,
} as const;

/** What every optimiser takes, since the end of a step is the same for all. */
export const STEP_OPTIONS = {
  /** η > 0, or a schedule of it. */
  learningRate: positive(LEARNING_RATE),
  /** ω ≥ 0, a pull of the weights towards zero. */
  weightDecay: nonNegative(WEIGHT_DECAY),
  /**
   * How ω pulls: `"coupled"`, by the penalty ½ω‖W‖², whose gradient ωW is added to G before anything is made of it; or
   * `"decoupled"`, W ← W − ηωW beside the step, whatever its direction (Loshchilov & Hutter 2019).
   */
  decay: choice(["coupled", "decoupled"], DECAY),
  /**
   * c ≥ 0 of G ← min(1, c/‖G‖) G with the norm over all layers, before weight decay and before anything is made of G; 0 for none
   * (Pascanu, Mikolov & Bengio 2013). A layer whose G is not finite is left out of the norm, and alone.
   */
  gradientClip: nonNegative({
    default: 0,
    label: "Gradient clip",
    help: "largest norm of the gradient over all layers, a longer one is shortened to it; 0 for none",
    live: true,
  }),
  /** κ ≥ 0 of the norm clip ν = min(1, √(κ / (η² Σ⟨G, U⟩))); 0 for no clip. */
  klClip: nonNegative({
    default: 0,
    symbol: "κ",
    label: "Norm clip",
    help: "bound on η² Σ⟨G, U⟩, the size of a step in the curvature's metric; 0 for none",
    live: true,
  }),
  /**
   * β in [0, 1) of a running mean of the weights, W̄ ← β_t W̄ + (1 − β_t) W with β_t = min(β, t / (t + 9)) in step t, to evaluate
   * (Polyak & Juditsky 1992); 0 for none. It takes the memory of the weights once more. See `withAverage`.
   */
  averageDecay: fraction({
    default: 0,
    label: "Mean of weights",
    help: "share that stays in each step of a running mean of the weights, to evaluate; 0 for no mean",
    usual: [0.9, 0.999],
  }),
} as const;

/** For optimisers that keep V: its part of V ← μV + νU. */
const momentum = <const D extends number>(value: D) => fraction({ ...MOMENTUM, default: value });

/** What the entries of a schema are made by; `momentum(0.9)` is that of optimisers that keep V. */
export const option = { positive, nonNegative, fraction, whole, choice, functionOf, momentum } as const;

/** Options of `Sgd`. */
export const SGD_OPTIONS = {
  ...STEP_OPTIONS,
  /** μ in [0, 1) of V ← μV + G. */
  momentum: momentum(0.9),
} as const;

/** Options of `Adam`. */
export const ADAM_OPTIONS = {
  ...STEP_OPTIONS,
  /** η > 0, or a schedule of it. */
  learningRate: positive({ ...LEARNING_RATE, default: 1e-3 }),
  /** β₁ in [0, 1) of the first moment. */
  beta1: fraction({ default: 0.9, symbol: "β₁", help: "share of the first moment that stays in each step" }),
  /** β₂ in [0, 1) of the second moment. */
  beta2: fraction({
    default: 0.999,
    symbol: "β₂",
    help: "share of the second moment that stays in each step",
  }),
  /** ε > 0, added to the root of the second moment. */
  epsilon: positive({
    default: 1e-8,
    symbol: "ε",
    help: "added to the root of the second moment",
    live: true,
  }),
} as const;

/** Options of `AdamW`: those of `Adam`, with other defaults for the decay. */
export const ADAMW_OPTIONS = {
  ...ADAM_OPTIONS,
  /** ω ≥ 0, a pull of the weights towards zero. */
  weightDecay: nonNegative({ ...WEIGHT_DECAY, default: 0.01 }),
  /** How ω pulls: as for all optimisers, but `"decoupled"` by default. */
  decay: choice(["coupled", "decoupled"], { ...DECAY, default: "decoupled" }),
} as const;

/** Which derivatives a curvature is made of, for optimisers that have one. */
export const FISHER_OPTIONS = {
  /** Which Bᵢ: the kind, or the kind with its samples. */
  fisher: choice(["monteCarlo", "exact", "empirical"] as const satisfies readonly FisherKind[], {
    default: "monteCarlo",
    label: "Fisher, for B̄",
    titles: { monteCarlo: "Monte-Carlo", exact: "Exact", empirical: "Empirical" },
    help: "which derivatives the curvature is made of",
    live: true,
    unfold: ({ kind, ...rest }: FisherChoice) => ({ fisher: kind, ...rest }),
  }),
  /** Monte-Carlo samples for each example. */
  samples: whole({ default: 1, help: "samples per example for monteCarlo", live: true }),
  /** Key of the Monte-Carlo samples. */
  seed: whole({ default: 0, least: 0, most: 0xffffffff, help: "key of the Monte-Carlo samples" }),
} as const;

/** Options of `Kfac`. */
export const KFAC_OPTIONS = {
  ...STEP_OPTIONS,
  /** η > 0, a schedule of it, or `"model"`: from the quadratic model of each batch, corrected by what the next batches say. */
  learningRate: positive({ ...LEARNING_RATE, default: "model", words: ["model"] }),
  /**
   * λ ≥ 0, a schedule of it, `"loss"`: `dampingShare` times the running loss, a quarter of that where gradients are clear of noise,
   * or `"levenbergMarquardt"`: from there on by the reduction ratio on the batch just used (Martens & Grosse 2015, section 6.5),
   * for large batches. Counts from the next inversion on. It is raised for a while after a step that had to be taken back.
   */
  damping: nonNegative({ ...DAMPING, default: "loss", words: ["loss", "levenbergMarquardt"] }),
  /** λ over the running loss, where `damping` is `"loss"`. */
  dampingShare: positive({
    default: 1e-3,
    label: "λ / loss",
    help: "λ over the running loss, where the damping follows it or begins there",
    live: true,
    usual: [1e-5, 1],
  }),
  /** Smallest λ. */
  leastDamping: nonNegative({ default: 1e-10, help: "smallest λ", live: true, atMost: "mostDamping" }),
  /** Largest λ. */
  mostDamping: positive({ default: 1e10, help: "largest λ", live: true }),
  /** μ in [0, 1) of V ← μV + ηνU, or `"model"`: from the quadratic model, over the last batches. */
  momentum: fraction({ ...MOMENTUM, default: "model", words: ["model"] }),
  /**
   * A step whose quadratic model changes the loss by more than this share of the running loss is shortened, and so is one with
   * a fixed rate above the model's, where the momentum is `"model"`; 0 for no bound.
   */
  trustRegion: nonNegative({
    default: 1,
    label: "Trust region",
    help: "largest change of the loss that a step's quadratic model may have, over the running loss; 0 for none",
    live: true,
  }),
  /** β in [0, 1) of the factors' moving means, or `"window"`: some 4,000 examples, at least 10 batches. */
  emaDecay: fraction({
    default: "window",
    words: ["window"],
    symbol: "β",
    help: "share of the old factors that stays in each update",
  }),
  /**
   * Steps at the start that take in their batches' statistics and leave the weights as they are; the record's verdict is
   * `"burnIn"`. Curvature is then a mean of more than a batch or two when the first step is made of it. The early inverses count
   * from the first step after them.
   */
  burnIn: whole({
    default: 0,
    least: 0,
    label: "Burn-in",
    help: "steps at the start that take in factors and leave the weights as they are",
  }),
  /** Steps between updates of the factors. */
  factorEvery: whole({
    default: 1,
    label: "New factors every",
    help: "steps between new factors",
    live: true,
  }),
  /** Steps between inversions. Early on they come at steps 1, 2, 4, 8 … as well. */
  inverseEvery: whole({
    default: 10,
    label: "New inverses every",
    help: "steps between new inverses",
    live: true,
    usual: [1, 50],
  }),
  /**
   * Steps between new eigenbases, of layers whose curvature is `"eigen"` or `"ekfac"`, in place of `inverseEvery`, which is the
   * default. Early on they come at steps 1, 2, 4, 8 … as well. λ and EKFAC's spectrum do not wait for them.
   */
  basesEvery: whole({
    optional: true,
    label: "New eigenbases every",
    help: "steps between new eigenbases, of eigen and ekfac",
    live: true,
    usual: [1, 200],
  }),
  /**
   * Whether all inverses are renewed in one step of `inverseEvery`, or in turn: `"staggered"`, a share of the layers in each of
   * several steps, so that no step takes much longer than others. Small layers stay together, where there is nothing to gain.
   */
  inverses: choice(["staggered", "together"], {
    default: "staggered",
    label: "Inverses",
    titles: { staggered: "In turn", together: "All in one step" },
    help: "whether large layers get their new inverses in turn or all in one step",
    live: true,
  }),
  ...FISHER_OPTIONS,
  /** Monte-Carlo samples for each example, or `"auto"`: as many as make 256 a batch. */
  samples: whole({
    default: "auto",
    words: ["auto"],
    help: "samples per example for monteCarlo",
    live: true,
  }),
  /** How each layer's curvature is estimated: a kind for all, or a function of the layer. See `BlockChoice`. */
  curvature: choice(BLOCK_KINDS, {
    default: "kronecker",
    label: "Curvature",
    help: "how each layer's curvature is estimated",
    computed: functionOf<Extract<BlockChoice, (...layer: never) => unknown>>(),
  }),
  /**
   * What the columns of Aᵢ and Bᵢ are rounded to before they are multiplied for ΣAᵢAᵢ' and ΣBᵢBᵢ'. `"f16"` needs the device feature
   * `shader-f16`; sums, means, inverses and steps stay f32. See `CurvatureOptions`.
   */
  factorPrecision: choice(PRECISIONS, {
    default: "f32",
    help: "what inputs and derivatives are rounded to where factors are made of them",
  }),
  /** What becomes of layers whose curvature has no Kronecker form; they are refused by default. */
  fallback: choice(FALLBACKS, {
    optional: true,
    help: "the curvature of layers that have no Kronecker form",
  }),
} as const;

/** Options of `Newton`. */
export const NEWTON_OPTIONS = {
  ...STEP_OPTIONS,
  /** η > 0, or a schedule of it. */
  learningRate: positive({ ...LEARNING_RATE, default: 1 }),
  /** λ ≥ 0, or a schedule of it. */
  damping: nonNegative({ ...DAMPING, default: 1e-2 }),
  /** μ in [0, 1) of V ← μV + νU. */
  momentum: momentum(0),
  /** Iterations of conjugate gradients in a layer and step. All are recorded, done or not. */
  maxIterations: whole({ default: 20, help: "iterations of conjugate gradients in a layer and step" }),
  /** Residual ‖r‖/‖G‖ at which a layer is done. */
  tolerance: nonNegative({ default: 1e-4, help: "residual ‖r‖/‖G‖ at which a layer is done", live: true }),
  /** Refitted at every step; none by default. */
  preconditioner: choice(APPROXIMATIONS, {
    optional: true,
    help: "of conjugate gradients, refitted at each step",
  }),
  ...FISHER_OPTIONS,
  /** Which Bᵢ make the curvature: the kind, or the kind with its samples. */
  fisher: { ...FISHER_OPTIONS.fisher, default: "exact" },
} as const;
