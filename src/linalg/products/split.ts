import { d } from "typegpu";
import type { Recorder } from "../../pipeline/index.js";
import { type Blend, blend } from "../blend.js";
import { packedTarget } from "../layout/pack.js";
import { type Matrix, paddedLength, paddedView } from "../layout/view.js";
import { asked, inLockstep, type Steps } from "../lockstep.js";
import { gramPacked } from "./gram.js";
import { multiplyPacked } from "./matmul.js";
import { partials, partsOf, rowsInParts } from "./parts.js";
import type { Precision } from "./precision.js";

const Scale = d.struct({ alpha: d.f32, beta: d.f32 });

/** The first chunk of a sum, and those that are added to it. */
const [FIRST, LATER] = [0, 1];

/** What chunks are added to. */
export interface SplitSum {
  /** Adds α A'B: A is k × m, B is k × n, both aligned. */
  product(A: Matrix, B: Matrix, alpha: number): void;
  /** Adds A'A, of A rounded to `precision`: A is k × d and aligned. */
  gram(A: Matrix, precision?: Precision): void;
}

/**
 * A product or Gram matrix whose summed index is long and comes in several chunks, while its result is small: each chunk is
 * split into parts that are summed side by side, each into a partial result of its own, which are added up in the end. The order
 * is fixed, so the same inputs give the same bits.
 *
 * @param into receives the sum, whatever it held before
 * @param longest rows of the longest chunk
 * @param add records the chunks, at least one
 */
export function* splitSum(
  recorder: Recorder,
  into: Matrix,
  longest: number,
  add: (sum: SplitSum) => void,
): Steps {
  const { rows, cols } = into;
  const parts = partsOf(recorder.manager.handle.capabilities, [{ m: rows, n: cols, k: longest }])[0]!;
  const { target, unpack } = packedTarget(recorder, into, false);
  if (parts === 1) add(new PartialSums(recorder, target, 1));
  else {
    const { buffer, offset } = yield parts * paddedLength(rows, cols);
    const T = paddedView(buffer, offset, rows, cols);
    add(new PartialSums(recorder, T, parts));
    yield asked(addUp, [{ T, parts, partLength: T.rows * T.stride, S: target, scale: FIRST }]);
  }
  unpack();
}

/** Records one such sum. */
export function recordSplitSum(...operands: Parameters<typeof splitSum>): void {
  inLockstep(operands[0], [splitSum(...operands)]);
}

class PartialSums implements SplitSum {
  readonly #recorder: Recorder;
  readonly #first: Matrix;
  readonly #parts: number;
  #scale = FIRST;

  /** The partial results lie one behind the other from the first on. */
  constructor(recorder: Recorder, first: Matrix, parts: number) {
    this.#recorder = recorder;
    this.#first = first;
    this.#parts = parts;
  }

  product(A: Matrix, B: Matrix, alpha: number): void {
    const beta = this.#scale === FIRST ? 0 : 1;
    const [rowsOfA, rowsOfB] = [A, B].map((view) => rowsInParts(view, this.#parts));
    multiplyPacked(
      this.#recorder,
      partials(this.#first, this.#parts).map((C, part) => {
        return { A: rowsOfA![part]!, B: rowsOfB![part]!, C, transposed: false, alpha, beta };
      }),
    );
    this.#scale = LATER;
  }

  gram(A: Matrix, precision: Precision = "f32"): void {
    const scale = this.#scale;
    const rows = rowsInParts(A, this.#parts);
    gramPacked(
      this.#recorder,
      partials(this.#first, this.#parts).map((S, part) => ({ A: rows[part]!, S, scale })),
      scales(this.#recorder),
      precision,
    );
    this.#scale = LATER;
  }
}

/** Records S ← Σ T. */
function addUp(recorder: Recorder, sums: readonly Blend[]): void {
  blend(recorder, sums, scales(recorder));
}

/** (α, β) of what comes first, and of what is added to it. */
function scales(recorder: Recorder): GPUBuffer {
  return recorder.manager.table(Scale, [
    { alpha: 1, beta: 0 },
    { alpha: 1, beta: 1 },
  ]);
}
