/**
 * K-FAC over many steps in f64 (Martens & Grosse 2015), the twin of the GPU optimiser: factors every `factorEvery` steps
 * into moving means, inverses every `inverseEvery` steps, and with those in between U = (B̄ + √λ/π I)⁻¹ G (Ā + π√λ I)⁻¹,
 * norm clip, momentum, coupled weight decay. `kfacStep` in kfac.ts is one step with fresh inverses; here inverses grow old.
 *
 * `kfacTrainingStep` takes gradients and factors from anywhere; `kfacGraphStep` takes them from a graph and a batch.
 */
import { ArgumentError } from "../errors.js";
import { expandFactors } from "./approximations.js";
import type { Factors } from "./factors.js";
import type { Fisher } from "./fisher.js";
import {
  type GraphInputs,
  graphForward,
  passCurvature,
  passLossAndGradients,
  type ReferenceGraph,
} from "./graph.js";
import { dampedInverses, klClipFactor, STATUS_FATAL, updateFactors } from "./kfac.js";
import type { LossKind, Targets } from "./loss.js";
import { add, type Matrix, matrix, requireShape } from "./matrix.js";
import type { PositionBlock } from "./operator.js";
import { isFiniteMatrix } from "./reduce.js";
import { sandwich } from "./sandwich.js";
import {
  mapWeights,
  normOfAll,
  requireFraction,
  requireLike,
  requireNonNegative,
  requirePeriod,
  requirePositive,
  type Weights,
} from "./weights.js";

/** Options of `kfacTrainingStep`, with the GPU optimiser's defaults; they may differ from step to step. */
export interface KfacTrainingOptions {
  /** η > 0; defaults to 0.1. */
  learningRate?: number;
  /** λ ≥ 0 on the scale of the mean loss's Hessian, read when inverting; defaults to 1e-2. */
  damping?: number;
  /** μ in [0, 1); defaults to 0.9. */
  momentum?: number;
  /** β of the factors' moving means, in [0, 1); defaults to 0.95. */
  emaDecay?: number;
  /** Steps between updates of the factors; defaults to 1. */
  factorEvery?: number;
  /** Steps between inversions, beside the early ones (`inverts`); defaults to 10. */
  inverseEvery?: number;
  /** κ > 0 of the norm clip; defaults to 0, no clip. */
  klClip?: number;
  /** ω ≥ 0 of the penalty ½ω‖W‖², whose gradient is preconditioned with the loss's; defaults to 0. */
  weightDecay?: number;
}

/** Options of `kfacGraphStep`. */
export interface KfacGraphOptions extends KfacTrainingOptions {
  /** Which columns the factors are made of; defaults to "monteCarlo". */
  fisher?: Fisher["kind"];
  /** Monte-Carlo samples per example; defaults to 1. */
  samples?: number;
  /** Key of the Monte-Carlo draws, with the number of the step; defaults to 0. */
  seed?: number;
  /** The factors of a layer's block; defaults to `expandFactors`. */
  factorsOf?: (block: PositionBlock, key: string) => Factors;
}

/** What K-FAC keeps of one layer. */
export interface KfacLayerState {
  /** Batches in the moving means; those with numbers that are not finite are left out. */
  batches: number;
  /** The moving means Ā and B̄; undefined before the first finite batch. */
  factors?: Factors;
  /** The damped inverses of the last inversions that succeeded. */
  inverses: Partial<Factors>;
  /** Factor on λ: tenfold after a failed inversion, at most 1e8, back by √10 after each that succeeds. */
  boost: number;
  /** V, of the weights' shape. */
  velocity: Matrix;
}

/** What stays from one step to the next. */
export interface KfacTrainingState {
  /** Steps taken. */
  step: number;
  /** By key of the weights. */
  layers: Readonly<Record<string, KfacLayerState>>;
}

/** What a step leaves. */
export interface KfacTrainingResult {
  weights: Record<string, Matrix>;
  state: KfacTrainingState;
  /** U of each key before clip and momentum, out × in; zero for a layer without inverses. */
  updates: Record<string, Matrix>;
  /** ν of the norm clip. */
  clip: number;
  /** ‖G + ωW‖ and ην‖U‖ over the layers that have stepped. */
  gradientNorm: number;
  updateNorm: number;
  /** Keys of layers left alone: gradient or update not finite, or no inverse yet. */
  skipped: string[];
}

