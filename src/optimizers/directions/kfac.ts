import { Factors, LAYER_STATE_BYTES, type LayerStatus } from "../../curvature/index.js";
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
    const { emaDecay } = options;
    const factors = new Factors(manager, layers, { damping: settings.damping, emaDecay });
    const words = layers.map((_, l) => ({ ...READY, first: (l * LAYER_STATE_BYTES) / 4 + READY.first }));
    const { layerState, ...tensors } = factors.buffers;
    return {
      factors,
      tensors: { ...tensors, layerState: { buffer: layerState!, words: true as const } },
      means: { factors: { buffer: tensors.factors!, bytes: tensors.factors!.size } },
      readBack: [{ buffer: factors.state, bytes: LAYER_STATE_BYTES * layers.length }],
      fisher({ number, settings: { fisher: kind, samples, factorEvery } }: StepPlan<Schema>) {
        const takes = (number - 1) % factorEvery === 0;
        return takes ? { kind, samples, seed: options.seed, step: number } : undefined;
      },
      statistics(recorder, { pass }) {
        factors.accumulate(
          recorder,
          pass.layers.map((layer, l) => ({ layer: l, A: layer.inputs(), B: layer.outputs() })),
        );
      },
      record(recorder, { number, settings: { damping, inverseEvery } }: Step<Schema>) {
        if (factors.damping !== damping) factors.damping = damping;
        if (inverts(number, inverseEvery)) factors.refresh(recorder);
        const items = layers.map(({ G }, layer) => ({ layer, G, into: { ...G, buffer } }));
        factors.precondition(recorder, items);
        return { buffer, ready: { state: factors.state, words } };
      },
      decode([state]: readonly ArrayBuffer[]): { layers: readonly LayerStatus[]; status?: string } {
        const decoded = factors.decode(state!);
        const troubled = decoded.find(({ text }) => text !== "ok");
        return { layers: decoded, ...(troubled && { status: `${troubled.name}: ${troubled.text}` }) };
      },
      dispose: () => factors.dispose(),
    };
  },
});

/** The first means are of few batches, so early inverses are renewed at steps 1, 2, 4, 8 … too. */
function inverts(number: number, every: number): boolean {
  return (number < every && Number.isInteger(Math.log2(number))) || (number - 1) % every === 0;
}

/**
 * K-FAC (Martens & Grosse 2015): the Newton step of a linear network, applied to moving means of the factors. A step is one
 * submit and waits for nothing.
 */
export class Kfac extends Optimizer<typeof kfac> {
  /** @throws ArgumentError for a bad option, LimitError when the device cannot hold the factors */
  constructor(manager: PipelineManager, model: Model, options: KfacOptions = {}) {
    super(manager, model, kfac, options);
  }

  /** The Kronecker factors of the layers. */
  get factors(): Factors {
    return this.direction.factors;
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
