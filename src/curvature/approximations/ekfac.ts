import { eigh } from "../../linalg/eigh.js";
import type { Matrix } from "../../linalg/index.js";
import { scoped } from "../../linalg/layout/scoped.js";
import type { PipelineManager, Recorder } from "../../pipeline/index.js";
import { jacobianMoments } from "../kernels/jacobian.js";
import { Approximation, type LayerShape } from "./approximation.js";
import { type RecordedExamples, rotateRows, scratchRows } from "./examples.js";
import { KroneckerBasis } from "./kronecker-basis.js";
import { expandFactors, type FactorPair, reduceFactors } from "./position-factors.js";

/**
 * EKFAC (George et al. 2018): the eigenbases U_A and U_B of a pair of factors, and in them the best diagonal,
 * D = (1/N) Σ_i Σ_c (U_B' J_ic U_A)∘², so that ‖H − EKFAC‖ ≤ ‖H − Ā ⊗ B̄‖. The rows are turned, not the Jacobians, so it
 * takes memory for one more copy of the rows. Damped by λI.
 */
export class EkfacApproximation extends Approximation {
  readonly name = "ekfac";
  readonly #factorsOf: typeof expandFactors;
  readonly #factors: FactorPair;
  readonly #basis: KroneckerBasis;
  readonly #values: { A: GPUBuffer; B: GPUBuffer };

  /** `factors` says whose eigenbases; those of `"expand"` unless given. */
  constructor(manager: PipelineManager, layer: LayerShape, factors: "expand" | "reduce" = "expand") {
    super(manager, layer);
    const { rows, cols } = this;
    this.#factorsOf = factors === "expand" ? expandFactors : reduceFactors;
    this.#factors = { A: this.matrix("ekfac: A", cols, cols), B: this.matrix("ekfac: B", rows, rows) };
    this.#basis = new KroneckerBasis(manager, rows, cols);
    this.#values = { A: this.storage("values of A", cols), B: this.storage("values of B", rows) };
  }

  apply(recorder: Recorder, V: Matrix, into: Matrix): void {
    this.#basis.apply(recorder, V, into);
  }

  override dispose(): void {
    super.dispose();
    this.#basis.dispose();
  }

  protected refit(recorder: Recorder, rows: RecordedExamples): readonly Matrix[] {
    const { A, B } = this.#factors;
    const { left, right, spectrum } = this.#basis;
    this.#factorsOf(recorder, rows, this.#factors);
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
      const a = scratchRows(inner, rows.a.rows, rows.a.cols);
      const b = scratchRows(inner, rows.b.rows, rows.b.cols);
      rotateRows(inner, rows.a, right, a);
      rotateRows(inner, rows.b, left, b);
      jacobianMoments(inner, { ...rows, a, b }, { scale: 1 / rows.divisor, into: spectrum });
    });
    return [A, B, spectrum];
  }

  protected override redamp(recorder: Recorder): void {
    if (this.lambda === 0) this.#basis.findPeak(recorder);
  }

  protected invert(recorder: Recorder, G: Matrix, into: Matrix): void {
    this.#basis.solve(recorder, G, this.lambda, into);
  }
}
