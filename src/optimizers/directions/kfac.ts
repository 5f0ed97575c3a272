import { Curvature, LAYER_STATE_BYTES, type LayerStatus } from "../../curvature/index.js";
import { ArgumentError } from "../../errors.js";
import type { Model } from "../../model/index.js";
import type { PipelineManager } from "../../pipeline/index.js";
import { type ControlPlan, StepControl } from "../control/control.js";
import type { ControlReport } from "../control/state.js";
import { decoupledOf, penaltyOf } from "../decay.js";
import { type DirectionContext, defineDirection, type Step, type StepPlan } from "../direction.js";
import { Optimizer } from "../optimizer.js";
import { KFAC_OPTIONS } from "../options.js";
import type { Schedule } from "../schedules.js";
import type { OptionsOf } from "../schema.js";

/** Options of `Kfac`. */
export interface KfacOptions extends OptionsOf<typeof KFAC_OPTIONS> {}

type Schema = typeof KFAC_OPTIONS;

/** Words of a layer's state that say whether A and B have an inverse. */
const READY = { first: 2, count: 2 };

/** Bound of a λ that is set. */
const LARGEST = 1e38;
/** Least sampled derivatives of a batch that factors are made of. */
const SAMPLES = 256;
/** Examples that the moving means remember, and the least β. */
const WINDOW = 4000;
const LEAST_DECAY = 0.9;

/** U = (B̄ + √λ/π I)⁻¹ G (Ā + π√λ I)⁻¹ of each layer. */
export const kfac = defineDirection({
  name: "kfac",
  options: KFAC_OPTIONS,
  scope: "layer",
  create({ manager, model, memory, options }: DirectionContext<Schema>) {
    const { layers, length } = model;
    const buffer = memory.storage("update", length);
    const { emaDecay, fallback } = options;
    // What nobody asked for is the curvature's own default, and is told so in its table.
    const blocks = options.curvature === KFAC_OPTIONS.curvature.default ? undefined : options.curvature;
    const curvature = new Curvature(manager, layers, { emaDecay: decayOf(emaDecay, 1), blocks, fallback });
    if (options.damping === "levenbergMarquardt" && !model.recordLoss) {
      throw new ArgumentError("kfac", "damping", `must be a number or "loss" for a model without recordLoss`);
    }
    const control = new StepControl(model, memory);
    curvature.storedDamping = control.lambda;
    const words = layers.map((_, l) => ({ ...READY, first: (l * LAYER_STATE_BYTES) / 4 + READY.first }));
    const { layerState, ...tensors } = curvature.tensors;
    const means = Object.entries(curvature.means).map(([name, mean]) => [
      name,
      { buffer: mean, bytes: mean.size },
    ]);
    return {
      curvature,
      control: {
        state: control,
        update: buffer,
        plan: (plan: StepPlan<Schema>) => controlPlan(plan, control.exact),
        requireShared,
      },
      tensors: {
        ...tensors,
        layerState: { buffer: layerState!, words: true as const },
        ...control.tensors,
        // The next batch judges it.
        update: { buffer, words: true as const },
      },
      means: Object.fromEntries(means),
      readBack: [{ buffer: curvature.state, bytes: LAYER_STATE_BYTES * layers.length }, control.readBack],
      fisher(plan: StepPlan<Schema>) {
        const { number, settings } = plan;
        const samples = samplesOf(plan);
        return takesFactors(plan)
          ? { kind: settings.fisher, samples, seed: options.seed, step: number }
          : undefined;
      },
      statistics(recorder, { pass, examples }: Step<Schema>) {
        curvature.emaDecay = decayOf(emaDecay, examples);
        curvature.accumulate(
          recorder,
          pass.layers.map((statistics, layer) => ({ layer, statistics })),
          { skip: control.skip },
        );
      },
      record(recorder, { number, settings: { inverseEvery, damping, dampingShare } }: Step<Schema>) {
        // For blocks that do not know of a λ that the GPU keeps.
        const known = typeof damping === "number" ? damping : dampingShare;
        if (curvature.damping !== known) curvature.damping = known;
        if (inverts(number, inverseEvery)) curvature.refresh(recorder);
        const items = layers.map(({ G }, layer) => ({ layer, G, into: { ...G, buffer } }));
        curvature.precondition(recorder, items);
        return { buffer, ready: { state: curvature.state, words } };
      },
      decode([state, decided]: readonly ArrayBuffer[]): ControlReport & { layers: readonly LayerStatus[] } {
        const layers = curvature.decode(state!);
        const troubled = layers.find(({ text }) => text !== "ok");
        const trouble = troubled && { status: `${troubled.name}: ${troubled.text}` };
        return { layers, ...trouble, ...control.report(decided!) };
      },
      dispose: () => curvature.dispose(),
    };
  },
});

