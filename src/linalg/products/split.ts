import { d } from "typegpu";
import type { Recorder } from "../../pipeline/index.js";
import { blend } from "../blend.js";
import { packedTarget } from "../layout/pack.js";
import { type Matrix, paddedLength, paddedView } from "../layout/view.js";
import { gramPacked } from "./gram.js";
import { multiplyPacked } from "./matmul.js";
import { partials, partsOf, rowsInParts } from "./parts.js";
import type { Precision } from "./precision.js";

const Scale = d.struct({ alpha: d.f32, beta: d.f32 });

/**
 * A product or Gram matrix whose summed index is long and comes in several chunks, while its result is small: each chunk is
 * split into parts that are summed side by side, each into a partial result of its own, and `finish` adds those. The order
 * is fixed, so the same inputs give the same bits.
 */
export class SplitSum {
  readonly #recorder: Recorder;
  readonly #target: Matrix;
  readonly #unpack: () => void;
  readonly #parts: number;
  readonly #partials: Matrix;
  readonly #precision: Precision;
  #first = true;

  /**
   * @param into receives the sum, whatever it held before
   * @param longest rows of the longest chunk
   * @param precision that Gram matrices round their operands to
   */
  constructor(recorder: Recorder, into: Matrix, longest: number, precision: Precision = "f32") {
    const { capabilities } = recorder.manager.handle;
    const { rows, cols } = into;
    this.#parts = partsOf(capabilities, [{ m: rows, n: cols, k: longest }])[0]!;
    this.#recorder = recorder;
    this.#precision = precision;
    const { target, unpack } = packedTarget(recorder, into, false);
    this.#target = target;
    this.#unpack = unpack;
    this.#partials =
      this.#parts === 1
        ? target
        : paddedView(recorder.scratch(this.#parts * paddedLength(rows, cols)), 0, rows, cols);
  }

  /** Adds α A'B: A is k × m, B is k × n, both aligned. */
  product(A: Matrix, B: Matrix, alpha: number): void {
    const beta = this.#first ? 0 : 1;
    const [rowsOfA, rowsOfB] = [A, B].map((view) => rowsInParts(view, this.#parts));
    multiplyPacked(
      this.#recorder,
      partials(this.#partials, this.#parts).map((C, part) => {
        return { A: rowsOfA![part]!, B: rowsOfB![part]!, C, transposed: false, alpha, beta };
      }),
    );
    this.#first = false;
  }

  /** Adds A'A: A is k × d and aligned. */
  gram(A: Matrix): void {
    const scale = this.#first ? 0 : 1;
    const rows = rowsInParts(A, this.#parts);
    gramPacked(
      this.#recorder,
      partials(this.#partials, this.#parts).map((S, part) => ({ A: rows[part]!, S, scale })),
      this.#scales(),
      this.#precision,
    );
    this.#first = false;
  }

  /** Adds up the partial results. */
  finish(): void {
    if (this.#parts > 1) {
      const T = this.#partials;
      blend(
        this.#recorder,
        [{ T, parts: this.#parts, partLength: T.rows * T.stride, S: this.#target, scale: 0 }],
        this.#scales(),
      );
    }
    this.#unpack();
  }

  /** (α, β) of a first product, and of those that add to it. */
  #scales(): GPUBuffer {
    return this.#recorder.manager.table(Scale, [
      { alpha: 1, beta: 0 },
      { alpha: 1, beta: 1 },
    ]);
  }
}
