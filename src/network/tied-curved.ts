import {
  axpy,
  copyStrided,
  type Matrix,
  type Precision,
  paddedLength,
  paddedView,
  requireShape,
  type StridedCopy,
} from "../linalg/index.js";
import { recordSplitSum } from "../linalg/products/split.js";
import type { RecordedPass } from "../memory/recorded-pass.js";
import type { CurvatureRows, Curved, FactorGram, FactorStatistics } from "../model/index.js";
import type { Recorder } from "../pipeline/index.js";

/**
 * The curvature of a layer that is applied at several places with the same weights, made of that of each place: the positions
 * of all places side by side, those of the first place first. H sums the derivatives over the places before it squares them.
 *
 * Factors are sums over the places: Ā the mean over examples and all positions, B̄ the mean over examples of the sum over
 * positions. Where the layer reduces positions, each place is reduced for itself and counts as one.
 */
export class TiedCurved implements Curved {
  readonly name: string;
  readonly in: number;
  readonly out: number;
  readonly count: number;
  readonly positions: number;
  readonly groups: number | undefined;
  readonly #uses: readonly Curved[];
  readonly #pass: RecordedPass;

  /** @param uses those of `pass`, at least one */
  constructor(uses: readonly Curved[], pass: RecordedPass) {
    const first = uses[0]!;
    this.name = first.name;
    this.in = first.in;
    this.out = first.out;
    this.count = first.count;
    this.positions = uses.reduce((sum, { positions }) => sum + positions, 0);
    this.groups = first.groups;
    this.#uses = uses;
    this.#pass = pass;
  }

  inputs(): FactorGram {
    const all = this.#uses.map((use) => use.inputs());
    // A place's scale is one over the rows that it counts, so the scale of all is one over the sum of theirs.
    const rows = all.reduce((sum, { scale }) => sum + 1 / scale, 0);
    return { gram: (recorder, into, precision) => sumGrams(recorder, all, into, precision), scale: 1 / rows };
  }

  outputs(): FactorGram {
    const all = this.#uses.map((use) => use.outputs());
    return {
      gram: (recorder, into, precision) => sumGrams(recorder, all, into, precision),
      scale: all[0]!.scale,
    };
  }

  /** As `Curved.apply`. @throws ShapeError for another shape, ArgumentError once the pass is over */
  apply(recorder: Recorder, V: Matrix, into: Matrix): void {
    const operation = `${this.name}.apply`;
    this.#pass.requireCurrent(operation);
    requireShape(operation, "V", V, this.out, this.in);
    requireShape(operation, "into", into, this.count * this.positions, this.out);
    for (const { use, first } of this.#places()) {
      const rows = scratch(recorder, this.count * use.positions, this.out);
      use.apply(recorder, V, rows);
      copyStrided(recorder, [this.#copy(rows, into, use, first, "spread")]);
    }
  }

  /** As `Curved.pullback`. @throws ShapeError for another shape, ArgumentError once the pass is over */
  pullback(recorder: Recorder, rows: Matrix, into: Matrix, alpha: number): void {
    const operation = `${this.name}.pullback`;
    this.#pass.requireCurrent(operation);
    requireShape(operation, "rows", rows, this.count * this.positions, this.out);
    requireShape(operation, "into", into, this.out, this.in);
    for (const { use, first } of this.#places()) {
      const own = scratch(recorder, this.count * use.positions, this.out);
      copyStrided(recorder, [this.#copy(own, rows, use, first, "gather")]);
      if (first === 0) {
        use.pullback(recorder, own, into, alpha);
        continue;
      }
      const part = scratch(recorder, this.out, this.in);
      use.pullback(recorder, own, part, alpha);
      axpy(recorder, [{ alpha: 1, X: part, Y: into }]);
    }
  }

  curvatureRows(recorder: Recorder): CurvatureRows {
    const all = this.#uses.map((use) => use.curvatureRows(recorder));
    const { columns, count, divisor } = all[0]!;
    const rows = scratch(recorder, columns * count * this.positions, this.out);
    for (const [index, { use, first }] of this.#places().entries()) {
      copyStrided(recorder, [this.#copy(all[index]!.rows, rows, use, first, "spread")]);
    }
    return { rows, columns, count, divisor };
  }

  #places(): { use: Curved; first: number }[] {
    let first = 0;
    return this.#uses.map((use) => {
      const place = { use, first };
      first += use.positions;
      return place;
    });
  }

  /** Between the rows of one place and those of all: for each example (and column), its positions follow those before. */
  #copy(own: Matrix, all: Matrix, use: Curved, first: number, direction: "spread" | "gather"): StridedCopy {
    const part = {
      buffer: own.buffer,
      offset: own.offset,
      batch: use.positions * own.stride,
      row: own.stride,
      col: 1,
    };
    const whole = {
      buffer: all.buffer,
      offset: all.offset + first * all.stride,
      batch: this.positions * all.stride,
      row: all.stride,
      col: 1,
    };
    const [source, target] = direction === "spread" ? [part, whole] : [whole, part];
    return {
      source,
      target,
      batch: own.rows / use.positions,
      rows: use.positions,
      cols: this.out,
    };
  }
}

function scratch(recorder: Recorder, rows: number, cols: number): Matrix {
  return paddedView(recorder.scratch(paddedLength(rows, cols)), 0, rows, cols);
}

/** Records into ← Σ aa' over the rows of all places. */
function sumGrams(
  recorder: Recorder,
  places: readonly FactorStatistics[],
  into: Matrix,
  precision?: Precision,
): void {
  for (const [index, statistics] of places.entries()) {
    const part = index === 0 ? into : scratch(recorder, into.rows, into.cols);
    if ("gram" in statistics) statistics.gram(recorder, part, precision);
    else {
      const { rows } = statistics;
      recordSplitSum(recorder, part, rows.rows, (sum) => sum.gram(rows, precision));
    }
    if (index > 0) axpy(recorder, [{ alpha: 1, X: part, Y: into }]);
  }
}
