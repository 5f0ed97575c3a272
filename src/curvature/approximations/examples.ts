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
import type { Curved } from "../../model/index.js";
import type { PipelineManager, Recorder } from "../../pipeline/index.js";
import type { ExampleRows } from "../kernels/jacobian.js";

/** What approximations ask of a layer. */
export type ExampleSource = Pick<
  Curved,
  "in" | "out" | "positions" | "apply" | "pullback" | "curvatureRows" | "inputs"
>;

/** Where a layer's rows lie, and what sums over them are divided by. */
export type RecordedExamples = ExampleRows & { divisor: number };

/**
 * A layer's inputs a_t and derivatives b_{t,c}, example by example, of a recorded pass: all that every
 * approximation is made of. A dense layer's rows are read where they lie; those of a layer with positions are made here
 * and take (N · T) × in numbers.
 */
export class LayerExamples implements Disposable {
  readonly #manager: PipelineManager;
  #inputs: GPUBuffer | undefined;

  constructor(manager: PipelineManager) {
    this.#manager = manager;
  }

  /**
   * Records what it takes to read the rows, and says where they are.
   *
   * @throws UnsupportedLayerError when the layer's positions do not share one input (several groups), ArgumentError
   *   when the pass is over or was recorded without columns.
   */
  record(recorder: Recorder, layer: ExampleSource): RecordedExamples {
    const { positions } = layer;
    const inputs = layer.inputs();
    const { rows: b, columns, count, divisor } = layer.curvatureRows(recorder);
    const a =
      positions === 1 && "rows" in inputs
        ? inputs.rows
        : this.#recordInputs(recorder, layer, count * positions);
    return { a, b, columns, count, positions, divisor };
  }

  dispose(): void {
    if (this.#inputs) this.#manager.destroyBuffer(this.#inputs);
    this.#inputs = undefined;
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  /** Rows a_t by the layer's own product: V = E_j a picks out inputs, as many at a time as there are outputs. */
  #recordInputs(recorder: Recorder, layer: ExampleSource, rows: number): Matrix {
    const { in: inputs, out } = layer;
    const bytes = 4 * paddedLength(rows, inputs);
    if (!this.#inputs || this.#inputs.size < bytes) {
      this.dispose();
      this.#inputs = this.#manager.createStorage("example inputs", bytes / 4);
    }
    const all = paddedView(this.#inputs, 0, rows, inputs);
    for (let first = 0; first < inputs; first += out) {
      const cols = Math.min(out, inputs - first);
      scoped(recorder, (inner) => {
        const unit = paddedView(inner.scratch(paddedLength(out, inputs)), 0, out, inputs);
        const picked = paddedView(inner.scratch(paddedLength(rows, out)), 0, rows, out);
        inner.clear(unit.buffer);
        const diagonal = { buffer: unit.buffer, offset: first, row: 0, col: unit.stride + 1 };
        copyStrided(inner, [{ target: diagonal, rows: 1, cols }]);
        layer.apply(inner, unit, picked);
        copyStrided(inner, [
          {
            source: { buffer: picked.buffer, offset: 0, row: picked.stride, col: 1 },
            target: { buffer: all.buffer, offset: first, row: all.stride, col: 1 },
            rows,
            cols,
          },
        ]);
      });
    }
    return all;
  }
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
