import { diagonalOf, invert, type Matrix, reduce, sandwich } from "../../linalg/index.js";
import type { PipelineManager, Recorder } from "../../pipeline/index.js";
import type { Block, BlockDescription, BlockItem, BlockProduct, BlockSite, BlockUpdate } from "./block.js";
import { accumulateFactors, FactorPairs } from "./factor-means.js";
import { FactorState } from "./factor-state.js";

/**
 * K-FAC's own block (Martens & Grosse 2015): H̃ = Ā ⊗ B̄ with moving means Ā and B̄ of the inputs' and derivatives' second
 * moments, and U = (B̄ + √λ/π I)⁻¹ G (Ā + π√λ I)⁻¹, the damping split between the factors by π² = (tr Ā / in)/(tr B̄ / out).
 * A factor that does not invert keeps its inverse, and λ is raised tenfold for the next refresh.
 */
export class KroneckerBlock implements Block {
  readonly name = "kronecker";
  readonly #manager: PipelineManager;
  readonly #site: BlockSite;
  readonly #factors: FactorPairs;
  readonly #inverses: FactorPairs;
  readonly #state: FactorState;

  constructor(site: BlockSite) {
    const { manager, layers } = site;
    this.#manager = manager;
    this.#site = site;
    this.#factors = new FactorPairs(manager, "factors", layers);
    this.#inverses = new FactorPairs(manager, "inverses", layers);
    this.#state = new FactorState(site);
    this.#site.states.reset(site.entries);
  }

  get damping(): number {
    return this.#state.settings.damping;
  }

  set damping(value: number) {
    this.#state.settings.damping = value;
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

  accumulate(recorder: Recorder, updates: readonly BlockUpdate[]): void {
    accumulateFactors(recorder, updates, this.#factors, this.#state);
  }

  /** Records the damped inverses of all factors, in one grouped sweep. */
  refresh(recorder: Recorder): void {
    const state = this.#state;
    const each = <T>(make: (layer: number) => T[]) => this.#site.layers.flatMap((_, layer) => make(layer));
    reduce(
      recorder,
      state.traces,
      each((layer) => [
        { x: diagonalOf(this.A(layer)), index: 2 * layer },
        { x: diagonalOf(this.B(layer)), index: 2 * layer + 1 },
      ]),
    );
    state.damp(recorder);
    invert(
      recorder,
      each((layer) => [
        { S: this.A(layer), into: this.inverseA(layer) },
        { S: this.B(layer), into: this.inverseB(layer) },
      ]),
      { dampings: state.dampings, status: state.status },
    );
    state.settle(recorder);
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
    this.#state.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}
