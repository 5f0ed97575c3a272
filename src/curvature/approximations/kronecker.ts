import { eigh } from "../../linalg/eigh.js";
import { invert, type Matrix, sandwich } from "../../linalg/index.js";
import type { PipelineManager, Recorder } from "../../pipeline/index.js";
import { pairTraces, splitDamping } from "../kernels/kronecker-pair.js";
import { outerSpectrum } from "../kernels/spectrum.js";
import { Approximation, type LayerShape } from "./approximation.js";
import type { RecordedExamples } from "./examples.js";
import { kfocFactors } from "./kfoc.js";
import { KroneckerBasis } from "./kronecker-basis.js";
import { expandFactors, type FactorPair, reduceFactors } from "./position-factors.js";

/** How the factors come about; see `expandFactors`, `reduceFactors`, `kfocFactors`. */
export type KroneckerKind = "expand" | "reduce" | "kfoc";

export interface KroneckerOptions {
  /**
   * `"exact"` (the default) adds λI to Ā ⊗ B̄; `"factored"` is (Ā + π√λ I) ⊗ (B̄ + √λ/π I) (Martens & Grosse 2015 §6.3).
   */
  damping?: "exact" | "factored";
  /** Power iterations of `"kfoc"`; 20 unless given. */
  iterations?: number;
}

/** Ā ⊗ B̄ from a layer's inputs and derivatives. */
export class KroneckerApproximation extends Approximation {
  readonly name: string;
  readonly #kind: KroneckerKind;
  readonly #iterations: number;
  readonly #factors: FactorPair;
  readonly #exact: KroneckerBasis | undefined;
  readonly #values: { A: GPUBuffer; B: GPUBuffer };
  readonly #inverses: FactorPair | undefined;
  readonly #traces: GPUBuffer;
  readonly #dampings: GPUBuffer;

  constructor(
    manager: PipelineManager,
    layer: LayerShape,
    kind: KroneckerKind,
    options: KroneckerOptions = {},
  ) {
    super(manager, layer);
    const { damping = "exact", iterations = 20 } = options;
    const { rows, cols } = this;
    this.name = kind;
    this.#kind = kind;
    this.#iterations = iterations;
    const pair = (label: string): FactorPair => ({
      A: this.matrix(`${label}: A`, cols, cols),
      B: this.matrix(`${label}: B`, rows, rows),
    });
    this.#factors = pair("factors");
    this.#exact = damping === "exact" ? new KroneckerBasis(manager, rows, cols) : undefined;
    this.#inverses = damping === "factored" ? pair("inverses") : undefined;
    this.#values = { A: this.storage("values of A", cols), B: this.storage("values of B", rows) };
    this.#traces = this.storage("traces", 4);
    this.#dampings = this.storage("dampings", 2);
  }

  /** Ā and B̄ of the last fit. */
  get factors(): Readonly<FactorPair> {
    return this.#factors;
  }

  apply(recorder: Recorder, V: Matrix, into: Matrix): void {
    sandwich(recorder, { P: this.#factors.B, G: V, Q: this.#factors.A, into });
  }

  override dispose(): void {
    super.dispose();
    this.#exact?.dispose();
  }

  protected refit(recorder: Recorder, rows: RecordedExamples): readonly Matrix[] {
    const { A, B } = this.#factors;
    if (this.#kind === "expand") expandFactors(recorder, rows, this.#factors);
    else if (this.#kind === "reduce") reduceFactors(recorder, rows, this.#factors);
    else kfocFactors(recorder, rows, this.#factors, this.#iterations);
    if (!this.#exact) return [A, B];
    const { left, right, spectrum } = this.#exact;
    eigh(
      recorder,
      [
        { S: A, vectors: right, values: { buffer: this.#values.A } },
        { S: B, vectors: left, values: { buffer: this.#values.B } },
      ],
      this.status,
    );
    this.#exact.settle(recorder);
    const vector = (buffer: GPUBuffer) => ({ buffer, stride: 1 });
    outerSpectrum(recorder, [{ left: vector(this.#values.B), right: vector(this.#values.A) }], spectrum);
    return [A, B, spectrum];
  }

  protected override redamp(recorder: Recorder): void {
    if (this.#exact) {
      if (this.lambda === 0) this.#exact.findPeak(recorder);
      return;
    }
    const { A, B } = this.#factors;
    const sizes = { A: A.rows, B: B.rows };
    pairTraces(recorder, this.#factors, this.#factors, this.#traces);
    splitDamping(recorder, { traces: this.#traces, sizes, lambda: this.lambda, dampings: this.#dampings });
    invert(
      recorder,
      [
        { S: A, into: this.#inverses!.A },
        { S: B, into: this.#inverses!.B },
      ],
      { dampings: this.#dampings, status: this.status },
    );
  }

  protected invert(recorder: Recorder, G: Matrix, into: Matrix): void {
    if (this.#exact) this.#exact.solve(recorder, G, this.lambda, into);
    else sandwich(recorder, { P: this.#inverses!.B, G, Q: this.#inverses!.A, into });
  }
}
