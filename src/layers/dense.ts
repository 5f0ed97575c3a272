import {
  copyStrided,
  type Matrix,
  multiplyPacked,
  type PackedProduct,
  packed,
  packedTarget,
  requireShape,
  type StridedCopy,
} from "../linalg/index.js";
import { copyInto } from "../linalg/layout/pack.js";
import type { ParameterPlace } from "../memory/parameters.js";
import type { RecordedPass } from "../memory/recorded-pass.js";
import type { Workspace } from "../memory/workspace.js";
import type { CurvatureRows, Curved, FactorRows } from "../model/index.js";
import type { Recorder } from "../pipeline/index.js";
import { initialWeights } from "../random/index.js";
import type { TrainableLayer, Values } from "./layer.js";
import type { DenseModule } from "./modules.js";

/** Who else writes the transposes that the products read: a neighbouring element-wise layer does it on its way. */
export interface DenseOptions {
  readonly name: string;
  /** X' is left by the layer before. */
  readonly inputTransposed: boolean;
  /** dZ' is left by the layer after. */
  readonly deltaTransposed: boolean;
}

/** Z = X W', one example a row: forward Z, back dX = dZ W, and G = dZ' X / count. */
export class DenseLayer implements TrainableLayer {
  readonly kind = "dense";
  readonly name: string;
  readonly in: number;
  readonly out: number;
  readonly bias: boolean;
  readonly input: Values;
  readonly output: Values;
  readonly #options: DenseOptions;
  readonly #parameters: ParameterPlace;

  constructor(workspace: Workspace, module: DenseModule, input: Values, options: DenseOptions) {
    this.name = options.name;
    this.in = module.in + (module.bias ? 1 : 0);
    this.out = module.out;
    this.bias = module.bias;
    this.input = input;
    this.output = {
      features: module.out,
      shape: undefined,
      place: workspace.values.place(module.out + 1),
      delta: workspace.deltas.place(module.out),
    };
    this.#options = options;
    this.#parameters = workspace.parameters.place(this.out, this.in);
  }

  get parameters(): number {
    return this.out * this.in;
  }

  get W(): Matrix {
    return this.#parameters.W;
  }

  get G(): Matrix {
    return this.#parameters.G;
  }

  weightCopies(): StridedCopy[] {
    return [copyInto(this.W, this.#parameters.transposed, true)];
  }

  forward(recorder: Recorder, count: number): void {
    const { place, features } = this.input;
    if (!this.#options.inputTransposed) {
      const target = place.transposed(count, features);
      copyStrided(recorder, [copyInto(place.rows(count, features), target, true)]);
    }
    multiplyPacked(recorder, [
      {
        A: place.transposed(count, this.in),
        B: this.#parameters.transposed,
        C: this.output.place.rows(count, this.out),
        transposed: false,
        alpha: 1,
        beta: 0,
      },
    ]);
  }

  backward(recorder: Recorder, _count: number, rows: number): void {
    const { features, delta: target } = this.input;
    if (!target) return;
    const delta = this.#delta;
    if (!this.#options.deltaTransposed) {
      copyStrided(recorder, [copyInto(delta.rows(rows), delta.transposed(rows), true)]);
    }
    multiplyPacked(recorder, [
      {
        A: delta.transposed(rows),
        B: { ...this.W, cols: features },
        C: target.rows(rows),
        transposed: false,
        alpha: 1,
        beta: 0,
      },
    ]);
  }

  gradient(_recorder: Recorder, count: number): PackedProduct[] {
    return [
      {
        A: this.#delta.rows(count),
        B: this.input.place.rows(count, this.in),
        C: this.G,
        transposed: false,
        alpha: 1 / count,
        beta: 0,
      },
    ];
  }

  initialWeights(seed: number, index: number): Float32Array {
    const { out, bias } = this;
    return Float32Array.from(initialWeights(out, this.input.features, { seed, layerIndex: index, bias }));
  }

  curvature(pass: RecordedPass): Curved {
    return new DenseCurvature(this, pass);
  }

  get #delta() {
    return this.output.delta!;
  }
}

/** One column a row, where the pass left them. */
class DenseCurvature implements Curved {
  readonly name: string;
  readonly in: number;
  readonly out: number;
  readonly positions = 1;
  readonly #layer: DenseLayer;
  readonly #pass: RecordedPass;

  constructor(layer: DenseLayer, pass: RecordedPass) {
    this.name = layer.name;
    this.in = layer.in;
    this.out = layer.out;
    this.#layer = layer;
    this.#pass = pass;
  }

  get count(): number {
    return this.#pass.count;
  }

  inputs(): FactorRows {
    return { rows: this.#inputs("inputs"), scale: 1 / this.count };
  }

  outputs(): FactorRows {
    const { rows, divisor } = this.#columns("outputs");
    return { rows, scale: 1 / divisor };
  }

  apply(recorder: Recorder, V: Matrix, into: Matrix): void {
    const { count } = this;
    this.#pass.requireCurrent(`${this.name}.apply`);
    requireShape(`${this.name}.apply`, "V", V, this.out, this.in);
    requireShape(`${this.name}.apply`, "into", into, count, this.out);
    const B = packed(recorder, V, true);
    const { target: C, unpack } = packedTarget(recorder, into, false);
    const A = this.#layer.input.place.transposed(count, this.in);
    multiplyPacked(recorder, [{ A, B, C, transposed: false, alpha: 1, beta: 0 }]);
    unpack();
  }

  pullback(recorder: Recorder, rows: Matrix, into: Matrix, alpha: number): void {
    const B = this.#inputs("pullback");
    requireShape(`${this.name}.pullback`, "rows", rows, this.count, this.out);
    requireShape(`${this.name}.pullback`, "into", into, this.out, this.in);
    const A = packed(recorder, rows, false);
    const { target: C, unpack } = packedTarget(recorder, into, false);
    multiplyPacked(recorder, [{ A, B, C, transposed: false, alpha, beta: 0 }]);
    unpack();
  }

  curvatureRows(): CurvatureRows {
    return this.#columns("curvatureRows");
  }

  #inputs(method: string): Matrix {
    this.#pass.requireCurrent(`${this.name}.${method}`);
    return this.#layer.input.place.rows(this.count, this.in);
  }

  #columns(method: string): CurvatureRows {
    const { count, first, columns, divisor } = this.#pass.columnBlocks(`${this.name}.${method}`);
    const rows = this.#layer.output.delta!.rows(columns * count, this.out, first * count);
    return { rows, columns, count, divisor };
  }
}
