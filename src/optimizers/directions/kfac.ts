import { Curvature, LAYER_STATE_BYTES, type LayerStatus } from "../../curvature/index.js";
import type { Model } from "../../model/index.js";
import type { PipelineManager } from "../../pipeline/index.js";
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

/** U = (B̄ + √λ/π I)⁻¹ G (Ā + π√λ I)⁻¹ of each layer. */
export const kfac = defineDirection({
  name: "kfac",
  options: KFAC_OPTIONS,
  scope: "layer",
  create({ manager, model: { layers, length }, memory, options, settings }: DirectionContext<Schema>) {
    const buffer = memory.storage("update", length);
    const { emaDecay, fallback } = options;
    // What nobody asked for is the curvature's own default, and is told so in its table.
    const blocks = options.curvature === KFAC_OPTIONS.curvature.default ? undefined : options.curvature;
    const { damping } = settings;
    const curvature = new Curvature(manager, layers, { damping, emaDecay, blocks, fallback });
    const words = layers.map((_, l) => ({ ...READY, first: (l * LAYER_STATE_BYTES) / 4 + READY.first }));
    const { layerState, ...tensors } = curvature.tensors;
    const means = Object.entries(curvature.means).map(([name, mean]) => [
      name,
      { buffer: mean, bytes: mean.size },
    ]);
    return {
      curvature,
      tensors: { ...tensors, layerState: { buffer: layerState!, words: true as const } },
      means: Object.fromEntries(means),
      readBack: [{ buffer: curvature.state, bytes: LAYER_STATE_BYTES * layers.length }],
      fisher({ number, settings: { fisher: kind, samples, factorEvery } }: StepPlan<Schema>) {
        const takes = (number - 1) % factorEvery === 0;
        return takes ? { kind, samples, seed: options.seed, step: number } : undefined;
      },
      statistics(recorder, { pass }) {
        curvature.accumulate(
          recorder,
          pass.layers.map((statistics, layer) => ({ layer, statistics })),
        );
      },
      record(recorder, { number, settings: { damping, inverseEvery } }: Step<Schema>) {
        if (curvature.damping !== damping) curvature.damping = damping;
        if (inverts(number, inverseEvery)) curvature.refresh(recorder);
        const items = layers.map(({ G }, layer) => ({ layer, G, into: { ...G, buffer } }));
        curvature.precondition(recorder, items);
        return { buffer, ready: { state: curvature.state, words } };
      },
      decode([state]: readonly ArrayBuffer[]): { layers: readonly LayerStatus[]; status?: string } {
        const decoded = curvature.decode(state!);
        const troubled = decoded.find(({ text }) => text !== "ok");
        return { layers: decoded, ...(troubled && { status: `${troubled.name}: ${troubled.text}` }) };
      },
      dispose: () => curvature.dispose(),
    };
  },
});

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

  /** λ of the next step. */
  get damping(): number {
    return this.setting("damping");
  }

  /** A number, or a schedule of it; counts from the next inversion on. @throws ArgumentError */
  set damping(value: number | Schedule) {
    this.change({ damping: value });
  }
}
