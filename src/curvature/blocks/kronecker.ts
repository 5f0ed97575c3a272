import { diagonalOf, invert, type Matrix, reduce, sandwich } from "../../linalg/index.js";
import type { CurvatureStatistics } from "../../model/index.js";
import type { PipelineManager, Recorder } from "../../pipeline/index.js";
import type {
  Block,
  BlockBatch,
  BlockDescription,
  BlockItem,
  BlockProduct,
  BlockSite,
  BlockTrials,
  BlockUpdate,
  MicroBatches,
} from "./block.js";
import { accumulateFactors, FactorPairs } from "./factor-means.js";
import { FactorState, type InversionWords } from "./factor-state.js";
import { KroneckerTrials } from "./kronecker-trials.js";
import { MeanBlock } from "./mean-block.js";
import { type PositionTreatment, treatedStatistics } from "./treated-statistics.js";

/**
 * K-FAC's own block (Martens & Grosse 2015): H̃ = Ā ⊗ B̄ with moving means Ā and B̄ of the inputs' and derivatives' second
 * moments, and U = (B̄ + √λ/π I)⁻¹ G (Ā + π√λ I)⁻¹, the damping split between the factors by π² = (tr Ā / in)/(tr B̄ / out).
 * A factor that does not invert keeps its inverse, and λ is raised tenfold for the next refresh.
 */
export class KroneckerBlock extends MeanBlock implements Block {
  readonly name: "kronecker" | PositionTreatment;
  readonly microBatches: MicroBatches = {
    factors: (recorder, update) => this.#treated(recorder, update),
  };
  protected readonly state: FactorState;
  readonly #manager: PipelineManager;
  readonly #site: BlockSite;
  readonly #factors: FactorPairs;
  readonly #inverses: FactorPairs;
  readonly #positions: PositionTreatment | undefined;

  /** @param positions how the factors treat them; by default as each layer was built to */
  constructor(site: BlockSite, positions?: PositionTreatment) {
    super();
    const { manager, layers } = site;
    this.name = positions ?? "kronecker";
    this.#positions = positions;
    this.#manager = manager;
    this.#site = site;
    this.#factors = new FactorPairs(manager, "factors", layers);
    this.#inverses = new FactorPairs(manager, "inverses", layers);
    this.state = new FactorState(site);
    this.#site.states.reset(site.entries);
  }

  /** Ā of a layer, in × in. */
  A(layer: number): Matrix {
    return this.#factors.A(layer);
  }

  /** B̄ of a layer, out × out. */
  B(layer: number): Matrix {
    return this.#factors.B(layer);
  }

  /** (Ā + π√λ I)⁻¹ as of the last refresh that succeeded; zero before the first. */
  inverseA(layer: number): Matrix {
    return this.#inverses.A(layer);
  }

  /** (B̄ + √λ/π I)⁻¹ as of the last refresh that succeeded; zero before the first. */
  inverseB(layer: number): Matrix {
    return this.#inverses.B(layer);
  }

  get tensors(): Readonly<Record<string, GPUBuffer>> {
    return { factors: this.#factors.buffer, inverses: this.#inverses.buffer };
  }

  get means(): Readonly<Record<string, GPUBuffer>> {
    return { factors: this.#factors.buffer };
  }

  accumulate(recorder: Recorder, updates: readonly BlockUpdate[], options: BlockBatch = {}): void {
    const own = updates.map((update) => ({ ...update, statistics: this.#treated(recorder, update) }));
    accumulateFactors(recorder, own, this.#factors, this.state, this.#site.factorPrecision, options.skip);
  }

  /** Records the damped inverses of the layers' factors, in one grouped sweep. */
  refresh(recorder: Recorder, layers = this.#everyLayer): void {
    const state = this.state;
    this.#trace(recorder, layers);
    state.damp(recorder, layers);
    this.#invert(recorder, [this.#inverses], state, layers);
    state.settle(recorder, layers);
  }

  refreshCost(layer: number): number {
    const { in: inputs, out } = this.#site.layers[layer]!;
    return inputs ** 3 + out ** 3;
  }

  /** Inverses of the same factors, a pair of matrices a layer more for each multiplier. */
  trials(multipliers: readonly number[], status: GPUBuffer): BlockTrials {
    const parts = {
      site: this.#site,
      inverses: this.#inverses,
      state: this.state,
      trace: (recorder: Recorder) => this.#trace(recorder),
      invert: (
        recorder: Recorder,
        targets: readonly FactorPairs[],
        words: Pick<InversionWords, "dampings" | "status">,
      ) => this.#invert(recorder, targets, words),
    };
    return new KroneckerTrials(parts, multipliers, status);
  }

  precondition(recorder: Recorder, items: readonly BlockItem[]): void {
    sandwich(
      recorder,
      items.map(({ layer, G, into }) => ({ P: this.inverseB(layer), G, Q: this.inverseA(layer), into })),
    );
  }

  apply(recorder: Recorder, products: readonly BlockProduct[]): void {
    sandwich(
      recorder,
      products.map(({ layer, V, into }) => ({ P: this.B(layer), G: V, Q: this.A(layer), into })),
    );
  }

  describe(): readonly BlockDescription[] {
    return this.#site.layers.map(({ name, in: inputs, out }) => ({
      layer: name,
      estimate: `Ā ⊗ B̄, moving means ${inputs} × ${inputs} and ${out} × ${out}`,
    }));
  }

  reset(): void {
    const encoder = this.#manager.device.createCommandEncoder();
    encoder.clearBuffer(this.#factors.buffer);
    encoder.clearBuffer(this.#inverses.buffer);
    this.#manager.device.queue.submit([encoder.finish()]);
    this.#site.states.reset(this.#site.entries);
  }

  dispose(): void {
    this.#factors.dispose();
    this.#inverses.dispose();
    this.state.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  /** A batch's statistics with the positions treated as they are to be. */
  #treated(
    recorder: Recorder,
    { layer, statistics }: BlockUpdate,
  ): Pick<CurvatureStatistics, "inputs" | "outputs"> {
    const positions = this.#positions;
    return positions
      ? treatedStatistics(recorder, this.#site.layers[layer]!, statistics, positions)
      : statistics;
  }

  get #everyLayer(): readonly number[] {
    return this.#site.layers.map((_, layer) => layer);
  }

  #trace(recorder: Recorder, layers = this.#everyLayer): void {
    reduce(
      recorder,
      this.state.traces,
      layers.flatMap((layer) => [
        { x: diagonalOf(this.A(layer)), index: 2 * layer },
        { x: diagonalOf(this.B(layer)), index: 2 * layer + 1 },
      ]),
    );
  }

  /** Records the inverses of the layers' factors into each of the targets, in one grouped sweep. */
  #invert(
    recorder: Recorder,
    targets: readonly FactorPairs[],
    words: Pick<InversionWords, "dampings" | "status">,
    layers = this.#everyLayer,
  ): void {
    const { dampings, status } = words;
    const pairs = this.#site.layers.length;
    invert(
      recorder,
      targets.flatMap((into, target) =>
        layers.flatMap((layer) => {
          const index = 2 * (target * pairs + layer);
          return [
            { S: this.A(layer), into: into.A(layer), index },
            { S: this.B(layer), into: into.B(layer), index: index + 1 },
          ];
        }),
      ),
      { dampings, status },
    );
  }
}
