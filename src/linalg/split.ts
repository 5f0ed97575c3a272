import { d } from "typegpu";
import type { Recorder } from "../pipeline/index.js";
import { blend } from "./blend.js";
import { gramPacked } from "./gram.js";
import { multiplyPacked } from "./matmul.js";
import { packedTarget } from "./pack.js";
import { tileShape, tilesOf } from "./tiles.js";
import { type Matrix, paddedLength, paddedView } from "./view.js";

const Scale = d.struct({ alpha: d.f32, beta: d.f32 });

/**
 * Workgroups that keep an adapter busy, and the elements of a part: on a CPU, one should stay in the cache while all
 * workgroups read it.
 */
const WANTED = {
  software: { groups: 16, elements: 1 << 17 },
  gpu: { groups: 512, elements: Number.POSITIVE_INFINITY },
} as const;
/** Terms that one thread adds up one after another: few enough to keep the rounding error of long sums small. */
const LONGEST = 8192;
/** Bounds of the partial results: their number, and their elements. */
const MOST_PARTS = 64;
const MOST_ELEMENTS = 1 << 22;

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
  #first = true;

  /**
   * @param into receives the sum, whatever it held before
   * @param longest rows of the longest chunk
   */
  constructor(recorder: Recorder, into: Matrix, longest: number) {
    const { capabilities } = recorder.manager.handle;
    const { rows, cols } = into;
    const wanted = WANTED[capabilities.software ? "software" : "gpu"];
    const parts = Math.max(
      Math.min(
        Math.ceil(wanted.groups / tilesOf(tileShape(capabilities), rows, cols)),
        Math.floor(longest / 64),
      ),
      Math.ceil((longest * cols) / wanted.elements),
      Math.ceil(longest / LONGEST),
    );
    const most = Math.min(MOST_PARTS, Math.ceil(MOST_ELEMENTS / paddedLength(rows, cols)));
    this.#parts = Math.min(Math.max(parts, 1), most);
    this.#recorder = recorder;
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
    multiplyPacked(
      this.#recorder,
      this.#split(A.rows).map(({ first, rows, C }) => ({
        A: rowsOf(A, first, rows),
        B: rowsOf(B, first, rows),
        C,
        transposed: false,
        alpha,
        beta,
      })),
    );
    this.#first = false;
  }

  /** Adds A'A: A is k × d and aligned. */
  gram(A: Matrix): void {
    const scale = this.#first ? 0 : 1;
    gramPacked(
      this.#recorder,
      this.#split(A.rows).map(({ first, rows, C }) => ({ A: rowsOf(A, first, rows), S: C, scale })),
      this.#scales(),
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

  /** A part may be empty; then its partial result becomes, or stays, what it is. */
  #split(total: number): { first: number; rows: number; C: Matrix }[] {
    const T = this.#partials;
    const each = Math.ceil(total / this.#parts);
    return Array.from({ length: this.#parts }, (_, part) => {
      const first = Math.min(part * each, total);
      return {
        first,
        rows: Math.min(each, total - first),
        C: { ...T, offset: T.offset + part * T.rows * T.stride },
      };
    });
  }
}

function rowsOf(view: Matrix, first: number, rows: number): Matrix {
  return { ...view, offset: view.offset + first * view.stride, rows };
}
