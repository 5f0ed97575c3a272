import {
  copy,
  type Matrix,
  multiplyPacked,
  packed,
  packedTarget,
  paddedLength,
  paddedView,
} from "../../linalg/index.js";
import type { PipelineManager, Recorder } from "../../pipeline/index.js";
import { divideSpectrum, multiplySpectrum, spectrumPeak } from "../kernels/spectrum.js";
import { scratchRows } from "./examples.js";

/**
 * V ↦ L (D ∘ (L' V R)) R' with L out × out, R in × in and a spectrum D ≥ 0, out × in: every map that is diagonal in a
 * Kronecker basis, and its damped inverse where L and R are orthogonal.
 */
export class KroneckerBasis implements Disposable {
  readonly left: Matrix;
  readonly right: Matrix;
  readonly spectrum: Matrix;
  readonly #manager: PipelineManager;
  readonly #leftTransposed: Matrix;
  readonly #rightTransposed: Matrix;
  readonly #peak: GPUBuffer;

  constructor(manager: PipelineManager, rows: number, cols: number) {
    const make = (label: string, m: number, n: number) =>
      paddedView(manager.createStorage(label, paddedLength(m, n)), 0, m, n);
    this.#manager = manager;
    this.left = make("basis: left", rows, rows);
    this.right = make("basis: right", cols, cols);
    this.#leftTransposed = make("basis: left'", rows, rows);
    this.#rightTransposed = make("basis: right'", cols, cols);
    this.spectrum = make("basis: spectrum", rows, cols);
    this.#peak = manager.createStorage("basis: peak", 1);
  }

  /** Records what follows a change of `left` and `right`. */
  settle(recorder: Recorder): void {
    copy(recorder, { source: this.left, target: this.#leftTransposed, transpose: true });
    copy(recorder, { source: this.right, target: this.#rightTransposed, transpose: true });
  }

  /** Records what leaves out directions that are zero up to rounding, where nothing damps them. */
  findPeak(recorder: Recorder): void {
    spectrumPeak(recorder, this.spectrum, this.#peak);
  }

  /** Records that none is left out unless it is zero. */
  forgetPeak(recorder: Recorder): void {
    recorder.clear(this.#peak);
  }

  /** Records into ← L (D ∘ (L' V R)) R'. */
  apply(recorder: Recorder, V: Matrix, into: Matrix): void {
    this.#through(recorder, V, into, (X, Y) => {
      multiplySpectrum(recorder, { X, D: this.spectrum, into: Y });
    });
  }

  /**
   * Records into ← L ((L' G R) ⊘ (D + λ)) R'. Without λ, what is zero up to rounding is left out; `findPeak` comes before.
   */
  solve(recorder: Recorder, G: Matrix, lambda: number, into: Matrix): void {
    this.#through(recorder, G, into, (X, Y) => {
      divideSpectrum(recorder, { X, D: this.spectrum, lambda, peak: this.#peak, into: Y });
    });
  }

  dispose(): void {
    const views = [this.left, this.right, this.#leftTransposed, this.#rightTransposed, this.spectrum];
    for (const { buffer } of views) this.#manager.destroyBuffer(buffer);
    this.#manager.destroyBuffer(this.#peak);
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  #through(recorder: Recorder, V: Matrix, into: Matrix, change: (X: Matrix, Y: Matrix) => void): void {
    const { rows, cols } = this.spectrum;
    const half = scratchRows(recorder, cols, rows);
    const [inside, changed] = [scratchRows(recorder, rows, cols), scratchRows(recorder, rows, cols)];
    const back = scratchRows(recorder, cols, rows);
    const multiply = (A: Matrix, B: Matrix, C: Matrix) =>
      multiplyPacked(recorder, [{ A, B, C, transposed: false, alpha: 1, beta: 0 }]);
    multiply(packed(recorder, V, false), this.left, half);
    multiply(half, this.right, inside);
    change(inside, changed);
    multiply(changed, this.#leftTransposed, back);
    const { target, unpack } = packedTarget(recorder, into, false);
    multiply(back, this.#rightTransposed, target);
    unpack();
  }
}
