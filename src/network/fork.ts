import type { Layer } from "../layers/layer.js";
import { exampleRows, type Values } from "../layers/values.js";
import { axpy } from "../linalg/index.js";
import type { Recorder } from "../pipeline/index.js";

/**
 * Where a value is read by several layers. All read its place; the first writes its derivative where the value's is, each other
 * one into a place of its own, and these are added up here in the order of the readers.
 */
export class Fork implements Layer {
  readonly kind = "fork";
  readonly name: string;
  readonly parameters = 0;
  readonly inputs: readonly Values[];
  readonly output: Values;
  readonly #others: readonly Values[];

  constructor(name: string, value: Values, others: readonly Values[]) {
    this.name = name;
    this.inputs = [value];
    this.output = value;
    this.#others = others;
  }

  forward(): void {}

  /** All read the value's own. */
  tangent(): void {}

  backward(recorder: Recorder, _count: number, rows: number): void {
    const { positions } = this.output;
    const Y = exampleRows(this.output.deltas(rows), positions);
    for (const other of this.#others) {
      axpy(recorder, [{ alpha: 1, X: exampleRows(other.deltas(rows), positions), Y }]);
    }
  }
}
