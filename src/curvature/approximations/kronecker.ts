import { eigh } from "../../linalg/eigh.js";
import { invert, type Matrix, sandwich } from "../../linalg/index.js";
import type { PipelineManager, Recorder } from "../../pipeline/index.js";
import type { LayerShape, RecordedExamples } from "../blocks/examples.js";
import { type Damping, pairTraces, splitDamping } from "../kernels/kronecker-pair.js";
import { outerSpectra, type StoredDamping } from "../kernels/spectrum.js";
import { kfocFactors } from "./kfoc.js";
import { LayerBasis } from "./layer-basis.js";
import { LayerFit } from "./layer-fit.js";
import { expandFactors, type FactorPair, reduceFactors } from "./position-factors.js";

/** How the factors come about; see `expandFactors`, `reduceFactors`, `kfocFactors`. */
export type KroneckerKind = "expand" | "reduce" | "kfoc";

/** How a fit to one Kronecker product is made and damped. */
export interface KroneckerOptions {
  /**
   * `"exact"` (the default) adds λI to Ā ⊗ B̄; `"factored"` is (Ā + π√λ I) ⊗ (B̄ + √λ/π I) (Martens & Grosse 2015 §6.3).
   */
  damping?: "exact" | "factored";
  /** Power iterations of `"kfoc"`; defaults to 20. */
  iterations?: number;
}

/** Ā ⊗ B̄ from a layer's inputs and derivatives in one batch. */
export class KroneckerFit extends LayerFit {
  readonly #kind: KroneckerKind;
  readonly #iterations: number;
  readonly #factors: FactorPair;
  readonly #exact: LayerBasis | undefined;
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
    this.#kind = kind;
    this.#iterations = iterations;
    const pair = (label: string): FactorPair => ({
      A: this.matrix(`${label}: A`, cols, cols),
      B: this.matrix(`${label}: B`, rows, rows),
    });
    this.#factors = pair("factors");
    this.#exact = damping === "exact" ? new LayerBasis(manager, layer) : undefined;
    for (const [name, buffer] of Object.entries(this.#exact?.buffers ?? {})) this.kept(name, buffer);
    this.#inverses = damping === "factored" ? pair("inverses") : undefined;
    this.#values = { A: this.storage("values of A", cols), B: this.storage("values of B", rows) };
    this.#traces = this.storage("traces", 4);
    this.#dampings = this.storage("dampings", 2);
  }

  apply(recorder: Recorder, V: Matrix, into: Matrix): void {
    sandwich(recorder, { P: this.#factors.B, G: V, Q: this.#factors.A, into });
  }

  fit(recorder: Recorder, [rows]: readonly RecordedExamples[]): readonly Matrix[] {
    const { A, B } = this.#factors;
    if (this.#kind === "expand") expandFactors(recorder, rows!, this.#factors);
    else if (this.#kind === "reduce") reduceFactors(recorder, rows!, this.#factors);
    else kfocFactors(recorder, rows!, this.#factors, this.#iterations);
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
    const pairs = [{ left: vector(this.#values.B), right: vector(this.#values.A) }];
    outerSpectra(recorder, [{ pairs, D: spectrum }]);
    return [A, B, spectrum];
  }

  override damp(recorder: Recorder, lambda: Damping): void {
    if (this.#exact) {
      if (lambda === 0) this.#exact.findPeak(recorder);
      return;
    }
    const { A, B } = this.#factors;
    const sizes = { A: A.rows, B: B.rows };
    pairTraces(recorder, this.#factors, this.#factors, this.#traces);
    splitDamping(recorder, { traces: this.#traces, sizes, lambda, dampings: this.#dampings });
    invert(
      recorder,
      [
        { S: A, into: this.#inverses!.A },
        { S: B, into: this.#inverses!.B },
      ],
      { dampings: this.#dampings, status: this.status },
    );
  }

  invert(recorder: Recorder, G: Matrix, into: Matrix, lambda: StoredDamping): void {
    if (this.#exact) this.#exact.solve(recorder, G, lambda, into);
    else sandwich(recorder, { P: this.#inverses!.B, G, Q: this.#inverses!.A, into });
  }
}
