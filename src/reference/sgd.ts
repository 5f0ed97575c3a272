/**
 * Stochastic gradient descent with momentum in f64 (Polyak 1964, in the form of Sutskever et al. 2013 without the
 * look-ahead), the twin of the GPU optimiser of this name: V ← μV + G + ωW, W ← W − ηV; with a decoupled decay V ← μV + G,
 * W ← W − ηV − ηωW (Loshchilov & Hutter 2019, algorithm 1).
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

/** Options of `sgdStep`; they may differ from step to step. */
export interface SgdOptions {
  /** η > 0. */
  learningRate: number;
  /** μ in [0, 1); defaults to 0.9. */
  momentum?: number;
  /** ω ≥ 0; defaults to 0. */
  weightDecay?: number;
  /** How ω pulls; defaults to `"coupled"`. */
  decay?: Decay;
  /** Largest ‖G‖ over all keys, before the decay; 0, the default, for none. */
  gradientClip?: number;
}

/** What stays from one step to the next. */
export interface SgdState {
  /** V of each key, of its weights' shape. */
  velocity: Weights;
}

/** What a step leaves. */
export interface SgdStepResult {
  weights: Record<string, Matrix>;
  state: SgdState;
  /** True when a gradient is not finite: nothing has changed. */
  skipped: boolean;
}

/** V = 0 for each key. */
export function initialSgdState(weights: Weights): SgdState {
  return { velocity: zerosLike(weights) };
}

/**
 * One step. A number of V or W that would not be finite stays as it is. Nothing passed in is changed.
 *
 * @throws ArgumentError for options out of range; ArgumentError or ShapeError for gradients or a state of other weights.
 */
export function sgdStep(
  weights: Weights,
  gradients: Weights,
  state: SgdState,
  options: SgdOptions,
): SgdStepResult {
  const learningRate = requirePositive("sgdStep", "learningRate", options.learningRate);
  const momentum = requireFraction("sgdStep", "momentum", options.momentum ?? 0.9);
  const weightDecay = requireNonNegative("sgdStep", "weightDecay", options.weightDecay ?? 0);
  const decay = requireDecay("sgdStep", "decay", options.decay ?? "coupled");
  const bound = requireNonNegative("sgdStep", "gradientClip", options.gradientClip ?? 0);
  requireLike("sgdStep", "gradients", gradients, weights);
  requireLike("sgdStep", "state.velocity", state.velocity, weights);
  if (!allFinite(gradients)) return { weights: { ...weights }, state, skipped: true };
  const clipped = clipGradients(gradients, bound);
  const penalty = decay === "coupled" ? weightDecay : 0;
  const decoupled = decay === "decoupled" ? learningRate * weightDecay : 0;
  const moved = mapWeights(weights, (W, key) => {
    const [next, V] = [matrix(W.rows, W.cols), matrix(W.rows, W.cols)];
    const [G, old] = [clipped[key]!, state.velocity[key]!];
    W.data.forEach((w, k) => {
      const v = momentum * old.data[k]! + G.data[k]! + penalty * w;
      const to = w - learningRate * v - decoupled * w;
      const goes = Number.isFinite(v) && Number.isFinite(to);
      V.data[k] = goes ? v : old.data[k]!;
      next.data[k] = goes ? to : w;
    });
    return { W: next, V };
  });
  const part = (name: "W" | "V") => mapWeights(weights, (_, key) => moved[key]![name]);
  return { weights: part("W"), state: { velocity: part("V") }, skipped: false };
}
