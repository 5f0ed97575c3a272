import { blend } from "../../linalg/blend.js";
import { checkFinite, type Matrix, multiplyPacked } from "../../linalg/index.js";
import { scoped } from "../../linalg/layout/scoped.js";
import type { Recorder } from "../../pipeline/index.js";
import { jacobianMoments } from "../kernels/jacobian.js";
import { multiplySpectra } from "../kernels/spectrum.js";
import type { Block, BlockBatch, BlockDescription, BlockSite, BlockUpdate, MicroBatches } from "./block.js";
import { EigenbasisBlock, type FoundBases } from "./eigenbasis-block.js";
import { recordOneGroup, requireExamples, rotateRows, scratchRows } from "./examples.js";
import { scratchMatrices } from "./scratch.js";
import { layOutMatrices } from "./spectra.js";

/** The bit of a layer's flags that says that its second moments are not finite. */
const SPECTRUM_FLAG = 4;

/**
 * EKFAC (George et al. 2018), over moving means. The spectrum D begins as the Kronecker product's own eigenvalues. A refresh renews
 * the bases and carries D over: with Q_A = U_A' V_A from the old bases U to the new ones V, and Q_B likewise,
 *
 *     D ← (Q_B ∘ Q_B)' D (Q_A ∘ Q_A),
 *
 * the diagonal in the new bases of what H̃ was in the old ones, which of all diagonals there is the nearest to it; its trace stays.
 * What a refresh leaves counts as one batch. Each batch after that is blended in,
 *
 *     D ← β_t D + (1 − β_t) (1/N) Σ_i Σ_c (U_B' J_ic U_A)∘²,   β_t = min(1 − 1/t, β), t = 2, 3, … since the refresh,
 *
 * the best diagonal in that basis.
 *
 * A convolution's inputs are made for this, (N · T) × in numbers of scratch.
 */
export class EkfacBlock extends EigenbasisBlock implements Block {
  readonly name = "ekfac";
  override readonly microBatches: MicroBatches = {
    factors: (_, { statistics }) => statistics,
    moments: {
      size: (layer) => [this.site.layers[layer]!.out, this.site.layers[layer]!.in],
      record: (recorder, update, into) => this.#recordMoments(recorder, update, into),
    },
  };
  readonly #counts: GPUBuffer;

  constructor(site: BlockSite) {
    super(site);
    this.#counts = site.manager.createStorage("spectrum counts", site.layers.length);
  }

  get tensors(): Readonly<Record<string, GPUBuffer>> {
    const { bases, transposes } = this.bases;
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
    return { factors: this.factors.buffer, spectrum: this.bases.spectra.buffer };
  }

  /** As `Block.accumulate`. @throws UnsupportedLayerError for statistics that are not example by example */
  override accumulate(recorder: Recorder, updates: readonly BlockUpdate[], options: BlockBatch = {}): void {
    const { layers } = this.site;
    for (const { layer, statistics, moments } of updates) {
      if (!moments) requireExamples(layers[layer]!, statistics);
    }
    super.accumulate(recorder, updates, options);
    const shapes = updates.map(({ layer }) => layers[layer]!);
    const { length, views } = layOutMatrices(shapes);
    const own = views(recorder.scratch(length));
    const moments = updates.map((update, index) => update.moments ?? own[index]!);
    for (const [index, update] of updates.entries()) {
      if (!update.moments) this.#recordMoments(recorder, update, own[index]!);
    }
    checkFinite(
      recorder,
      this.state.flags,
      updates.map(({ layer }, index) => ({ x: moments[index]!, flag: layer, bit: SPECTRUM_FLAG })),
    );
    this.decide(
      recorder,
      "weigh",
      updates.map(({ layer }) => ({ layer })),
    );
    blend(
      recorder,
      updates.map(({ layer }, index) => ({ T: moments[index]!, S: this.spectrum(layer), scale: layer })),
      this.scales,
    );
  }

  describe(): readonly BlockDescription[] {
    return this.site.layers.map(({ name, in: inputs, out }) => ({
      layer: name,
      estimate: `spectrum ${out} × ${inputs} in the eigenbases of Ā and B̄, moving means`,
    }));
  }

  override dispose(): void {
    super.dispose();
    this.manager.destroyBuffer(this.#counts);
  }

  /** Batches in D since the bases were renewed; f32, 0 while there are none. */
  protected override get counts(): GPUBuffer {
    return this.#counts;
  }

  /** Records into ← (1/N) Σ_i Σ_c (U_B' J_ic U_A)∘². */
  #recordMoments(recorder: Recorder, { layer, statistics }: BlockUpdate, into: Matrix): void {
    // One layer after another in the same scratch: rows of a convolution are long.
    scoped(recorder, (inner) => {
      const rows = recordOneGroup(inner, this.site.layers[layer]!, statistics);
      const a = scratchRows(inner, rows.a.rows, rows.a.cols);
      const b = scratchRows(inner, rows.b.rows, rows.b.cols);
      rotateRows(inner, rows.a, this.basisA(layer), a);
      rotateRows(inner, rows.b, this.basisB(layer), b);
      jacobianMoments(inner, { ...rows, a, b }, { scale: 1 / rows.divisor, into });
    });
  }

  /** Records the old spectra as they are in the new bases, in place of Ā ⊗ B̄'s own wherever there are any. */
  protected override renewSpectra(recorder: Recorder, { layers, A, B, D }: FoundBases): void {
    this.decide(
      recorder,
      "carry",
      layers.map((layer) => ({ layer })),
    );
    scoped(recorder, (inner) => {
      const shapes = layers.map((layer) => this.site.layers[layer]!);
      const squares = shapes.flatMap(({ in: n, out: m }): [number, number][] => [
        [n, n],
        [m, m],
      ]);
      const multiply = (problems: { A: Matrix; B: Matrix; C: Matrix }[]) =>
        multiplyPacked(
          inner,
          problems.map((one) => ({ ...one, transposed: false, alpha: 1, beta: 0 })),
        );
      // Q_A and Q_B of each layer, and their squares.
      const turns = scratchMatrices(inner, squares);
      const shares = scratchMatrices(inner, squares);
      multiply(
        layers.flatMap((layer, k) => [
          { A: this.basisA(layer), B: A[k]!, C: turns[2 * k]! },
          { A: this.basisB(layer), B: B[k]!, C: turns[2 * k + 1]! },
        ]),
      );
      multiplySpectra(
        inner,
        turns.map((Q, k) => ({ X: Q, D: Q, into: shares[k]! })),
      );
      const half = scratchMatrices(
        inner,
        shapes.map(({ in: inputs, out }) => [inputs, out]),
      );
      const carried = scratchMatrices(
        inner,
        shapes.map(({ in: inputs, out }) => [out, inputs]),
      );
      multiply(layers.map((layer, k) => ({ A: this.spectrum(layer), B: shares[2 * k + 1]!, C: half[k]! })));
      multiply(layers.map((_, k) => ({ A: half[k]!, B: shares[2 * k]!, C: carried[k]! })));
      blend(
        inner,
        layers.map((layer, k) => ({ T: carried[k]!, S: D[k]!, scale: layer })),
        this.scales,
      );
    });
  }
}
