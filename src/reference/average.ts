/**
 * A running mean of weights in f64 (Polyak & Juditsky 1992), the twin of `average_weights.wgsl`: W̄ ← W̄ + (1 − β_t)(W − W̄) with
 * β_t = min(β, t / (t + 9)) in step t = 1, 2, …, and 0 in the first.
 */

/**
 * @param mean W̄ before step `step`, the weights' length; whatever it is before the first
 * @param weights W that the step begins from
 * @param good whether the step's batch has found them good; the first weights count anyway
 * @returns W̄ after it
 */
export function averageWeights(
  mean: ArrayLike<number>,
  weights: ArrayLike<number>,
  decay: number,
  step: number,
  good = true,
): Float64Array {
  const keep = step === 1 ? 0 : Math.min(decay, step / (step + 9));
  if (!good && keep > 0) return Float64Array.from(mean);
  return Float64Array.from(weights, (w, k) => keep * (keep > 0 ? mean[k]! : 0) + (1 - keep) * w);
}
