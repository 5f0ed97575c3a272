import type { Matrix } from "../../linalg/index.js";
import type { CurvatureStatistics } from "../../model/index.js";
import type { PipelineManager, Recorder } from "../../pipeline/index.js";
import { recordDiagonal } from "../blocks/diagonal.js";
import { type LayerShape, type RecordedExamples, recordExamples } from "../blocks/examples.js";
import { Spectra } from "../blocks/spectra.js";
import type { Damping } from "../kernels/kronecker-pair.js";
import type { StoredDamping } from "../kernels/spectrum.js";
import { LayerFit } from "./layer-fit.js";

/** The diagonal of H: D = (1/N) Σ_i Σ_c J_ic ∘ J_ic. Damped by λI. */
export class DiagonalFit extends LayerFit {
  readonly #spectra: Spectra;

  constructor(manager: PipelineManager, layer: LayerShape) {
    super(manager, layer);
    this.#spectra = new Spectra(manager, "diagonal", [layer]);
    for (const [name, buffer] of Object.entries(this.#spectra.buffers)) this.kept(name, buffer);
  }

  override examples(recorder: Recorder, statistics: CurvatureStatistics): RecordedExamples[] {
    return recordExamples(recorder, this.layer, statistics);
  }

  fit(recorder: Recorder, groups: readonly RecordedExamples[]): readonly Matrix[] {
    const D = this.#spectra.matrices[0]!;
    recordDiagonal(recorder, groups, D);
    return [D];
  }

  override damp(recorder: Recorder, lambda: Damping): void {
    if (lambda === 0) this.#spectra.findPeaks(recorder);
  }

  apply(recorder: Recorder, V: Matrix, into: Matrix): void {
    this.#spectra.multiply(recorder, [{ layer: 0, X: V, into }]);
  }

  invert(recorder: Recorder, G: Matrix, into: Matrix, lambda: StoredDamping): void {
    this.#spectra.divide(recorder, [{ layer: 0, X: G, into }], () => lambda);
  }
}
