import { type Matrix, paddedLength, paddedView } from "../../linalg/index.js";
import type { PipelineManager, Recorder } from "../../pipeline/index.js";
import { divideSpectra, multiplySpectra, type StoredDamping, spectrumPeaks } from "../kernels/spectrum.js";
import type { LayerShape } from "./examples.js";

/** A matrix of a layer's shape, and where what becomes of it goes. */
export interface SpectrumItem {
  layer: number;
  X: Matrix;
  into: Matrix;
}

/** Matrices of the shapes of several layers, out × in each, one behind the other. */
export function layOutMatrices(layers: readonly LayerShape[]): {
  length: number;
  views(buffer: GPUBuffer): Matrix[];
} {
  let length = 0;
  const offsets = layers.map(({ in: inputs, out }) => {
    const offset = length;
    length += paddedLength(out, inputs);
    return offset;
  });
  return {
    length,
    views: (buffer) =>
      layers.map(({ in: inputs, out }, layer) => paddedView(buffer, offsets[layer]!, out, inputs)),
  };
}

/**
 * A spectrum D ≥ 0 for each layer, out × in, all in one buffer: H̃ where it is diagonal. Its damped inverse divides by D + λ;
 * without λ, directions whose curvature is zero up to rounding are left out.
 */
export class Spectra implements Disposable {
  readonly buffer: GPUBuffer;
  /** D of each layer. */
  readonly matrices: readonly Matrix[];
  readonly #manager: PipelineManager;
  readonly #peaks: GPUBuffer;

  constructor(manager: PipelineManager, label: string, layers: readonly LayerShape[]) {
    const { length, views } = layOutMatrices(layers);
    this.#manager = manager;
    this.buffer = manager.createStorage(label, length);
    this.matrices = views(this.buffer);
    this.#peaks = manager.createStorage("spectrum peaks", layers.length);
  }

  /** All of its memory. */
  get buffers(): Readonly<Record<string, GPUBuffer>> {
    return { spectrum: this.buffer, peaks: this.#peaks };
  }

  /** Records what leaves out directions that are zero up to rounding, where nothing damps them. */
  findPeaks(recorder: Recorder): void {
    spectrumPeaks(
      recorder,
      this.matrices.map((D, index) => ({ D, index })),
      this.#peaks,
    );
  }

  /** Records that none is left out unless it is zero. */
  forgetPeaks(recorder: Recorder): void {
    recorder.clear(this.#peaks);
  }

  /** Records into ← D ∘ X. */
  multiply(recorder: Recorder, items: readonly SpectrumItem[]): void {
    multiplySpectra(
      recorder,
      items.map(({ layer, X, into }) => ({ X, D: this.matrices[layer]!, into })),
    );
  }

  /** Records into ← X ⊘ (D + λ). Where λ is 0, `findPeaks` or `forgetPeaks` comes before. */
  divide(
    recorder: Recorder,
    items: readonly SpectrumItem[],
    lambdaOf: (layer: number) => StoredDamping,
  ): void {
    divideSpectra(
      recorder,
      items.map(({ layer, X, into }) => ({
        X,
        D: this.matrices[layer]!,
        into,
        lambda: lambdaOf(layer),
        peaks: this.#peaks,
        index: layer,
      })),
    );
  }

  dispose(): void {
    for (const buffer of Object.values(this.buffers)) this.#manager.destroyBuffer(buffer);
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}