/** Whether a step takes in factors. */
function takesFactors({ number, settings }: StepPlan<Schema>): boolean {
  return (number - 1) % settings.factorEvery === 0;
}

/** Monte-Carlo samples for each example of a step. */
function samplesOf({ examples, settings: { samples } }: StepPlan<Schema>): number {
  return samples === "auto" ? Math.max(1, Math.ceil(SAMPLES / examples)) : samples;
}

/** β of a step of so many examples. */
function decayOf(decay: number | "window", examples: number): number {
  return decay === "window" ? Math.max(LEAST_DECAY, 1 - examples / WINDOW) : decay;
}

/** What the control of a step is told. */
function controlPlan(plan: StepPlan<Schema>, exact: boolean): ControlPlan {
  const { number, settings } = plan;
  const { learningRate, momentum, damping, dampingShare, inverseEvery, ...rest } = settings;
  const asked = [learningRate, momentum].includes("model") || damping === "levenbergMarquardt";
  return {
    leastDamping: typeof damping === "number" ? 0 : rest.leastDamping,
    mostDamping: typeof damping === "number" ? LARGEST : rest.mostDamping,
    weightDecay: penaltyOf(settings),
    decoupledDecay: decoupledOf(settings),
    klClip: rest.klClip,
    trustRegion: rest.trustRegion,
    learningRate: learningRate === "model" ? undefined : learningRate,
    momentum: momentum === "model" ? undefined : momentum,
    damping: typeof damping === "number" ? damping : dampingShare,
    rule: typeof damping === "number" ? "fixed" : damping,
    measures: asked && (exact || takesFactors(plan)),
    refreshes: inverts(number, inverseEvery),
    examples: plan.examples,
    number,
  };
}

/** The quadratic model is of one process's part of the batch. @throws ArgumentError */
function requireShared({ settings }: StepPlan<Schema>): void {
  for (const name of ["learningRate", "momentum"] as const) {
    if (settings[name] !== "model") continue;
    throw new ArgumentError("kfac", name, 'must be a number where there is a seam, got "model"');
  }
}

/** The first means are of few batches, so early inverses are renewed at steps 1, 2, 4, 8 … too. */
function inverts(number: number, every: number): boolean {
  return (number < every && Number.isInteger(Math.log2(number))) || (number - 1) % every === 0;
}

/**
 * K-FAC (Martens & Grosse 2015): the Newton step of a linear network, applied to moving means of the curvature. A step is one
 * submit and waits for nothing.
 */
export class Kfac extends Optimizer<typeof kfac> {
  /** @throws ArgumentError for a bad option, LimitError when the device cannot hold the factors */
  constructor(manager: PipelineManager, model: Model, options: KfacOptions = {}) {
    super(manager, model, kfac, options);
  }

  /** The curvature of the layers: factors, inverses, how they stand. */
  get curvature(): Curvature {
    return this.direction.curvature;
  }

  /** λ of the next step as it was set. */
  get damping(): number | "loss" | "levenbergMarquardt" {
    return this.setting("damping");
  }

  /** A number, a schedule of it, or a rule; counts from the next inversion on. @throws ArgumentError */
  set damping(value: number | "loss" | "levenbergMarquardt" | Schedule) {
    this.change({ damping: value });
  }
}
