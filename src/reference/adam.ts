/**
 * Adam in f64 (Kingma & Ba 2015, algorithm 1, the penalty's gradient added to the loss's), the twin of the GPU optimiser
 * of this name: g = G + ωW, M ← β₁M + (1 − β₁)g, V ← β₂V + (1 − β₂)g², U = (M / (1 − β₁ᵗ)) / (√(V / (1 − β₂ᵗ)) + ε),
 * W ← W − ηU. With a decoupled decay, which is AdamW, g = G and W ← W − ηU − ηωW (Loshchilov & Hutter 2019, algorithm 2, with
 * the schedule multiplier η).
 */
import { type Matrix, matrix } from "./matrix.js";
import {
  allFinite,
  clipGradients,
  type Decay,
  mapWeights,
  requireDecay,
  requireFraction,
  requireLike,
  requireNonNegative,
  requirePositive,
  type Weights,
  zerosLike,
} from "./weights.js";

/** Options of `adamStep`; they may differ from step to step. */
export interface AdamOptions {
  /** η > 0; defaults to 1e-3. */
  learningRate?: number;
  /** β₁ in [0, 1); defaults to 0.9. */
  beta1?: number;
  /** β₂ in [0, 1); defaults to 0.999. */
  beta2?: number;
  /** ε > 0; defaults to 1e-8. */
  epsilon?: number;
  /** ω ≥ 0; defaults to 0. */
  weightDecay?: number;
  /** How ω pulls; defaults to `"coupled"`, Adam's. */
  decay?: Decay;
  /** Largest ‖G‖ over all keys, before the decay; 0, the default, for none. */
  gradientClip?: number;
}

/** What stays from one step to the next. */
export interface AdamState {
  /** Steps taken, skipped ones counted. */
  step: number;
  /** M of each key, of its weights' shape. */
  first: Weights;
  /** V of each key, of its weights' shape. */
  second: Weights;
}

/** What a step leaves. */
export interface AdamStepResult {
  weights: Record<string, Matrix>;
  state: AdamState;
  /** U of each key, before η; zero where nothing has changed. */
  updates: Record<string, Matrix>;
  /** True when a gradient is not finite: no weight or moment has changed. */
  skipped: boolean;
}

/** No steps taken, M = V = 0 for each key. */
export function initialAdamState(weights: Weights): AdamState {
  return { step: 0, first: zerosLike(weights), second: zerosLike(weights) };
}

/**
 * One step. Where a moment or a weight would not be finite, all three stay as they are. Nothing passed in is changed.
 *
 * @throws ArgumentError for options out of range; ArgumentError or ShapeError for gradients or a state of other weights.
 */
export function adamStep(
  weights: Weights,
  gradients: Weights,
  state: AdamState,
  options: AdamOptions = {},
): AdamStepResult {
  const learningRate = requirePositive("adamStep", "learningRate", options.learningRate ?? 1e-3);
  const beta1 = requireFraction("adamStep", "beta1", options.beta1 ?? 0.9);
  const beta2 = requireFraction("adamStep", "beta2", options.beta2 ?? 0.999);
  const epsilon = requirePositive("adamStep", "epsilon", options.epsilon ?? 1e-8);
  const weightDecay = requireNonNegative("adamStep", "weightDecay", options.weightDecay ?? 0);
  const decay = requireDecay("adamStep", "decay", options.decay ?? "coupled");
  const bound = requireNonNegative("adamStep", "gradientClip", options.gradientClip ?? 0);
  requireLike("adamStep", "gradients", gradients, weights);
  requireLike("adamStep", "state.first", state.first, weights);
  requireLike("adamStep", "state.second", state.second, weights);
  const step = state.step + 1;
  if (!allFinite(gradients)) {
    return { weights: { ...weights }, state: { ...state, step }, updates: zerosLike(weights), skipped: true };
  }
  const clipped = clipGradients(gradients, bound);
  const penalty = decay === "coupled" ? weightDecay : 0;
  const decoupled = decay === "decoupled" ? learningRate * weightDecay : 0;
  const correction1 = 1 - beta1 ** step;
  const correction2 = 1 - beta2 ** step;
  const moved = mapWeights(weights, (W, key) => {
    const [next, M, V, U] = [W, W, W, W].map(({ rows, cols }) => matrix(rows, cols)) as Four;
    const [G, oldM, oldV] = [clipped[key]!, state.first[key]!, state.second[key]!];
    W.data.forEach((w, k) => {
      const g = G.data[k]! + penalty * w;
      const m = beta1 * oldM.data[k]! + (1 - beta1) * g;
      const v = beta2 * oldV.data[k]! + (1 - beta2) * g * g;
      const u = m / correction1 / (Math.sqrt(v / correction2) + epsilon);
      const to = w - learningRate * u - decoupled * w;
      const goes = Number.isFinite(to) && Number.isFinite(m) && Number.isFinite(v);
      next.data[k] = goes ? to : w;
      M.data[k] = goes ? m : oldM.data[k]!;
      V.data[k] = goes ? v : oldV.data[k]!;
      U.data[k] = goes ? u : 0;
    });
    return { next, M, V, U };
  });
  const part = (name: "next" | "M" | "V" | "U") => mapWeights(weights, (_, key) => moved[key]![name]);
  return {
    weights: part("next"),
    state: { step, first: part("M"), second: part("V") },
    updates: part("U"),
    skipped: false,
  };
}

type Four = [Matrix, Matrix, Matrix, Matrix];
