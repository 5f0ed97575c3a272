import { ArgumentError, UnsupportedLayerError } from "../../errors.js";
import {
  copyStrided,
  type Matrix,
  multiplyPacked,
  packed,
  padded,
  paddedLength,
  paddedView,
} from "../../linalg/index.js";
import { scoped } from "../../linalg/layout/scoped.js";
import type { CurvatureStatistics, LayerSize } from "../../model/index.js";
import type { Recorder } from "../../pipeline/index.js";
import type { ExampleRows } from "../kernels/jacobian.js";

/** The sizes of a layer's W, out × in, and its name where it has one. */
export type LayerShape = Pick<LayerSize, "in" | "out"> & Partial<Pick<LayerSize, "name">>;

/** Where a layer's rows lie, and what sums over them are divided by. */
export type RecordedExamples = ExampleRows & { divisor: number };

/**
 * Records what it takes to read a layer's inputs a_t and derivatives b_{t,c} example by example, and says where they are: for
 * each group of W's rows in their order, of which most layers have one. Rows that the statistics hold are read where they
 * lie; inputs that exist only on the way (the patches of a convolution) are made here, in scratch of (N · T) × in numbers.
 *
 * @throws UnsupportedLayerError when the statistics hold no columns, or sums of inputs alone, ArgumentError when the pass is
 *   over or was recorded without columns.
 */
export function recordExamples(
  recorder: Recorder,
  layer: LayerShape,
  statistics: CurvatureStatistics,
): RecordedExamples[] {
  const { positions = 1, groups = 1 } = statistics;
  requireExamples(layer, statistics);
  const inputs = groups === 1 ? statistics.inputs() : undefined;
  const { rows: b, columns, count, divisor } = statistics.curvatureRows(recorder);
  const rest = { columns, count, positions, divisor };
  if (inputs && "rows" in inputs && inputs.rows.rows === count * positions) {
    return [{ a: inputs.rows, b, ...rest }];
  }
  const own = recordInputs(recorder, layer, statistics, count * positions);
  const each = layer.out / groups;
  return own.map((a, group) => {
    const part = { ...b, offset: b.offset + group * each, cols: each };
    return { a, b: groups === 1 ? b : packed(recorder, part, false), ...rest };
  });
}

/** @throws UnsupportedLayerError unless the statistics hold columns */
export function requireExamples(
  layer: LayerShape,
  statistics: CurvatureStatistics,
): asserts statistics is CurvatureStatistics & Required<Pick<CurvatureStatistics, "curvatureRows">> {
  if (!statistics.curvatureRows) throw lacking(layer, "statistics without columns");
}

/** As `recordExamples`, for what is made for one group alone. @throws UnsupportedLayerError with several groups, and as those */
export function recordOneGroup(
  recorder: Recorder,
  layer: LayerShape,
  statistics: CurvatureStatistics,
): RecordedExamples {
  const { groups = 1 } = statistics;
  // The layer's own words, where it has any.
  if (groups > 1) statistics.inputs();
  if (groups > 1) throw lacking(layer, `${groups} groups`);
  return recordExamples(recorder, layer, statistics)[0]!;
}

/**
 * Rows a_t of each group by the layer's own product: V = E_j picks out inputs, as many at a time as a group has outputs, of all
 * groups at once.
 */
function recordInputs(
  recorder: Recorder,
  layer: LayerShape,
  statistics: CurvatureStatistics,
  rows: number,
): Matrix[] {
  const { in: inputs, out } = layer;
  const { groups = 1 } = statistics;
  if (!statistics.apply) throw lacking(layer, "statistics whose inputs are sums alone");
  const length = paddedLength(rows, inputs);
  const buffer = recorder.scratch(groups * length);
  const stride = padded(inputs);
  const each = out / groups;
  if (!Number.isInteger(each)) {
    throw new ArgumentError("curvature", "groups", `must divide the ${out} rows of W, got ${groups}`);
  }
  for (let first = 0; first < inputs; first += each) {
    const cols = Math.min(each, inputs - first);
    scoped(recorder, (inner) => {
      const unit = paddedView(inner.scratch(paddedLength(out, inputs)), 0, out, inputs);
      const picked = paddedView(inner.scratch(paddedLength(rows, out)), 0, rows, out);
      inner.clear(unit.buffer);
      const diagonal = {
        buffer: unit.buffer,
        offset: first,
        batch: each * unit.stride,
        row: 0,
        col: unit.stride + 1,
      };
      copyStrided(inner, [{ target: diagonal, batch: groups, rows: 1, cols }]);
      statistics.apply!(inner, unit, picked);
      copyStrided(inner, [
        {
          source: { buffer: picked.buffer, offset: 0, batch: each, row: picked.stride, col: 1 },
          target: { buffer, offset: first, batch: length, row: stride, col: 1 },
          batch: groups,
          rows,
          cols,
        },
      ]);
    });
  }
  return Array.from({ length: groups }, (_, group) => paddedView(buffer, group * length, rows, inputs));
}

function lacking({ name = "layer" }: LayerShape, what: string): UnsupportedLayerError {
  return new UnsupportedLayerError(
    name,
    what,
    "this block looks at examples one by one; use a block that does not, or give their rows",
  );
}

/** Records rows Q of each row, rows × n with Q n × n: (Q' a)' for every row a'. */
export function rotateRows(recorder: Recorder, rows: Matrix, Q: Matrix, into: Matrix): void {
  const A = packed(recorder, rows, true);
  multiplyPacked(recorder, [{ A, B: Q, C: into, transposed: false, alpha: 1, beta: 0 }]);
}

/** Scratch for as many rows of `cols` numbers. */
export function scratchRows(recorder: Recorder, rows: number, cols: number): Matrix {
  return paddedView(recorder.scratch(rows * padded(cols)), 0, rows, cols);
}
