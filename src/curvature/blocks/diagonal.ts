import { UnsupportedLayerError } from "../../errors.js";
import { blend } from "../../linalg/blend.js";
import { checkFinite, type Matrix } from "../../linalg/index.js";
import { scoped } from "../../linalg/layout/scoped.js";
import type { PipelineManager, Recorder } from "../../pipeline/index.js";
import { jacobianMoments } from "../kernels/jacobian.js";
import { multiplySpectra } from "../kernels/spectrum.js";
import type {
  Block,
  BlockBatch,
  BlockDescription,
  BlockItem,
  BlockProduct,
  BlockSite,
  BlockTrials,
  BlockUpdate,
  CurvatureLayer,
  MicroBatches,
} from "./block.js";
import { decide, noteDamping } from "./block-state.js";
import { type RecordedExamples, recordExamples } from "./examples.js";
import { FactorState } from "./factor-state.js";
import { MeanBlock } from "./mean-block.js";
import { Spectra } from "./spectra.js";
import { DividingTrials } from "./trials.js";

/**
 * The diagonal of H: the moving mean D of (1/N) Σ_i Σ_c J_ic ∘ J_ic, and U = G ⊘ (D + λ). Takes every layer whose derivatives
 * can be had example by example, a convolution of several groups too. Of a layer that offers G alone, D is the moving mean of
 * G ∘ G, the squares of the mean gradient: the diagonal of another matrix, N times too small where the examples' gradients
 * are independent of each other and larger where they agree. `describe()` says which.
 */
