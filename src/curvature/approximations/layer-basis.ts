import type { Matrix } from "../../linalg/index.js";
import type { PipelineManager, Recorder } from "../../pipeline/index.js";
import type { LayerShape } from "../blocks/examples.js";
import { KroneckerBases } from "../blocks/kronecker-bases.js";
import type { StoredDamping } from "../kernels/spectrum.js";

/** The `KroneckerBases` of one layer with a λ that is a number: what the fits that end in an eigenbasis share. */
export class LayerBasis {
  readonly left: Matrix;
  readonly right: Matrix;
  readonly spectrum: Matrix;
  readonly #bases: KroneckerBases;

  constructor(manager: PipelineManager, layer: LayerShape) {
    this.#bases = new KroneckerBases(manager, [layer]);
    this.left = this.#bases.left(0);
    this.right = this.#bases.right(0);
    this.spectrum = this.#bases.spectra.matrices[0]!;
  }

  /** Records what follows a change of `left` and `right`. */
  settle(recorder: Recorder): void {
    this.#bases.settle(recorder);
  }

  /** Records what leaves out directions that are zero up to rounding, where nothing damps them. */
  findPeak(recorder: Recorder): void {
    this.#bases.spectra.findPeaks(recorder);
  }

  /** Records that none is left out unless it is zero. */
  forgetPeak(recorder: Recorder): void {
    this.#bases.spectra.forgetPeaks(recorder);
  }

  apply(recorder: Recorder, V: Matrix, into: Matrix): void {
    this.#bases.apply(recorder, [{ layer: 0, V, into }]);
  }

  /** Without λ, what is zero up to rounding is left out; `findPeak` comes before. */
  solve(recorder: Recorder, G: Matrix, lambda: StoredDamping, into: Matrix): void {
    this.#bases.solve(recorder, [{ layer: 0, G, into }], () => lambda);
  }

  /** All of its memory, which is its owner's to free. */
  get buffers(): Readonly<Record<string, GPUBuffer>> {
    return this.#bases.buffers;
  }
}
