import { eigh } from "../../linalg/eigh.js";
import type { Matrix } from "../../linalg/index.js";
import { scoped } from "../../linalg/layout/scoped.js";
import type { PipelineManager, Recorder } from "../../pipeline/index.js";
import { type LayerShape, type RecordedExamples, rotateRows, scratchRows } from "../blocks/examples.js";
import { jacobianMoments } from "../kernels/jacobian.js";
import type { Damping } from "../kernels/kronecker-pair.js";
import type { StoredDamping } from "../kernels/spectrum.js";
import { LayerBasis } from "./layer-basis.js";
import { LayerFit } from "./layer-fit.js";
import { expandFactors, type FactorPair } from "./position-factors.js";

/**
 * EKFAC (George et al. 2018) of one batch: the eigenbases U_A and U_B of the factors of "expand", and in them the best
 * diagonal, D = (1/N) Σ_i Σ_c (U_B' J_ic U_A)∘², so that ‖H − EKFAC‖ ≤ ‖H − Ā ⊗ B̄‖. The rows are turned, not the Jacobians, so
 * it takes memory for one more copy of the rows. Damped by λI.
 */
export class EkfacFit extends LayerFit {
  readonly #factors: FactorPair;
  readonly #basis: LayerBasis;
  readonly #values: { A: GPUBuffer; B: GPUBuffer };

  constructor(manager: PipelineManager, layer: LayerShape) {
    super(manager, layer);
    const { rows, cols } = this;
    this.#factors = { A: this.matrix("ekfac: A", cols, cols), B: this.matrix("ekfac: B", rows, rows) };
    this.#basis = new LayerBasis(manager, layer);
    for (const [name, buffer] of Object.entries(this.#basis.buffers)) this.kept(name, buffer);
    this.#values = { A: this.storage("values of A", cols), B: this.storage("values of B", rows) };
  }

  apply(recorder: Recorder, V: Matrix, into: Matrix): void {
    this.#basis.apply(recorder, V, into);
  }

  fit(recorder: Recorder, [rows]: readonly RecordedExamples[]): readonly Matrix[] {
    const { A, B } = this.#factors;
    const { left, right, spectrum } = this.#basis;
    expandFactors(recorder, rows!, this.#factors);
    eigh(
      recorder,
      [
        { S: A, vectors: right, values: { buffer: this.#values.A } },
        { S: B, vectors: left, values: { buffer: this.#values.B } },
      ],
      this.status,
    );
    this.#basis.settle(recorder);
    scoped(recorder, (inner) => {
      const a = scratchRows(inner, rows!.a.rows, rows!.a.cols);
      const b = scratchRows(inner, rows!.b.rows, rows!.b.cols);
      rotateRows(inner, rows!.a, right, a);
      rotateRows(inner, rows!.b, left, b);
      jacobianMoments(inner, { ...rows!, a, b }, { scale: 1 / rows!.divisor, into: spectrum });
    });
    return [A, B, spectrum];
  }

  override damp(recorder: Recorder, lambda: Damping): void {
    if (lambda === 0) this.#basis.findPeak(recorder);
  }

  invert(recorder: Recorder, G: Matrix, into: Matrix, lambda: StoredDamping): void {
    this.#basis.solve(recorder, G, lambda, into);
  }
}
