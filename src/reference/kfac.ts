/**
 * One K-FAC step in f64, as pure functions: factors, their running means, damping, preconditioning, norm clip, momentum,
 * weight decay (Martens & Grosse 2015; the update is Bulatov 2017's (BB')⁻¹ G (AA')⁻¹ on the mean factors).
 *
 * Scale: G is the gradient of the MEAN loss, Ā and B̄ are means, so Ā ⊗ B̄ is on the scale of the mean loss's Hessian
 * and λ means the same for every batch size. For a sum loss divide G by N first.
 */
import { ArgumentError } from "../errors.js";
import { STATUS_NON_FINITE, STATUS_NOT_POSITIVE_DEFINITE } from "./cholesky.js";
import { exactTikhonov, piDamping, requireDamping } from "./damping.js";
import type { Factors } from "./factors.js";
import { type InvertResult, invert } from "./invert.js";
import { add, type Matrix, matrix, requireShape, scale } from "./matrix.js";
import { dot, isFiniteMatrix, trace } from "./reduce.js";
import { sandwich } from "./sandwich.js";

/**
 * β_t = min(1 − 1/t, β), t = 1, 2, …: S_t = β_t S_{t−1} + (1 − β_t) S_new starts as the plain mean of all batches and
 * becomes an exponential mean with weight 1 − β; the weights always add up to 1, so no bias correction is left to do.
 *
 * @throws ArgumentError for a t that is not a positive integer or a β outside [0, 1).
 */
export function emaWeight(t: number, beta: number): number {
  if (!(Number.isInteger(t) && t >= 1)) {
    throw new ArgumentError("emaWeight", "t", `must be a positive integer, got ${t}`);
  }
  if (!(beta >= 0 && beta < 1)) {
    throw new ArgumentError("emaWeight", "beta", `must lie in [0, 1), got ${beta}`);
  }
  return Math.min(1 - 1 / t, beta);
}

/**
 * The running mean after batch t (1 for the first; `previous` is then not read). The caller leaves out batches whose
 * factors are not finite and does not count them in t.
 */
export function updateFactors(
  previous: Factors | undefined,
  fresh: Factors,
  t: number,
  beta: number,
): Factors {
  const weight = emaWeight(t, beta);
  if (weight === 0 || previous === undefined) return fresh;
  return {
    A: add(previous.A, fresh.A, weight, 1 - weight),
    B: add(previous.B, fresh.B, weight, 1 - weight),
  };
}

/** "factored": both factors damped (π rule). "exact": λ added to the Kronecker product's eigenvalues. */
export type DampingMethod = "factored" | "exact";

/** A preconditioned gradient and how far it is to be trusted. */
export interface Preconditioned {
  /** U, out × in. */
  update: Matrix;
  /** Bits `STATUS_*` of the two inversions, or-ed; for "exact" only the bit for non-finite factors (the update is zero). */
  status: number;
}

/**
 * U = (Ā ⊗ B̄ + damping)⁻¹ G for one layer. G is out × in, Ā in × in, B̄ out × out.
 *
 * @throws ArgumentError for a damping that is negative or not finite, ShapeError for a G of another shape.
 */
export function precondition(
  factors: Factors,
  G: Matrix,
  damping: number,
  method: DampingMethod = "factored",
): Preconditioned {
  requireDamping("precondition", damping);
  requireShape("precondition", "G", G, factors.B.rows, factors.A.rows);
  if (!isFiniteMatrix(factors.A) || !isFiniteMatrix(factors.B)) {
    return { update: matrix(G.rows, G.cols), status: STATUS_NON_FINITE };
  }
  if (method === "exact") return { update: exactTikhonov(factors.A, G, factors.B, damping), status: 0 };
  const { A, B } = dampedInverses(factors, damping);
  return { update: sandwich(B.inverse, G, A.inverse), status: A.status | B.status };
}

/**
 * (Ā + π√λ I)⁻¹ and (B̄ + √λ/π I)⁻¹ with the bits `STATUS_*` of each inversion.
 *
 * @throws ArgumentError for a damping that is negative or not finite, ShapeError for factors that are not square.
 */
export function dampedInverses({ A, B }: Factors, damping: number): { A: InvertResult; B: InvertResult } {
  const { a, b } = piDamping(trace(A), A.rows, trace(B), B.rows, damping);
  return { A: invert(A, { damping: a }), B: invert(B, { damping: b }) };
}

/** Bits of a status with which an inverse must not be used. */
export const STATUS_FATAL = STATUS_NON_FINITE | STATUS_NOT_POSITIVE_DEFINITE;

/**
 * ν = min(1, √(κ / (η² Σ_l ⟨G_l, U_l⟩))): the step ηνU then has a squared norm η²ν² Σ⟨G, U⟩ ≤ κ in the curvature
 * metric. 1 when the sum is not positive.
 *
 * @throws ArgumentError for fewer updates than gradients, ShapeError for one of another shape.
 */
export function klClipFactor(
  gradients: readonly Matrix[],
  updates: readonly Matrix[],
  learningRate: number,
  kappa: number,
): number {
  let total = 0;
  gradients.forEach((G, l) => {
    const U = updates[l];
    if (U === undefined)
      throw new ArgumentError("klClipFactor", "updates", "must hold one matrix per gradient");
    total += dot(G, U);
  });
  const size = learningRate ** 2 * total;
  return size > 0 ? Math.min(1, Math.sqrt(kappa / size)) : 1;
}

