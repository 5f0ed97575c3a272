import { copyStrided, type Matrix, multiplyPacked, packed, packedTarget } from "../../linalg/index.js";
import { copyInto } from "../../linalg/layout/pack.js";
import type { PipelineManager, Recorder } from "../../pipeline/index.js";
import type { StoredDamping } from "../kernels/spectrum.js";
import type { BlockItem, BlockProduct } from "./block.js";
import type { LayerShape } from "./examples.js";
import { FactorPairs } from "./factor-means.js";
import { scratchMatrices } from "./scratch.js";
import { Spectra, type SpectrumItem } from "./spectra.js";

/**
 * V ↦ L (D ∘ (L' V R)) R' for each of several layers, with L out × out, R in × in and a spectrum D ≥ 0, out × in: every map
 * that is diagonal in a Kronecker basis, and its damped inverse where L and R are orthogonal. Four products and an
 * element-wise step, each one dispatch for all layers whose operands share their buffers.
 */
export class KroneckerBases implements Disposable {
  /** R at A, and L at B, of each layer. */
  readonly bases: FactorPairs;
  /** R' and L', which the way back reads. */
  readonly transposes: FactorPairs;
  readonly spectra: Spectra;
  readonly #layers: readonly LayerShape[];

  constructor(manager: PipelineManager, layers: readonly LayerShape[]) {
    this.#layers = layers;
    this.bases = new FactorPairs(manager, "bases", layers);
    this.transposes = new FactorPairs(manager, "transposed bases", layers);
    this.spectra = new Spectra(manager, "spectra", layers);
  }

  /** All of its memory. */
  get buffers(): Readonly<Record<string, GPUBuffer>> {
    const { bases, transposes, spectra } = this;
    return { bases: bases.buffer, transposes: transposes.buffer, ...spectra.buffers };
  }

  /** L of a layer, out × out. */
  left(layer: number): Matrix {
    return this.bases.B(layer);
  }

  /** R of a layer, in × in. */
  right(layer: number): Matrix {
    return this.bases.A(layer);
  }

  /** Records what follows a change of the bases of some layers, by default of all. */
  settle(recorder: Recorder, layers: readonly number[] = this.#layers.map((_, layer) => layer)): void {
    const { bases, transposes } = this;
    copyStrided(
      recorder,
      layers.flatMap((layer) => [
        copyInto(bases.A(layer), transposes.A(layer), true),
        copyInto(bases.B(layer), transposes.B(layer), true),
      ]),
    );
  }

  /** Records into ← L (D ∘ (L' V R)) R'. */
  apply(recorder: Recorder, products: readonly BlockProduct[]): void {
    const items = products.map(({ layer, V, into }) => ({ layer, G: V, into }));
    this.#through(recorder, items, (inside) => this.spectra.multiply(recorder, inside));
  }

  /** Records into ← L ((L' G R) ⊘ (D + λ)) R'; of λ = 0 as `Spectra.divide`. */
  solve(recorder: Recorder, items: readonly BlockItem[], lambdaOf: (layer: number) => StoredDamping): void {
    this.#through(recorder, items, (inside) => this.spectra.divide(recorder, inside, lambdaOf));
  }

  dispose(): void {
    this.bases.dispose();
    this.transposes.dispose();
    this.spectra.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  #through(
    recorder: Recorder,
    items: readonly BlockItem[],
    change: (inside: readonly SpectrumItem[]) => void,
  ): void {
    const sizes = items.map(({ layer }) => this.#layers[layer]!);
    const scratch = (turned: boolean) =>
      scratchMatrices(
        recorder,
        sizes.map(({ in: inputs, out }) => (turned ? [inputs, out] : [out, inputs])),
      );
    const [upright, flat] = [scratch(false), scratch(true)];
    const [changed, back] = [scratch(false), scratch(true)];
    const gradients = items.map(({ G }) => packed(recorder, G, false));
    const targets = items.map(({ into }) => packedTarget(recorder, into, false));
    // Every product C = A'B reads both operands along rows, so each result is what the next one needs: G'L, then L'G R, …
    const multiply = (of: (index: number, layer: number) => { A: Matrix; B: Matrix; C: Matrix }) =>
      multiplyPacked(
        recorder,
        items.map(({ layer }, index) => ({ ...of(index, layer), transposed: false, alpha: 1, beta: 0 })),
      );
    multiply((k, layer) => ({ A: gradients[k]!, B: this.left(layer), C: flat[k]! }));
    multiply((k, layer) => ({ A: flat[k]!, B: this.right(layer), C: upright[k]! }));
    change(items.map(({ layer }, k) => ({ layer, X: upright[k]!, into: changed[k]! })));
    multiply((k, layer) => ({ A: changed[k]!, B: this.transposes.B(layer), C: back[k]! }));
    multiply((k, layer) => ({ A: back[k]!, B: this.transposes.A(layer), C: targets[k]!.target }));
    for (const { unpack } of targets) unpack();
  }
}
