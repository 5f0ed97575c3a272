import { axpy, type Matrix, sandwich } from "../../linalg/index.js";
import { scoped } from "../../linalg/layout/scoped.js";
import type { PipelineManager, Recorder } from "../../pipeline/index.js";
import { type LayerShape, type RecordedExamples, scratchRows } from "../blocks/examples.js";
import { type Damping, jointBasis, pairTraces } from "../kernels/kronecker-pair.js";
import { outerSpectra } from "../kernels/spectrum.js";
import { LayerBasis } from "./layer-basis.js";
import { LayerFit } from "./layer-fit.js";
import { type FactorPair, fluctuationFactors, reduceFactors } from "./position-factors.js";

/**
 * "Mean + fluctuation", A₁ ⊗ B₁ + A₂ ⊗ B₂: with a_t = ā + ã_t and b_t = b̄ + b̃_t, a Jacobian is Σ_t b_t a_t' =
 * T b̄ā' + Σ_t b̃_t ã_t' exactly. The first product is "reduce", the second a centred "expand"; what lies between the two
 * is dropped. Solved exactly through one joint basis for each side (Martens & Grosse 2015, appendix B), with the damping in
 * the second product, (A₂ + π√λ I) ⊗ (B₂ + √λ/π I): λI where A₂ or B₂ vanishes, and cross terms elsewhere.
 */
export class MeanFluctuationFit extends LayerFit {
  readonly #mean: FactorPair;
  readonly #fluctuation: FactorPair;
  readonly #basis: LayerBasis;
  readonly #traces: GPUBuffer;
  /** What the joint bases make of the four factors; their diagonals count. */
  readonly #first: FactorPair;
  readonly #second: FactorPair;

  constructor(manager: PipelineManager, layer: LayerShape) {
    super(manager, layer);
    const { rows, cols } = this;
    const pair = (label: string): FactorPair => ({
      A: this.matrix(`${label}: A`, cols, cols),
      B: this.matrix(`${label}: B`, rows, rows),
    });
    this.#mean = pair("mean");
    this.#fluctuation = pair("fluctuation");
    this.#first = pair("joint mean");
    this.#second = pair("joint fluctuation");
    this.#basis = new LayerBasis(manager, layer);
    for (const [name, buffer] of Object.entries(this.#basis.buffers)) this.kept(name, buffer);
    this.#traces = this.storage("traces", 4);
  }

  apply(recorder: Recorder, V: Matrix, into: Matrix): void {
    const sum = scratchRows(recorder, this.rows, this.cols);
    sandwich(recorder, { P: this.#mean.B, G: V, Q: this.#mean.A, into });
    sandwich(recorder, { P: this.#fluctuation.B, G: V, Q: this.#fluctuation.A, into: sum });
    axpy(recorder, [{ alpha: 1, X: sum, Y: into }]);
  }

  fit(recorder: Recorder, [rows]: readonly RecordedExamples[]): readonly Matrix[] {
    reduceFactors(recorder, rows!, this.#mean);
    fluctuationFactors(recorder, rows!, this.#fluctuation);
    return [...Object.values(this.#mean), ...Object.values(this.#fluctuation)];
  }

  override damp(recorder: Recorder, lambda: Damping): void {
    const { status } = this;
    pairTraces(recorder, this.#mean, this.#fluctuation, this.#traces);
    const sizes = { A: this.cols, B: this.rows };
    for (const side of ["A", "B"] as const) {
      const operands = { side, sizes, traces: this.#traces, lambda, status };
      const basis = side === "A" ? this.#basis.right : this.#basis.left;
      const [X, Y] = [this.#mean[side], this.#fluctuation[side]];
      scoped(recorder, (inner) => {
        jointBasis(
          inner,
          { X, Y, ...operands },
          { basis, first: this.#first[side], second: this.#second[side] },
        );
      });
    }
    this.#basis.settle(recorder);
    const diagonal = ({ buffer, stride }: Matrix) => ({ buffer, stride: stride + 1 });
    const pairOf = ({ A, B }: FactorPair) => ({ left: diagonal(B), right: diagonal(A) });
    const pairs = [pairOf(this.#first), pairOf(this.#second)];
    outerSpectra(recorder, [{ pairs, D: this.#basis.spectrum }]);
    if (lambda === 0) this.#basis.findPeak(recorder);
    else this.#basis.forgetPeak(recorder);
  }

  invert(recorder: Recorder, G: Matrix, into: Matrix): void {
    // The damping is in the spectrum already; directions that it does not reach are zero in the basis.
    this.#basis.solve(recorder, G, 0, into);
  }
}
