import { FLAG, optionsOf, type Rules, TEXT } from "../arguments.js";
import { ShapeError } from "../errors.js";
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
import type { Directions } from "../memory/directions.js";
import type { ParameterPlace } from "../memory/parameters.js";
import type { RecordedPass } from "../memory/recorded-pass.js";
import type { RowPlace } from "../memory/storage.js";
import type { CurvatureRows, Curved, FactorRows } from "../model/index.js";
import type { Recorder } from "../pipeline/index.js";
import { initialWeights } from "../random/index.js";
import { denseOp } from "../reference/ops.js";
import { Conv2dLayer } from "./conv/conv.js";
import { pointwiseGeometry } from "./conv/geometry.js";
import { refuseForm } from "./form.js";
import type { LayerKind, LayerModule, Neighbours, Site } from "./kind.js";
import type { TrainableLayer } from "./layer.js";
import { beginAligned, type LayerProduct, layerProducts } from "./layer-product.js";
import { POSITIONS, requireSize } from "./sizes.js";
import type { Values } from "./values.js";

/** z = W a, with W out × in, or out × (in + 1) where a bias is appended as the last column. */
export interface DenseModule extends LayerModule {
  readonly kind: "dense";
  readonly in: number;
  readonly out: number;
  readonly bias: boolean;
  readonly positions: "expand" | "reduce";
}

/** Options of `dense`. */
export interface DenseOptions {
  /** Defaults to true. */
  bias?: boolean;
  /** Defaults to `dense1`, `dense2` … */
  name?: string;
  /** How K-FAC treats the positions of a sequence; as of `conv2d`, defaults to `"expand"`. Vectors have one. */
  positions?: "expand" | "reduce";
}

const OPTIONS: Rules<DenseOptions> = { bias: FLAG, name: TEXT, positions: POSITIONS };

/**
 * A fully connected layer from `inputs` to `outputs` numbers; of a sequence, the same at each position.
 *
 * @throws ArgumentError when a size is not a positive integer, and for a bad option.
 */
export function dense(inputs: number, outputs: number, options: DenseOptions = {}): DenseModule {
  requireSize("dense", "in", inputs);
  requireSize("dense", "out", outputs);
  const { bias = true, name, positions = "expand" } = optionsOf("dense", OPTIONS, options);
  return { kind: "dense", in: inputs, out: outputs, bias, name, positions };
}

export const denseKind: LayerKind<DenseModule> = {
  kind: "dense",
  treatment: "K-FAC (exact, Monte-Carlo or empirical Fisher)",
  repeats: true,
  trainable: true,
  traits: {
    sharesBuffer: true,
    sparesOutput: true,
    appliesActivation: true,
    appliesDerivative: "vectors",
    leavesTransposes: true,
    readsTransposes: true,
  },
  takes: ({ in: features }) => ({ kind: "vector", features }),
  shape(module, [input], name) {
    requireSize("network", `${name}.in`, module.in);
    requireSize("network", `${name}.out`, module.out);
    const form = input!;
    if (form.kind !== "vector" && form.kind !== "sequence") {
      return refuseForm(name, form, [module.in], "put flatten() or globalAveragePool() before it");
    }
    if (form.features !== module.in) {
      throw new ShapeError(
        "network",
        `the weights of ${name}`,
        [module.out, module.in],
        [module.out, form.features],
        `the layer before has ${form.features} outputs`,
      );
    }
    return { ...form, features: module.out };
  },
  build(module, site) {
    if (site.form.kind === "vector") return new DenseLayer(module, site);
    // A convolution with a kernel of one, along a line.
    const geometry = pointwiseGeometry(site.inputs[0]!.shape!, module.out, module.bias);
    return new Conv2dLayer(module, site, geometry);
  },
  twin: ({ bias }, [input]) => denseOp({ bias, positions: input!.kind === "sequence" }),
};

/** Z = X W', one example a row: forward Z, back dX = dZ W, and G = dZ' X / count. */
class DenseLayer implements TrainableLayer {
  readonly kind = "dense";
  readonly name: string;
  readonly in: number;
  readonly out: number;
  readonly bias: boolean;
  readonly inputs: readonly Values[];
  readonly input: Values;
  readonly output: Values;
  readonly #neighbours: Neighbours;
  readonly #parameters: ParameterPlace;

