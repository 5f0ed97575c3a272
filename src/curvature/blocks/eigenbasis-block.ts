import { blend } from "../../linalg/blend.js";
import { eigh, type Matrix } from "../../linalg/index.js";
import type { PipelineManager, Recorder } from "../../pipeline/index.js";
import { outerSpectra } from "../kernels/spectrum.js";
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
import { type BlockEntry, type BlockStateBuffers, decide, noteDamping } from "./block-state.js";
import { accumulateFactors, FactorPairs } from "./factor-means.js";
import { FactorState } from "./factor-state.js";
import { KroneckerBases } from "./kronecker-bases.js";
import { MeanBlock } from "./mean-block.js";
import { layOutMatrices } from "./spectra.js";
import { DividingTrials } from "./trials.js";

/** What a refresh has found for its layers, in scratch: nothing of it counts before it is known to be good. */
export interface FoundBases {
  readonly layers: readonly number[];
  /** U_A and U_B of each of them. */
  readonly A: readonly Matrix[];
  readonly B: readonly Matrix[];
  /** The eigenvalues of Ā ⊗ B̄ in them, s_B s_A', out × in, which are to become the spectrum; may be overwritten. */
  readonly D: readonly Matrix[];
}

/**
 * Blocks that are diagonal in the eigenbases of moving means Ā and B̄: H̃ = Σ of D[o, i] (u_o u_o') ⊗ (v_i v_i') with the
 * eigenvectors u of B̄ and v of Ā, and U = U_B ((U_B' G U_A) ⊘ (D + λ)) U_A'. The damping is λI exactly, and 0 leaves out directions
 * without curvature. A λ that the GPU keeps counts at once, and solutions at other λ cost nothing to keep. Where the eigenvectors
 * are not found the last bases stay, and D with them. What D is, each kind says.
 */
export abstract class EigenbasisBlock extends MeanBlock implements Block {
  abstract readonly name: string;
  readonly eigenbases = true;
  readonly microBatches: MicroBatches = { factors: (_, { statistics }) => statistics };
  protected readonly state: FactorState;
  protected readonly site: BlockSite;
  protected readonly manager: PipelineManager;
  protected readonly factors: FactorPairs;
  protected readonly bases: KroneckerBases;
  /** (α, β) with which a layer's bases or spectrum change. */
  protected readonly scales: GPUBuffer;
  readonly #status: GPUBuffer;
  /** Whether D may stand undamped: so until a refresh says that it does not. */
  #undamped = true;

  constructor(site: BlockSite) {
    super();
    const { manager, layers } = site;
    this.manager = manager;
    this.site = site;
    this.factors = new FactorPairs(manager, "basis factors", layers);
    this.bases = new KroneckerBases(manager, layers);
    this.state = new FactorState(site);
    this.scales = manager.createStorage("spectrum scales", 2 * layers.length);
    this.#status = manager.createStorage("eigenvector status", 2 * layers.length);
    site.states.reset(site.entries);
  }

  /** Ā of a layer, in × in. */
  A(layer: number): Matrix {
    return this.factors.A(layer);
  }

  /** B̄ of a layer, out × out. */
  B(layer: number): Matrix {
    return this.factors.B(layer);
  }

  /** U_A of a layer, in × in: column j is an eigenvector of Ā as of the last refresh that succeeded; zero before the first. */
  basisA(layer: number): Matrix {
    return this.bases.right(layer);
  }

  /** U_B of a layer, out × out, likewise. */
  basisB(layer: number): Matrix {
    return this.bases.left(layer);
  }

  /** D of a layer, out × in. */
  spectrum(layer: number): Matrix {
    return this.bases.spectra.matrices[layer]!;
  }

  /** What the last refresh left counts too, so that one that would change it is not sent again unasked. */
  override get recording(): string | undefined {
    return this.#undamped === this.state.settings.undamped ? super.recording : undefined;
  }

  abstract get tensors(): Readonly<Record<string, GPUBuffer>>;

  abstract get means(): Readonly<Record<string, GPUBuffer>>;

  accumulate(recorder: Recorder, updates: readonly BlockUpdate[], options: BlockBatch = {}): void {
    accumulateFactors(recorder, updates, this.factors, this.state, this.site.factorPrecision, options.skip);
  }

