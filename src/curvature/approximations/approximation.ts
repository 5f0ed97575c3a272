import { ArgumentError, ShapeError } from "../../errors.js";
import type { LinearOperator } from "../../linalg/cg.js";
import {
  checkFinite,
  guard,
  type Matrix,
  paddedLength,
  paddedView,
  requireShape,
} from "../../linalg/index.js";
import type { LayerSize } from "../../model/index.js";
import type { PipelineManager, Recorder } from "../../pipeline/index.js";
import type { CurvatureOperator } from "../exact/operator.js";
import { type ExampleSource, LayerExamples, type RecordedExamples, scratchRows } from "./examples.js";

/** The sizes of a layer's W, out × in. */
export type LayerShape = Pick<LayerSize, "in" | "out">;

/** Words of an approximation's status: two matrices' of `eigh` or `invert`, one of what is not finite. */
export const APPROXIMATION_STATUS = 3;
/** The word that keeps a solution back. */
const GATE = 2;

/**
 * An approximation H̃ of a layer's exact block, from the same inputs and derivatives: as an operator, as a step, and as a
 * preconditioner. All on the GPU and recorded; on the scale of H, whatever N and T.
 */
export abstract class Approximation implements CurvatureOperator, Disposable {
  abstract readonly name: string;
  readonly rows: number;
  readonly cols: number;
  /**
   * `APPROXIMATION_STATUS` words, u32, of the last `fit` and `damp`; all 0 when all is well. Bit 2: numbers that were not
   * finite; `solve` then gives zero where they were in the layer's data. Bits 1 and 4 as `InvertStatus`, 8 as `EighStatus`.
   */
  readonly status: GPUBuffer;
  protected readonly manager: PipelineManager;
  protected readonly examples: LayerExamples;
  /** λ of the last `damp`. */
  protected lambda = 0;
  readonly #buffers: GPUBuffer[] = [];

  constructor(manager: PipelineManager, layer: LayerShape) {
    this.manager = manager;
    this.examples = new LayerExamples(manager);
    this.rows = layer.out;
    this.cols = layer.in;
    this.status = this.storage("approximation: status", APPROXIMATION_STATUS);
  }

  /**
   * Records H̃ from a recorded pass; `damp` must follow before `solve`.
   *
   * @throws as `LayerExamples.record`; then nothing has been recorded.
   */
  fit(recorder: Recorder, layer: ExampleSource): void {
    if (layer.out !== this.rows || layer.in !== this.cols) {
      throw new ShapeError(`${this.name}.fit`, "the layer", [layer.out, layer.in], [this.rows, this.cols]);
    }
    const rows = this.examples.record(recorder, layer);
    recorder.clear(this.status);
    checkFinite(recorder, this.status, [
      { x: rows.a, flag: GATE, bit: 2 },
      { x: rows.b, flag: GATE, bit: 2 },
    ]);
    const made = this.refit(recorder, rows);
    checkFinite(
      recorder,
      this.status,
      made.map((x) => ({ x, flag: GATE, bit: 2 })),
    );
  }

  /** Records what solving with λ takes. @throws ArgumentError unless λ is finite and not negative */
  damp(recorder: Recorder, lambda: number): void {
    if (!(lambda >= 0 && Number.isFinite(lambda))) {
      throw new ArgumentError(
        this.name,
        "damping",
        `must be a finite number that is not negative, got ${lambda}`,
      );
    }
    this.lambda = lambda;
    this.redamp(recorder);
  }

  /** Records into ← H̃ V, both out × in. */
  abstract apply(recorder: Recorder, V: Matrix, into: Matrix): void;

  /**
   * Records into ← (H̃ + λI)⁻¹ G, both out × in, in different buffers; each kind says where its damping is other than λI.
   * Zero where the layer's data were not finite.
   */
  solve(recorder: Recorder, G: Matrix, into: Matrix): void {
    requireShape(`${this.name}.solve`, "G", G, this.rows, this.cols);
    requireShape(`${this.name}.solve`, "into", into, this.rows, this.cols);
    const free = scratchRows(recorder, this.rows, this.cols);
    this.invert(recorder, G, free);
    guard(recorder, this.status, [{ source: free, target: into, flag: GATE }]);
  }

  /** `solve` as `conjugateGradients` takes it. */
  get preconditioner(): Pick<LinearOperator, "apply"> {
    return { apply: (recorder, R, into) => this.solve(recorder, R, into) };
  }

  /** All status words or-ed together. */
  async readStatus(): Promise<number> {
    const recorder = this.manager.record();
    const reading = recorder.read(this.status, 0, 4 * APPROXIMATION_STATUS);
    recorder.submit();
    return new Uint32Array(await reading).reduce((all, word) => all | word, 0);
  }

  dispose(): void {
    this.examples.dispose();
    for (const buffer of this.#buffers) this.manager.destroyBuffer(buffer);
    this.#buffers.length = 0;
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  /** Records the fit, and says which matrices must be finite for `solve` to be. */
  protected abstract refit(recorder: Recorder, rows: RecordedExamples): readonly Matrix[];

  protected redamp(_recorder: Recorder): void {}

  /** Records into ← (H̃ + λI)⁻¹ G into scratch of the same shape. */
  protected abstract invert(recorder: Recorder, G: Matrix, into: Matrix): void;

  /** Memory that `dispose` frees. */
  protected storage(label: string, length: number): GPUBuffer {
    const buffer = this.manager.createStorage(label, length);
    this.#buffers.push(buffer);
    return buffer;
  }

  protected matrix(label: string, rows: number, cols: number): Matrix {
    return paddedView(this.storage(label, paddedLength(rows, cols)), 0, rows, cols);
  }
}
