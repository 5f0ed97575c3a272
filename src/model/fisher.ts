/**
 * Which columns Bᵢ are: one per network output, exactly; sampled from the model's own distribution (Monte-Carlo true
 * Fisher); or from the true targets (empirical Fisher, never the default).
 */
export type FisherKind = "exact" | "monteCarlo" | "empirical";

/** The columns that a pass should propagate beside the gradient's own. */
export interface FisherOptions {
  kind: FisherKind;
  /** Monte-Carlo samples per example; defaults to 1. */
  samples?: number;
  /** Key of the counter-based generator, with `step`: the same pair gives the same draws on every device. */
  seed?: number;
  step?: number;
  /** Number of the pass's first example in a larger batch, whose draws these then are; defaults to 0. */
  first?: number;
}