/** No steps taken and nothing known. */
export function initialKfacTrainingState(weights: Weights): KfacTrainingState {
  const layers = mapWeights(weights, ({ rows, cols }): KfacLayerState => {
    return { batches: 0, inverses: {}, boost: 1, velocity: matrix(rows, cols) };
  });
  return { step: 0, layers };
}

/**
 * Whether step `number` (1 for the first) takes factors: the first, and every `factorEvery` steps from there.
 *
 * @throws ArgumentError for a period that is not a positive integer.
 */
export function takesFactors(number: number, factorEvery = 1): boolean {
  return (number - 1) % requirePeriod("takesFactors", "factorEvery", factorEvery) === 0;
}

/**
 * Whether step `number` inverts: the first, and every `inverseEvery` steps from there. The first means are of few batches,
 * so early on inverses are renewed after steps 1, 2, 4, 8 … too.
 *
 * @throws ArgumentError for a period that is not a positive integer.
 */
export function inverts(number: number, inverseEvery = 10): boolean {
  const period = requirePeriod("inverts", "inverseEvery", inverseEvery);
  const early = number < period && Number.isInteger(Math.log2(number));
  return early || (number - 1) % period === 0;
}

/**
 * One step: means and inverses where they are due, U, then V ← μV + νU and W ← W − ηV. `gradients` are of the mean loss;
 * `fresh` are the batch's own factors, given exactly on the steps of `takesFactors(state.step + 1, factorEvery)`. Nothing
 * passed in is changed.
 *
 * @throws ArgumentError for options out of range and for factors that are missing or not due; ArgumentError or ShapeError
 * for gradients, factors or a state of other weights.
 */
export function kfacTrainingStep(
  weights: Weights,
  gradients: Weights,
  fresh: Readonly<Record<string, Factors>> | undefined,
  state: KfacTrainingState,
  options: KfacTrainingOptions = {},
): KfacTrainingResult {
  const { learningRate, damping, momentum, emaDecay, factorEvery, inverseEvery, klClip, weightDecay } =
    checked(options);
  const number = state.step + 1;
  requireLike("kfacTrainingStep", "gradients", gradients, weights);
  requireState(state, weights);
  if (takesFactors(number, factorEvery) !== (fresh !== undefined)) {
    const rule = `must be given on steps 1, 1 + ${factorEvery}, 1 + 2 · ${factorEvery} … and on no others`;
    throw new ArgumentError("kfacTrainingStep", "fresh", `${rule}, this is step ${number}`);
  }
  if (fresh) requireFactors(fresh, weights);
  const layers = mapWeights(weights, (_, key) => {
    const layer = state.layers[key]!;
    const taken = fresh ? accumulated(layer, fresh[key]!, emaDecay) : layer;
    return inverts(number, inverseEvery) ? inverted(taken, damping) : taken;
  });
  const full =
    weightDecay > 0 ? mapWeights(gradients, (G, key) => add(G, weights[key]!, 1, weightDecay)) : gradients;
  const updates = mapWeights(weights, ({ rows, cols }, key) => {
    const { A, B } = layers[key]!.inverses;
    return A && B ? sandwich(B, full[key]!, A) : matrix(rows, cols);
  });
  const ready = (key: string) => {
    const { A, B } = layers[key]!.inverses;
    return A && B && isFiniteMatrix(full[key]!) && isFiniteMatrix(updates[key]!);
  };
  const keys = Object.keys(weights);
  const good = keys.filter(ready);
  const [goodG, goodU] = [good.map((key) => full[key]!), good.map((key) => updates[key]!)];
  const clip = klClip > 0 ? klClipFactor(goodG, goodU, learningRate, klClip) : 1;
  const next: Record<string, Matrix> = { ...weights };
  for (const key of good) {
    const velocity = add(layers[key]!.velocity, updates[key]!, momentum, clip);
    layers[key] = { ...layers[key]!, velocity };
    next[key] = add(weights[key]!, velocity, 1, -learningRate);
  }
  return {
    weights: next,
    state: { step: number, layers },
    updates,
    clip,
    gradientNorm: normOfAll(goodG),
    updateNorm: learningRate * clip * normOfAll(goodU),
    skipped: keys.filter((key) => !good.includes(key)),
  };
}

/**
 * One step on a batch of a graph, with its loss (mean over examples, at the weights passed in). Monte-Carlo draws have the
 * key (`seed`, number of the step).
 *
 * @throws as `kfacTrainingStep` and `graphForward`; ArgumentError for a grouped convolution, whose block is not one
 * Kronecker product.
 */