/** Options of `kfacStep`. */
export interface KfacOptions {
  /** η > 0. */
  learningRate: number;
  /** λ ≥ 0 on the scale of the mean loss's Hessian. */
  damping: number;
  /** Defaults to "factored". */
  dampingMethod?: DampingMethod;
  /** β of the running means, in [0, 1); defaults to 0.95. */
  factorDecay?: number;
  /** μ of M ← μM + U; defaults to 0. */
  momentum?: number;
  /** κ of the norm clip; defaults to no clip. */
  klClip?: number;
  /** ω ≥ 0; defaults to 0. */
  weightDecay?: number;
  /**
   * "coupled" (default): ωW is added to the gradient before preconditioning, the gradient of ½ω‖W‖².
   * "decoupled": W ← (1 − ηω) W beside the step (Loshchilov & Hutter 2019; Zhang et al. 2019).
   */
  weightDecayMode?: "coupled" | "decoupled";
}

/** What stays from one step to the next. */
export interface KfacState {
  /** Number of batches in each layer's running means. */
  t: number[];
  /** The running means; undefined for a layer that has seen no finite batch. */
  factors: (Factors | undefined)[];
  /** M of each layer. */
  momentum: Matrix[];
}

/** What a step leaves. */
export interface KfacStepResult {
  weights: Matrix[];
  state: KfacState;
  /** U of each layer before clip and momentum, out × in. */
  updates: Matrix[];
  /** ν of the norm clip. */
  clip: number;
  /** Status bits of each layer's inversions. */
  status: number[];
  /**
   * Indices of layers whose weights and momentum were left alone: the gradient, update or all statistics so far are not
   * finite, or a factor is not positive definite even when damped.
   */
  skipped: number[];
}

/** A state with no statistics and zero momentum, for layers shaped as `weights`. */
export function initialKfacState(weights: readonly Matrix[]): KfacState {
  return {
    t: weights.map(() => 0),
    factors: weights.map(() => undefined),
    momentum: weights.map((W) => matrix(W.rows, W.cols)),
  };
}

/**
 * One step: factors, then U, then M ← μM + νU, then W ← W − ηM. `gradients` are of the mean loss, `fresh` the batch's
 * own factors, one of each per layer. Nothing passed in is changed.
 *
 * @throws ArgumentError for a learning rate that is not positive or lists of another length, ShapeError for operands
 * that do not fit.
 */
export function kfacStep(
  weights: readonly Matrix[],
  gradients: readonly Matrix[],
  fresh: readonly Factors[],
  state: KfacState,
  options: KfacOptions,
): KfacStepResult {
  const { learningRate, damping, dampingMethod = "factored", factorDecay = 0.95, momentum = 0 } = options;
  const { weightDecay = 0, weightDecayMode = "coupled", klClip } = options;
  if (!(learningRate > 0 && Number.isFinite(learningRate))) {
    throw new ArgumentError("kfacStep", "learningRate", `must be a positive number, got ${learningRate}`);
  }
  if (gradients.length !== weights.length || fresh.length !== weights.length) {
    throw new ArgumentError(
      "kfacStep",
      "gradients and fresh",
      `must each hold ${weights.length} entries, one per layer`,
    );
  }
  const usable = fresh.map((f) => isFiniteMatrix(f.A) && isFiniteMatrix(f.B));
  const t = state.t.map((count, l) => count + (usable[l] ? 1 : 0));
  const factors = fresh.map((f, l) =>
    usable[l] ? updateFactors(state.factors[l], f, t[l]!, factorDecay) : state.factors[l],
  );
  const coupled = weightDecayMode === "coupled" ? weightDecay : 0;
  const full = gradients.map((G, l) => add(G, weights[l]!, 1, coupled));
  const results = full.map((G, l): Preconditioned => {
    const f = factors[l];
    if (f === undefined) return { update: matrix(G.rows, G.cols), status: STATUS_NON_FINITE };
    return precondition(f, G, damping, dampingMethod);
  });
  const fails = ({ update, status }: Preconditioned, l: number) =>
    (status & STATUS_FATAL) !== 0 || !isFiniteMatrix(update) || !isFiniteMatrix(full[l]!);
  const skipped = results.flatMap((result, l) => (fails(result, l) ? [l] : []));
  const good = full.map((_, l) => l).filter((l) => !skipped.includes(l));
  const updates = results.map((r) => r.update);
  const clip =
    klClip === undefined
      ? 1
      : klClipFactor(
          good.map((l) => full[l]!),
          good.map((l) => updates[l]!),
          learningRate,
          klClip,
        );
  const shrink = weightDecayMode === "decoupled" ? 1 - learningRate * weightDecay : 1;
  const nextMomentum = state.momentum.map((M, l) =>
    skipped.includes(l) ? M : add(M, updates[l]!, momentum, clip),
  );
  const nextWeights = weights.map((W, l) =>
    skipped.includes(l) ? scale(W, 1) : add(W, nextMomentum[l]!, shrink, -learningRate),
  );
  return {
    weights: nextWeights,
    state: { t, factors, momentum: nextMomentum },
    updates,
    clip,
    status: results.map((r) => r.status),
    skipped,
  };
}
