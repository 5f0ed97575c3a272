import {
  Curvature,
  CurvatureSums,
  LAYER_STATE_BYTES,
  type LayerStatus,
  withoutMicroBatches,
} from "../../curvature/index.js";
import type { Model } from "../../model/index.js";
import type { PipelineManager } from "../../pipeline/index.js";
import { StepControl } from "../control/control.js";
import type { ControlReport } from "../control/state.js";
import { type DirectionContext, defineDirection, type Step, type StepPlan } from "../direction.js";
import { Optimizer } from "../optimizer.js";
import { KFAC_OPTIONS } from "../options.js";
import type { Schedule } from "../schedules.js";
import type { OptionsOf } from "../schema.js";
import {
  burnInReport,
  burnsIn,
  controlPlan,
  emaDecayOf,
  numbersSet,
  requireRatio,
  requireShared,
  samplesOf,
  takesFactors,
  troubleOf,
} from "./kfac-settings.js";
import { RefreshPlan } from "./refresh-plan.js";

/** Options of `Kfac`. */
export interface KfacOptions extends OptionsOf<typeof KFAC_OPTIONS> {}

type Schema = typeof KFAC_OPTIONS;

/** Words of a layer's state that say whether A and B have an inverse. */
const READY = { first: 2, count: 2 };

/** U = (B̄ + √λ/π I)⁻¹ G (Ā + π√λ I)⁻¹ of each layer. */
export const kfac = defineDirection({
  name: "kfac",
  options: KFAC_OPTIONS,
  scope: "layer",
  create({ manager, model, memory, options }: DirectionContext<Schema>) {
    const { layers, length } = model;
    const buffer = memory.storage("update", length);
    const { emaDecay, fallback, factorPrecision } = options;
    // What nobody asked for is the curvature's own default, and is told so in its table.
    const blocks = options.curvature === KFAC_OPTIONS.curvature.default ? undefined : options.curvature;
    requireRatio(model, options);
    const control = new StepControl(model, memory);
    // The last to take memory, which it frees itself where it fails.
    const curvature = new Curvature(manager, layers, {
      emaDecay: emaDecayOf(emaDecay, 1),
      blocks,
      fallback,
      factorPrecision,
    });
    curvature.storedDamping = control.lambda;
    const refreshPlan = new RefreshPlan(curvature);
    // Only steps in micro-batches need them.
    let sums: CurvatureSums | undefined;
    const words = layers.map((_, l) => ({ ...READY, first: (l * LAYER_STATE_BYTES) / 4 + READY.first }));
    const { layerState, ...tensors } = curvature.tensors;
    const means = Object.entries(curvature.means).map(([name, mean]) => [
      name,
      { buffer: mean, bytes: mean.size },
    ]);
    return {
      curvature,
      firstStep: options.burnIn + 1,
      control: {
        state: control,
        update: buffer,
        plan(step: Step<Schema>) {
          requireRatio(model, step.settings);
          return controlPlan(step, control.canMeasure(step.pass));
        },
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
      recording(plan: StepPlan<Schema>) {
        const blocks = curvature.recording;
        if (blocks === undefined) return undefined;
        const { number, settings } = plan;
        const decided = control.recording(controlPlan(plan, true));
        const due = refreshPlan.at(number - settings.burnIn, settings).map((own) => own.join());
        return `${burnsIn(plan)} ${due.join(";")} ${decided} ${blocks}`;
      },
      write({ examples, settings: { damping, dampingShare } }: Step<Schema>) {
        curvature.emaDecay = emaDecayOf(emaDecay, examples);
        // For blocks that do not know of a λ that the GPU keeps.
        const known = typeof damping === "number" ? damping : dampingShare;
        if (curvature.damping !== known) curvature.damping = known;
      },
      withoutMicroBatches: withoutMicroBatches(curvature),
      addStatistics(recorder, pass, share, first) {
        sums ??= new CurvatureSums(manager, curvature);
        sums.add(recorder, pass.layers, share, first);
      },
      statistics(recorder, { pass, summed }: Step<Schema>) {
        const own = pass.layers.map((statistics, layer) => ({ layer, statistics }));
        curvature.accumulate(recorder, summed ? sums!.updates : own, { skip: control.skip });
      },
      record(recorder, step: Step<Schema>) {
        const { number, settings } = step;
        const update = { buffer, ready: { state: curvature.state, words } };
        // The control keeps weights and V as they are.
        if (burnsIn(step)) return update;
        for (const own of refreshPlan.at(number - settings.burnIn, settings))
          curvature.refresh(recorder, own);
        const items = layers.map(({ G }, layer) => ({ layer, G, into: { ...G, buffer } }));
        curvature.precondition(recorder, items);
        return update;
      },
      decode(
        [state, decided]: readonly ArrayBuffer[],
        plan: StepPlan<Schema>,
      ): ControlReport & { layers: readonly LayerStatus[] } {
        const layers = curvature.decode(state!);
        const report = control.report(decided!, numbersSet(plan));
        // That there are no inverses yet is no trouble in a burn-in.
        const trouble = burnsIn(plan) ? {} : troubleOf(layers, plan);
        return { layers, ...trouble, ...report, ...burnInReport(plan, report) };
      },
      dispose() {
        sums?.dispose();
        curvature.dispose();
      },
    };
  },
});

/**
 * K-FAC (Martens & Grosse 2015): the Newton step of a linear network, applied to moving means of the curvature. A step is one
 * submit and waits for nothing.
 */
export class Kfac extends Optimizer<typeof kfac> {
  /**
   * @throws ArgumentError for a bad option, FeatureError for `factorPrecision: "f16"` on a device without it, LimitError when the
   *   device cannot hold the factors
   */
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
