import { copy, type Matrix } from "../../linalg/index.js";
import type { PipelineManager, Recorder } from "../../pipeline/index.js";
import { jacobianMoments } from "../kernels/jacobian.js";
import { divideSpectrum, multiplySpectrum, spectrumPeak } from "../kernels/spectrum.js";
import { Approximation, type LayerShape } from "./approximation.js";
import { type RecordedExamples, scratchRows } from "./examples.js";

/** The diagonal of H: D = (1/N) Σ_i Σ_c J_ic ∘ J_ic. Damped by λI. */
export class DiagonalApproximation extends Approximation {
  readonly name = "diagonal";
  readonly #diagonal: Matrix;
  readonly #peak: GPUBuffer;

  constructor(manager: PipelineManager, layer: LayerShape) {
    super(manager, layer);
    this.#diagonal = this.matrix("diagonal", this.rows, this.cols);
    this.#peak = this.storage("diagonal: peak", 1);
  }

  apply(recorder: Recorder, V: Matrix, into: Matrix): void {
    this.#elementwise(recorder, V, into, (X, Y) => {
      multiplySpectrum(recorder, { X, D: this.#diagonal, into: Y });
    });
  }

  protected refit(recorder: Recorder, rows: RecordedExamples): readonly Matrix[] {
    jacobianMoments(recorder, rows, { scale: 1 / rows.divisor, into: this.#diagonal });
    return [this.#diagonal];
  }

  protected override redamp(recorder: Recorder): void {
    if (this.lambda === 0) spectrumPeak(recorder, this.#diagonal, this.#peak);
  }

  protected invert(recorder: Recorder, G: Matrix, into: Matrix): void {
    this.#elementwise(recorder, G, into, (X, Y) => {
      const { lambda } = this;
      divideSpectrum(recorder, { X, D: this.#diagonal, lambda, peak: this.#peak, into: Y });
    });
  }

  /** Through matrices of the diagonal's own layout where the caller's are others. */
  #elementwise(recorder: Recorder, V: Matrix, into: Matrix, change: (X: Matrix, Y: Matrix) => void): void {
    const { stride } = this.#diagonal;
    const fits = (view: Matrix) => view.offset === 0 && view.stride === stride;
    const X = fits(V) ? V : scratchRows(recorder, this.rows, this.cols);
    const Y = fits(into) ? into : scratchRows(recorder, this.rows, this.cols);
    if (X !== V) copy(recorder, { source: V, target: X });
    change(X, Y);
    if (Y !== into) copy(recorder, { source: Y, target: into });
  }
}