  constructor(module: DenseModule, site: Site) {
    this.name = site.name;
    this.in = module.in + (module.bias ? 1 : 0);
    this.out = module.out;
    this.bias = module.bias;
    this.inputs = site.inputs;
    this.input = site.inputs[0]!;
    this.output = site.output();
    this.#neighbours = site.neighbours;
    this.#parameters = site.weights(this.out, this.in);
    this.input.place.storage.keepTransposes();
    this.#delta.storage.keepTransposes();
    this.input.tangent?.storage.keepTransposes();
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

  inputCopies(count: number): StridedCopy[] {
    const { loaded, inputTransposed } = this.#neighbours;
    return loaded && !inputTransposed ? [this.#inputCopy(count)] : [];
  }

  forward(recorder: Recorder, count: number): void {
    const { place } = this.input;
    const { loaded, inputTransposed, transposesOutput, activationAfter } = this.#neighbours;
    if (!loaded && !inputTransposed) copyStrided(recorder, [this.#inputCopy(count)]);
    layerProducts(recorder, [
      {
        weights: this.#parameters.transposed,
        inputs: place.transposed(count, this.in),
        rows: this.output.rows(count),
        turned: transposesOutput ? this.output.place.transposed(count, this.out) : undefined,
        activation: activationAfter,
      },
    ]);
  }

  backward(recorder: Recorder, count: number, rows: number): void {
    const { features, delta: target } = this.input;
    const { activationBefore, transposesDelta } = this.#neighbours;
    if (!target) return;
    const delta = this.#delta;
    if (!this.#neighbours.deltaTransposed) {
      copyStrided(recorder, [copyInto(delta.rows(rows), delta.transposed(rows), true)]);
    }
    layerProducts(recorder, [
      {
        weights: { ...this.W, cols: features },
        inputs: delta.transposed(rows),
        rows: target.rows(rows),
        turned: transposesDelta ? target.transposed(rows) : undefined,
        activation: activationBefore,
        values: activationBefore && this.input.rows(count),
      },
    ]);
  }

  alongWeights(_recorder: Recorder, count: number, directions: Directions): LayerProduct[] {
    const { input, output } = this;
    const inputs = input.place.transposed(count, this.in);
    const products = directions.transposed(this.#parameters).map((weights, k): LayerProduct => {
      return { weights, inputs, rows: output.tangent!.rows(count, this.out, k * count) };
    });
    if (input.tangent) return products;
    const activation = this.#neighbours.activationAfter;
    const values = activation && output.rows(count);
    const rows = products.length * count;
    const turned = beginAligned(count, rows) ? this.#turnedTangents(rows) : undefined;
    return products.map((product, k) => {
      const own = turned && { ...turned, offset: turned.offset + k * count, cols: count };
      return { ...product, activation, values, turned: own };
    });
  }

  tangent(recorder: Recorder, count: number, rows: number): void {
    const { features, tangent } = this.input;
    const { tangentTransposed, activationAfter } = this.#neighbours;
    const inputs = tangent!.transposed(rows, features);
    const left = tangentTransposed === "aligned" ? beginAligned(count, rows) : tangentTransposed;
    if (!left) {
      copyStrided(recorder, [copyInto(this.input.tangents(rows), inputs, true)]);
    }
    layerProducts(recorder, [
      {
        // The bias's 1 does not move.
        weights: { ...this.#parameters.transposed, rows: features },
        inputs,
        rows: this.output.tangents(rows),
        adds: true,
        turned: this.#turnedTangents(rows),
        activation: activationAfter,
        values: activationAfter && this.output.rows(count),
      },
    ]);
  }

  gradient(_recorder: Recorder, count: number, into: Matrix): PackedProduct[] {
    return [
      {
        A: this.#delta.rows(count),
        B: this.input.place.rows(count, this.in),
        C: into,
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

  #inputCopy(count: number): StridedCopy {
    const { place, features } = this.input;
    return copyInto(place.rows(count, features), place.transposed(count, features), true);
  }

  /** Where the transposes of the output's tangents go, where a product reads those next. */
  #turnedTangents(rows: number): Matrix | undefined {
    const { tangent } = this.output;
    const asked = this.#neighbours.transposesOutput && tangent!.storage.keepsTransposes;
    return asked ? tangent!.transposed(rows) : undefined;
  }

  get #delta(): RowPlace {
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
