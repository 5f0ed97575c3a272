import { blend } from "../../linalg/blend.js";
import { checkFinite, eigh, type Matrix } from "../../linalg/index.js";
import { scoped } from "../../linalg/layout/scoped.js";
import type { PipelineManager, Recorder } from "../../pipeline/index.js";
import { jacobianMoments } from "../kernels/jacobian.js";
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
} from "./block.js";
import { decide, noteDamping } from "./block-state.js";
import { recordOneGroup, requireExamples, rotateRows, scratchRows } from "./examples.js";
import { accumulateFactors, FactorPairs } from "./factor-means.js";
import { FactorState } from "./factor-state.js";
import { KroneckerBases } from "./kronecker-bases.js";
import { MeanBlock } from "./mean-block.js";
import { layOutMatrices } from "./spectra.js";
import { DividingTrials } from "./trials.js";

/** The bit of a layer's flags that says that its second moments are not finite. */
const SPECTRUM_FLAG = 4;

/**
 * EKFAC (George et al. 2018), over moving means: H̃ = Σ of D[o, i] (u_o u_o') ⊗ (v_i v_i') in the eigenbases u of B̄ and v of
 * Ā. A refresh renews the bases from the means Ā and B̄ and starts the spectrum D afresh from the Kronecker product's own
 * eigenvalues, which count as one batch. Each batch after that is blended in,
 *
 *     D ← β_t D + (1 − β_t) (1/N) Σ_i Σ_c (U_B' J_ic U_A)∘²,   β_t = min(1 − 1/t, β), t = 2, 3, … since the refresh,
 *
 * the best diagonal in that basis. U = U_B ((U_B' G U_A) ⊘ (D + λ)) U_A': the damping is λI exactly, and 0 leaves out
 * directions without curvature. A λ that the GPU keeps counts at once. Where the eigenvectors are not found the last bases stay, and D goes on in them.
 *
 * A convolution's inputs are made for this, (N · T) × in numbers of scratch.
 */
export class EkfacBlock extends MeanBlock implements Block {
  readonly name = "ekfac";
  protected readonly state: FactorState;
  readonly #manager: PipelineManager;
  readonly #site: BlockSite;
  readonly #factors: FactorPairs;
  readonly #bases: KroneckerBases;
  /** Batches in D since the bases were renewed; f32. */
  readonly #counts: GPUBuffer;
  /** (α, β) with which a layer's bases or spectrum change. */
  readonly #scales: GPUBuffer;
  readonly #status: GPUBuffer;
  /** Whether D may stand undamped: so until a refresh says that it does not. */
  #undamped = true;

  constructor(site: BlockSite) {
    super();
    const { manager, layers } = site;
    this.#manager = manager;
    this.#site = site;
    this.#factors = new FactorPairs(manager, "ekfac factors", layers);
    this.#bases = new KroneckerBases(manager, layers);
    this.state = new FactorState(site);
    this.#counts = manager.createStorage("spectrum counts", layers.length);
    this.#scales = manager.createStorage("spectrum scales", 2 * layers.length);
    this.#status = manager.createStorage("eigenvector status", 2 * layers.length);
    site.states.reset(site.entries);
  }

  /** Ā of a layer, in × in. */
  A(layer: number): Matrix {
    return this.#factors.A(layer);
  }

  /** B̄ of a layer, out × out. */
  B(layer: number): Matrix {
    return this.#factors.B(layer);
  }

  /** U_A of a layer, in × in: column j is an eigenvector of Ā as of the last refresh that succeeded; zero before the first. */
  basisA(layer: number): Matrix {
    return this.#bases.right(layer);
  }

  /** U_B of a layer, out × out, likewise. */
  basisB(layer: number): Matrix {
    return this.#bases.left(layer);
  }

  /** D of a layer, out × in. */
  spectrum(layer: number): Matrix {
    return this.#bases.spectra.matrices[layer]!;
  }

  /** What the last refresh left counts too, so that one that would change it is not sent again unasked. */
  override get recording(): string | undefined {
    return this.#undamped === this.state.settings.undamped ? super.recording : undefined;
  }

  get tensors(): Readonly<Record<string, GPUBuffer>> {
    const { bases, transposes } = this.#bases;
    return {
      ...this.means,
      bases: bases.buffer,
      transposes: transposes.buffer,
      counts: this.#counts,
    };
  }