  /** Records eigenvectors of the layers' means, and what follows where they were found, in grouped dispatches. */
  refresh(recorder: Recorder, layers = this.everyLayer): void {
    this.#undamped = this.state.settings.undamped;
    const found = this.#decompose(recorder, layers);
    this.renewSpectra(recorder, found);
    this.decide(
      recorder,
      "adopt",
      layers.map((layer, place) => ({ layer, status: 2 * place })),
    );
    blend(
      recorder,
      layers.flatMap((layer, k) => [
        { T: found.A[k]!, S: this.basisA(layer), scale: layer },
        { T: found.B[k]!, S: this.basisB(layer), scale: layer },
        { T: found.D[k]!, S: this.spectrum(layer), scale: layer },
      ]),
      this.scales,
    );
    this.bases.settle(recorder, layers);
  }

  /** Householder, QL and the rotations; see `eigh`. */
  refreshCost(layer: number): number {
    const { in: inputs, out } = this.site.layers[layer]!;
    return 9 * (inputs ** 3 + out ** 3);
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
    this.bases.apply(recorder, products);
  }

  abstract describe(): readonly BlockDescription[];

  reset(): void {
    const encoder = this.manager.device.createCommandEncoder();
    for (const buffer of Object.values(this.tensors)) encoder.clearBuffer(buffer);
    this.manager.device.queue.submit([encoder.finish()]);
    this.site.states.reset(this.site.entries);
    this.#undamped = true;
  }

  dispose(): void {
    this.factors.dispose();
    this.bases.dispose();
    this.state.dispose();
    for (const buffer of [this.scales, this.#status]) this.manager.destroyBuffer(buffer);
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  /** Records into `found.D` what the spectra become with the bases found; by default they are what Ā ⊗ B̄ has there. */
  protected renewSpectra(_recorder: Recorder, _found: FoundBases): void {}

  /** Words of each layer that count the batches in its spectrum, f32, where that is more than a matter of the factors. */
  protected get counts(): GPUBuffer | undefined {
    return undefined;
  }

  protected get everyLayer(): readonly number[] {
    return this.site.layers.map((_, layer) => layer);
  }

  /** Records a decision on layers of this block; see `block-state.ts`. */
  protected decide(
    recorder: Recorder,
    decision: Parameters<typeof decide>[1],
    entries: readonly Omit<BlockEntry, "entry">[],
  ): void {
    const { settings, flags } = this.state;
    const layers = this.site.states.buffer;
    const buffers: BlockStateBuffers = { settings, layers, flags, status: this.#status, scales: this.scales };
    const counts = this.counts ?? recorder.scratch(this.site.layers.length);
    decide(
      recorder,
      decision,
      entries.map((one) => ({ ...one, entry: this.site.entries[one.layer]! })),
      { ...buffers, counts },
    );
  }

  #decompose(recorder: Recorder, layers: readonly number[]): FoundBases {
    const shapes = layers.map((layer) => this.site.layers[layer]!);
    const vectors = recorder.scratch(this.bases.bases.buffer.size / 4);
    const A = layers.map((layer) => ({ ...this.basisA(layer), buffer: vectors }));
    const B = layers.map((layer) => ({ ...this.basisB(layer), buffer: vectors }));
    let length = 0;
    const values = shapes.map(({ in: inputs, out }) => {
      const place = { A: length, B: length + inputs };
      length += inputs + out;
      return place;
    });
    const buffer = recorder.scratch(length);
    recorder.clear(this.#status);
    eigh(
      recorder,
      layers.flatMap((layer, k) => [
        { S: this.A(layer), vectors: A[k]!, values: { buffer, offset: values[k]!.A } },
        { S: this.B(layer), vectors: B[k]!, values: { buffer, offset: values[k]!.B } },
      ]),
      this.#status,
    );
    const renewed = layOutMatrices(shapes);
    const D = renewed.views(recorder.scratch(renewed.length));
    outerSpectra(
      recorder,
      values.map((place, k) => {
        const right = { buffer, offset: place.A, stride: 1 };
        const left = { buffer, offset: place.B, stride: 1 };
        return { pairs: [{ left, right }], D: D[k]! };
      }),
    );
    return { layers, A, B, D };
  }

  #solve(recorder: Recorder, items: readonly BlockItem[], multiplier: number): void {
    const { entries, states } = this.site;
    noteDamping(recorder, this.site, this.state.settings);
    if (this.#undamped) this.bases.spectra.findPeaks(recorder);
    this.bases.solve(recorder, items, (layer) => states.damping(entries[layer]!, multiplier));
  }
}