export class DiagonalBlock extends MeanBlock implements Block {
  readonly name = "diagonal";
  readonly microBatches: MicroBatches = {
    moments: {
      size: (layer) => [this.#site.layers[layer]!.out, this.#site.layers[layer]!.in],
      record: (recorder, { layer, statistics }, into) => {
        const size = this.#site.layers[layer]!;
        if (size.withoutExamples !== undefined) return;
        scoped(recorder, (inner) => recordDiagonal(inner, recordExamples(inner, size, statistics), into));
      },
    },
  };
  protected readonly state: FactorState;
  readonly #manager: PipelineManager;
  readonly #site: BlockSite;
  readonly #spectra: Spectra;
  #undamped = true;

  /** @throws UnsupportedLayerError for a layer that offers neither examples nor G */
  constructor(site: BlockSite) {
    super();
    requireDerivatives(site);
    const { manager, layers } = site;
    this.#manager = manager;
    this.#site = site;
    this.#spectra = new Spectra(manager, "diagonals", layers);
    this.state = new FactorState(site);
    site.states.reset(site.entries);
  }

  /** D of a layer, out × in. */
  diagonal(layer: number): Matrix {
    return this.#spectra.matrices[layer]!;
  }

  /** What the last refresh left counts too, so that one that would change it is not sent again unasked. */
  override get recording(): string | undefined {
    return this.#undamped === this.state.settings.undamped ? super.recording : undefined;
  }

  get tensors(): Readonly<Record<string, GPUBuffer>> {
    return { mean: this.#spectra.buffer };
  }

  /** The squares of a mean gradient are not linear in the batch: there, average G itself before `accumulate`. */
  get means(): Readonly<Record<string, GPUBuffer>> {
    return { mean: this.#spectra.buffer };
  }

  accumulate(recorder: Recorder, updates: readonly BlockUpdate[], options: BlockBatch = {}): void {
    const { layers } = this.#site;
    const state = this.state;
    const buffer = recorder.scratch(this.#spectra.buffer.size / 4);
    const moments = updates.map(({ layer, moments: made }) => {
      const ready = layers[layer]!.withoutExamples === undefined ? made : undefined;
      return ready ?? { ...this.diagonal(layer), buffer };
    });
    recorder.clear(state.flags);
    for (const [index, { layer, statistics, moments: made }] of updates.entries()) {
      const into = moments[index]!;
      const size = layers[layer]!;
      if (size.withoutExamples !== undefined) {
        multiplySpectra(recorder, [{ X: size.G!, D: size.G!, into }]);
        continue;
      }
      // What is not finite shows in the moments.
      if (made) continue;
      scoped(recorder, (inner) => {
        const groups = recordExamples(inner, size, statistics);
        checkFinite(
          inner,
          state.flags,
          groups.flatMap(({ a, b }) => [
            { x: a, flag: layer, bit: 1 },
            { x: b, flag: layer, bit: 2 },
          ]),
        );
        recordDiagonal(inner, groups, into);
      });
    }
    checkFinite(
      recorder,
      state.flags,
      updates.map(({ layer }, index) => ({ x: moments[index]!, flag: layer, bit: 4 })),
    );
    state.average(
      recorder,
      updates.map(({ layer }) => ({ layer, alphaA: 1, alphaB: 1 })),
      options.skip,
    );
    blend(
      recorder,
      updates.map(({ layer }, index) => ({ T: moments[index]!, S: this.diagonal(layer), scale: 2 * layer })),
      state.scales,
    );
  }

  /** Records that the layers' means are damped by λ as it is now. */
  refresh(recorder: Recorder, own = this.#site.layers.map((_, layer) => layer)): void {
    const { entries, states, layers } = this.#site;
    const { settings, status } = this.state;
    this.#undamped = settings.undamped;
    decide(
      recorder,
      "adopt",
      own.map((layer) => ({ entry: entries[layer]!, layer, status: 2 * layer })),
      // Nothing can fail: the status stays 0.
      {
        settings,
        layers: states.buffer,
        status,
        counts: recorder.scratch(layers.length),
        scales: recorder.scratch(2 * layers.length),
      },
    );
  }

  precondition(recorder: Recorder, items: readonly BlockItem[]): void {
    this.#solve(recorder, items, 1);
  }

  trials(multipliers: readonly number[]): BlockTrials {
    return new DividingTrials(multipliers, this, (recorder, items, multiplier) =>
      this.#solve(recorder, items, multiplier),
    );
  }

  apply(recorder: Recorder, products: readonly BlockProduct[]): void {
    this.#spectra.multiply(
      recorder,
      products.map(({ layer, V, into }) => ({ layer, X: V, into })),
    );
  }

  describe(): readonly BlockDescription[] {
    return this.#site.layers.map((layer) => ({ layer: layer.name, estimate: estimateOf(layer) }));
  }

  reset(): void {
    const encoder = this.#manager.device.createCommandEncoder();
    encoder.clearBuffer(this.#spectra.buffer);
    this.#manager.device.queue.submit([encoder.finish()]);
    this.#site.states.reset(this.#site.entries);
    this.#undamped = true;
  }

  dispose(): void {
    this.#spectra.dispose();
    this.state.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  #solve(recorder: Recorder, items: readonly BlockItem[], multiplier: number): void {
    const { entries, states } = this.#site;
    noteDamping(recorder, this.#site, this.state.settings);
    if (this.#undamped) this.#spectra.findPeaks(recorder);
    this.#spectra.divide(
      recorder,
      items.map(({ layer, G, into }) => ({ layer, X: G, into })),
      (layer) => states.damping(entries[layer]!, multiplier),
    );
  }
}

function estimateOf({ in: inputs, out, withoutExamples }: CurvatureLayer): string {
  return withoutExamples === undefined
    ? `diagonal of H, moving mean ${out} × ${inputs}`
    : `squares of the mean gradient, moving mean ${out} × ${inputs}`;
}

/** Records into ← the diagonal of H over recorded examples, the rows of W group by group. */
export function recordDiagonal(recorder: Recorder, groups: readonly RecordedExamples[], into: Matrix): void {
  let row = 0;
  for (const rows of groups) {
    const own = { ...into, offset: into.offset + row * into.stride, rows: rows.b.cols };
    jacobianMoments(recorder, rows, { scale: 1 / rows.divisor, into: own });
    row += rows.b.cols;
  }
}

/** @throws UnsupportedLayerError for a layer that offers neither examples nor G */
function requireDerivatives({ layers }: BlockSite): void {
  for (const { name, withoutExamples, G } of layers) {
    if (withoutExamples === undefined || G) continue;
    throw new UnsupportedLayerError(name, withoutExamples, 'give the layer a G, or use "gradient"');
  }
}