  /**
   * Spectra are means in the bases of the last refresh: processes that average all of these before each refresh have the same
   * bases.
   */
  get means(): Readonly<Record<string, GPUBuffer>> {
    return { factors: this.#factors.buffer, spectrum: this.#bases.spectra.buffer };
  }

  /** As `Block.accumulate`. @throws UnsupportedLayerError for statistics that are not example by example */
  accumulate(recorder: Recorder, updates: readonly BlockUpdate[], options: BlockBatch = {}): void {
    const { layers, entries, states } = this.#site;
    const state = this.state;
    for (const { layer, statistics } of updates) requireExamples(layers[layer]!, statistics);
    accumulateFactors(recorder, updates, this.#factors, state, options.skip);
    const shapes = updates.map(({ layer }) => layers[layer]!);
    const { length, views } = layOutMatrices(shapes);
    const moments = views(recorder.scratch(length));
    for (const [index, { layer, statistics }] of updates.entries()) {
      // One layer after another in the same scratch: rows of a convolution are long.
      scoped(recorder, (inner) => {
        const rows = recordOneGroup(inner, layers[layer]!, statistics);
        const a = scratchRows(inner, rows.a.rows, rows.a.cols);
        const b = scratchRows(inner, rows.b.rows, rows.b.cols);
        rotateRows(inner, rows.a, this.basisA(layer), a);
        rotateRows(inner, rows.b, this.basisB(layer), b);
        jacobianMoments(inner, { ...rows, a, b }, { scale: 1 / rows.divisor, into: moments[index]! });
      });
    }
    checkFinite(
      recorder,
      state.flags,
      updates.map(({ layer }, index) => ({ x: moments[index]!, flag: layer, bit: SPECTRUM_FLAG })),
    );
    decide(
      recorder,
      "weigh",
      updates.map(({ layer }) => ({ entry: entries[layer]!, layer })),
      {
        settings: state.settings,
        layers: states.buffer,
        flags: state.flags,
        counts: this.#counts,
        scales: this.#scales,
      },
    );
    blend(
      recorder,
      updates.map(({ layer }, index) => ({ T: moments[index]!, S: this.spectrum(layer), scale: layer })),
      this.#scales,
    );
  }

  /** Records eigenvectors of all means, and what follows where they were found, in grouped dispatches. */
  refresh(recorder: Recorder): void {
    const { layers, entries, states } = this.#site;
    const { bases, spectra } = this.#bases;
    this.#undamped = this.state.settings.undamped;
    const each = <T>(make: (layer: number) => T) => layers.map((_, layer) => make(layer));
    // Found in scratch first: what is not good enough must not touch the bases that stand.
    const vectors = recorder.scratch(bases.buffer.size / 4);
    const found = (view: Matrix): Matrix => ({ ...view, buffer: vectors });
    const lengths = layers.map(({ in: inputs, out }) => inputs + out);
    const values = recorder.scratch(lengths.reduce((sum, length) => sum + length, 0));
    const starts = lengths.map((_, layer) =>
      lengths.slice(0, layer).reduce((sum, length) => sum + length, 0),
    );
    recorder.clear(this.#status);
    eigh(
      recorder,
      each((layer) => [
        {
          S: this.A(layer),
          vectors: found(this.basisA(layer)),
          values: { buffer: values, offset: starts[layer]! },
        },
        {
          S: this.B(layer),
          vectors: found(this.basisB(layer)),
          values: { buffer: values, offset: starts[layer]! + layers[layer]!.in },
        },
      ]).flat(),
      this.#status,
    );
    const renewed = recorder.scratch(spectra.buffer.size / 4);
    outerSpectra(
      recorder,
      each((layer) => {
        const right = { buffer: values, offset: starts[layer]!, stride: 1 };
        const left = { buffer: values, offset: starts[layer]! + layers[layer]!.in, stride: 1 };
        return { pairs: [{ left, right }], D: { ...this.spectrum(layer), buffer: renewed } };
      }),
    );
    decide(
      recorder,
      "adopt",
      each((layer) => ({ entry: entries[layer]!, layer, status: 2 * layer })),
      {
        settings: this.state.settings,
        layers: states.buffer,
        status: this.#status,
        counts: this.#counts,
        scales: this.#scales,
      },
    );
    blend(
      recorder,
      each((layer) => [
        { T: found(this.basisA(layer)), S: this.basisA(layer), scale: layer },
        { T: found(this.basisB(layer)), S: this.basisB(layer), scale: layer },
        { T: { ...this.spectrum(layer), buffer: renewed }, S: this.spectrum(layer), scale: layer },
      ]).flat(),
      this.#scales,
    );
    this.#bases.settle(recorder);
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
    this.#bases.apply(recorder, products);
  }

  describe(): readonly BlockDescription[] {
    return this.#site.layers.map(({ name, in: inputs, out }) => ({
      layer: name,
      estimate: `spectrum ${out} × ${inputs} in the eigenbases of Ā and B̄, moving means`,
    }));
  }

  reset(): void {
    const encoder = this.#manager.device.createCommandEncoder();
    for (const buffer of Object.values(this.tensors)) encoder.clearBuffer(buffer);
    this.#manager.device.queue.submit([encoder.finish()]);
    this.#site.states.reset(this.#site.entries);
    this.#undamped = true;
  }

  dispose(): void {
    this.#factors.dispose();
    this.#bases.dispose();
    this.state.dispose();
    for (const buffer of [this.#counts, this.#scales, this.#status]) this.#manager.destroyBuffer(buffer);
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  #solve(recorder: Recorder, items: readonly BlockItem[], multiplier: number): void {
    const { entries, states } = this.#site;
    noteDamping(recorder, this.#site, this.state.settings);
    if (this.#undamped) this.#bases.spectra.findPeaks(recorder);
    this.#bases.solve(recorder, items, (layer) => states.damping(entries[layer]!, multiplier));
  }
}