export function kfacGraphStep(
  graph: ReferenceGraph,
  weights: Weights,
  kind: LossKind,
  batch: { inputs: GraphInputs; targets: Targets },
  state: KfacTrainingState,
  options: KfacGraphOptions = {},
): KfacTrainingResult & { loss: number } {
  const { fisher = "monteCarlo", samples, seed = 0, factorsOf = expandFactors } = options;
  const pass = graphForward(graph, weights, batch.inputs);
  const { loss, gradients } = passLossAndGradients(pass, kind, batch.targets);
  const step = state.step + 1;
  let fresh: Record<string, Factors> | undefined;
  if (takesFactors(step, options.factorEvery)) {
    const columns: Fisher =
      fisher === "monteCarlo"
        ? { kind: fisher, seed, step, samples }
        : fisher === "empirical"
          ? { kind: fisher, targets: batch.targets }
          : { kind: fisher };
    const factors = Object.entries(passCurvature(pass, kind, columns)).map(([key, blocks]) => {
      const [block, ...others] = blocks;
      if (block === undefined || others.length > 0) {
        const rule = `must have one Kronecker product each, "${key}" has ${blocks.length} groups`;
        throw new ArgumentError("kfacGraphStep", "weights", rule);
      }
      return [key, factorsOf(block, key)] as const;
    });
    fresh = Object.fromEntries(factors);
  }
  return { loss, ...kfacTrainingStep(weights, gradients, fresh, state, options) };
}

/** A batch into the means; one with numbers that are not finite is left out. */
function accumulated(layer: KfacLayerState, fresh: Factors, emaDecay: number): KfacLayerState {
  if (!isFiniteMatrix(fresh.A) || !isFiniteMatrix(fresh.B)) return layer;
  const batches = layer.batches + 1;
  return { ...layer, batches, factors: updateFactors(layer.factors, fresh, batches, emaDecay) };
}

/** New inverses; one that fails stays what it was. */
function inverted(layer: KfacLayerState, damping: number): KfacLayerState {
  if (!layer.factors) return layer;
  const { A, B } = dampedInverses(layer.factors, damping * layer.boost);
  const [failedA, failedB] = [A, B].map(({ status }) => (status & STATUS_FATAL) !== 0);
  return {
    ...layer,
    inverses: {
      A: failedA ? layer.inverses.A : A.inverse,
      B: failedB ? layer.inverses.B : B.inverse,
    },
    boost: failedA || failedB ? Math.min(layer.boost * 10, 1e8) : Math.max(layer.boost * Math.sqrt(0.1), 1),
  };
}

function checked(options: KfacTrainingOptions): Required<KfacTrainingOptions> {
  const { learningRate = 0.1, damping = 1e-2, momentum = 0.9, emaDecay = 0.95 } = options;
  const { factorEvery = 1, inverseEvery = 10, klClip = 0, weightDecay = 0 } = options;
  const name = "kfacTrainingStep";
  return {
    learningRate: requirePositive(name, "learningRate", learningRate),
    damping: requireNonNegative(name, "damping", damping),
    momentum: requireFraction(name, "momentum", momentum),
    emaDecay: requireFraction(name, "emaDecay", emaDecay),
    factorEvery: requirePeriod(name, "factorEvery", factorEvery),
    inverseEvery: requirePeriod(name, "inverseEvery", inverseEvery),
    klClip: requireNonNegative(name, "klClip", klClip),
    weightDecay: requireNonNegative(name, "weightDecay", weightDecay),
  };
}

function requireState({ layers }: KfacTrainingState, weights: Weights): void {
  const velocities = Object.entries(layers).map(([key, { velocity }]) => [key, velocity] as const);
  requireLike("kfacTrainingStep", "state.layers", Object.fromEntries(velocities), weights);
}

function requireFactors(fresh: Readonly<Record<string, Factors>>, weights: Weights): void {
  for (const [key, { rows, cols }] of Object.entries(weights)) {
    const own = Object.hasOwn(fresh, key) ? fresh[key] : undefined;
    if (!own) throw new ArgumentError("kfacTrainingStep", "fresh", `must hold factors for "${key}"`);
    requireShape("kfacTrainingStep", `fresh.${key}.A`, own.A, cols, cols);
    requireShape("kfacTrainingStep", `fresh.${key}.B`, own.B, rows, rows);
  }
}
