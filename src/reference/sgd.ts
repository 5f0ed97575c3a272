/**
 * Stochastic gradient descent with momentum in f64 (Polyak 1964, in the form of Sutskever et al. 2013 without the
 * look-ahead), the twin of the GPU optimiser of this name: V ← μV + G + ωW, W ← W − ηV.
 */
import { type Matrix, matrix } from "./matrix.js";
import {
  allFinite,
  mapWeights,
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
  /** ω ≥ 0 of the penalty ½ω‖W‖²; defaults to 0. */
  weightDecay?: number;
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
  requireLike("sgdStep", "gradients", gradients, weights);
  requireLike("sgdStep", "state.velocity", state.velocity, weights);
  if (!allFinite(gradients)) return { weights: { ...weights }, state, skipped: true };
  const moved = mapWeights(weights, (W, key) => {
    const [next, V] = [matrix(W.rows, W.cols), matrix(W.rows, W.cols)];
    const [G, old] = [gradients[key]!, state.velocity[key]!];
    W.data.forEach((w, k) => {
      const v = momentum * old.data[k]! + G.data[k]! + weightDecay * w;
      const to = w - learningRate * v;
      const goes = Number.isFinite(v) && Number.isFinite(to);
      V.data[k] = goes ? v : old.data[k]!;
      next.data[k] = goes ? to : w;
    });
    return { W: next, V };
  });
  const part = (name: "W" | "V") => mapWeights(weights, (_, key) => moved[key]![name]);
  return { weights: part("W"), state: { velocity: part("V") }, skipped: false };
}
