import {
  copyStrided,
  type Matrix,
  multiplyPacked,
  packed,
  padded,
  paddedLength,
  paddedView,
} from "../linalg/index.js";
import type { ExampleRows } from "../linalg/jacobian.js";
import { scoped } from "../linalg/scoped.js";
import type { PipelineManager, Recorder } from "../pipeline/index.js";
import { divisorOf } from "./ggn.js";
import type { FisherOptions, LayerSource } from "./source.js";

/** What approximations ask of a layer. */
export type ExampleSource = Pick<
  LayerSource,
  "in" | "out" | "positions" | "apply" | "pullback" | "curvatureRows" | "inputs"
>;

/**
 * A layer's inputs a_t and derivatives b_{t,c}, example by example, of the last recorded pass: all that every
 * approximation is made of. A dense layer's rows are read where they lie; those of a layer with positions are made here
 * and take (N · T) × in numbers.
 */
export class LayerExamples implements Disposable {
  readonly #manager: PipelineManager;
  readonly #layer: ExampleSource;
  readonly #fisher: FisherOptions;
  #inputs: GPUBuffer | undefined;

  constructor(manager: PipelineManager, layer: ExampleSource, fisher: FisherOptions) {
    this.#manager = manager;
    this.#layer = layer;
    this.#fisher = fisher;
  }

  get rows(): number {
    return this.#layer.out;
  }

  get cols(): number {
    return this.#layer.in;
  }

  /**
   * Records what it takes to read the rows, and says where they are.
   *
   * @throws UnsupportedLayerError when the layer's positions do not share one input (several groups), ArgumentError
   *   unless the last pass was recorded with this kind of columns.
   */
  record(recorder: Recorder): ExampleRows & { divisor: number } {
    const { positions } = this.#layer;
    const inputs = this.#layer.inputs();
    const curvature = this.#layer.curvatureRows(this.#fisher);
    const { rows: b, columns, count } = curvature;
    const a =
      positions === 1 && "rows" in inputs ? inputs.rows : this.#recordInputs(recorder, count * positions);
    return { a, b, columns, count, positions, divisor: divisorOf(curvature, this.#fisher) };
  }

  dispose(): void {
    if (this.#inputs) this.#manager.destroyBuffer(this.#inputs);
    this.#inputs = undefined;
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  /** Rows a_t by the layer's own product: V = E_j a picks out inputs, as many at a time as there are outputs. */
  #recordInputs(recorder: Recorder, rows: number): Matrix {
    const { in: inputs, out } = this.#layer;
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
        this.#layer.apply(inner, unit, picked);
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
