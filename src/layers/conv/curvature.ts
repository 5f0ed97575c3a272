import { UnsupportedLayerError } from "../../errors.js";
import { inLockstep, type Matrix, packed, packedTarget, requireShape } from "../../linalg/index.js";
import { splitSum } from "../../linalg/products/split.js";
import type { RecordedPass } from "../../memory/recorded-pass.js";
import {
  type CurvatureRows,
  type Curved,
  type FactorGram,
  gramInSteps,
  type LayerSize,
} from "../../model/index.js";
import type { Recorder } from "../../pipeline/index.js";
import type { Values } from "../values.js";
import type { Correlation } from "./correlation.js";
import type { ConvGeometry } from "./geometry.js";
import type { ConvWeights } from "./weights.js";

/** What a convolution lends to its curvature. */
export interface ConvParts extends LayerSize {
  readonly positions: number;
  /** How K-FAC treats the positions. */
  readonly treatment: "expand" | "reduce";
  readonly output: Values;
  readonly products: Correlation;
  readonly weights: ConvWeights;
}

/** What a convolution of several groups is, for people; its block of the Hessian is a Kronecker product for each group. */
export function groupedKind(groups: number): string | undefined {
  return groups === 1 ? undefined : `conv2d with ${groups} groups`;
}

/** A convolution's curvature: Gram matrices chunk by chunk, over positions (expand) or over their means and sums (reduce). */
export class ConvCurvature implements Curved {
  readonly name: string;
  readonly in: number;
  readonly out: number;
  readonly positions: number;
  readonly #layer: ConvParts;
  readonly #geometry: ConvGeometry;
  readonly #pass: RecordedPass;

  constructor(layer: ConvParts, geometry: ConvGeometry, pass: RecordedPass) {
    this.name = layer.name;
    this.in = layer.in;
    this.out = layer.out;
    this.positions = layer.positions;
    this.#layer = layer;
    this.#geometry = geometry;
    this.#pass = pass;
  }

  get groups(): number {
    return this.#geometry.groups;
  }

  get count(): number {
    return this.#pass.count;
  }

  /** @throws UnsupportedLayerError with several groups, ArgumentError when the pass is over. */
  inputs(): FactorGram {
    this.#requireOneGroup();
    this.#requireCurrent("inputs");
    const { count } = this;
    const { products, treatment } = this.#layer;
    if (treatment === "reduce") {
      return gramInSteps(
        (recorder, into, precision) => products.gramOfMeans(recorder, count, into, precision),
        1 / count,
      );
    }
    const scale = 1 / (count * this.positions);
    return gramInSteps(
      (recorder, into, precision) => products.gramOfPatches(recorder, count, into, precision),
      scale,
    );
  }

  /** @throws as `inputs`, and ArgumentError when the pass was recorded without columns. */
  outputs(): FactorGram {
    this.#requireOneGroup();
    const { rows, divisor } = this.#columns("outputs");
    const { products, treatment } = this.#layer;
    return gramInSteps((recorder, into, precision) => {
      const stacked = treatment === "reduce" ? products.positionSums(recorder, rows) : rows;
      return splitSum(recorder, into, stacked.rows, (sum) => sum.gram(stacked, precision));
    }, 1 / divisor);
  }

  /** As `Curved.apply`. @throws ShapeError for another shape, ArgumentError once the pass is over */
  apply(recorder: Recorder, V: Matrix, into: Matrix): void {
    const operation = `${this.name}.apply`;
    const { count } = this;
    this.#requireCurrent("apply");
    requireShape(operation, "V", V, this.out, this.in);
    requireShape(operation, "into", into, count * this.positions, this.out);
    const direction = this.#layer.weights.direction(recorder, V);
    const { target, unpack } = packedTarget(recorder, into, false);
    this.#layer.products.correlate(recorder, count, direction, target);
    unpack();
  }

  /** As `Curved.pullback`. @throws ShapeError for another shape, ArgumentError once the pass is over */
  pullback(recorder: Recorder, rows: Matrix, into: Matrix, alpha: number): void {
    const operation = `${this.name}.pullback`;
    const { count } = this;
    this.#requireCurrent("pullback");
    requireShape(operation, "rows", rows, count * this.positions, this.out);
    requireShape(operation, "into", into, this.out, this.in);
    const { products, weights } = this.#layer;
    const own = packed(recorder, rows, false);
    inLockstep(recorder, [products.correlateBack(recorder, count, own, weights.sum(recorder, into), alpha)]);
  }

  curvatureRows(): CurvatureRows {
    return this.#columns("curvatureRows");
  }

  #requireCurrent(method: string): void {
    this.#pass.requireCurrent(`${this.name}.${method}`);
  }

  #columns(method: string): CurvatureRows {
    const { count, first, columns, divisor } = this.#pass.columnBlocks(`${this.name}.${method}`);
    const block = count * this.positions;
    const rows = this.#layer.output.delta!.rows(columns * block, this.out, first * block);
    return { rows, columns, count, divisor };
  }

  #requireOneGroup(): void {
    const kind = groupedKind(this.groups);
    if (kind === undefined) return;
    throw new UnsupportedLayerError(
      this.name,
      kind,
      'its block of the Hessian is one Kronecker product for each group; use groups: 1, or fallback: "diagonal" or "gradient"',
    );
  }
}
