import {
  copyStrided,
  inLockstep,
  type Matrix,
  multiplyPacked,
  type PackedProduct,
  type Steps,
  type StridedCopy,
} from "../../linalg/index.js";
import { copyInto } from "../../linalg/layout/pack.js";
import type { Directions } from "../../memory/directions.js";
import type { RecordedPass } from "../../memory/recorded-pass.js";
import type { Workspace } from "../../memory/workspace.js";
import type { Curved } from "../../model/index.js";
import type { Recorder } from "../../pipeline/index.js";
import { initialWeights } from "../../random/index.js";
import type { LayerModule, Neighbours, Site } from "../kind.js";
import type { TrainableLayer } from "../layer.js";
import type { LayerProduct } from "../layer-product.js";
import type { Values } from "../values.js";
import { Correlation, rowsOf } from "./correlation.js";
import { ConvCurvature, groupedKind } from "./curvature.js";
import { type ConvGeometry, positionsOf } from "./geometry.js";
import { recordFold } from "./patches.js";
import { ConvWeights } from "./weights.js";

/** What a layer with positions says of itself. */
interface ConvModule extends LayerModule {
  /** How K-FAC treats the positions; defaults to `"expand"`. */
  readonly positions?: "expand" | "reduce";
}

/**
 * z_t = W a_t at every position t, with a_t the patch there: forward Z = P W', back dP = dZ W folded into the image, and G =
 * dZ' P / count. Patches exist only for a chunk of positions at a time.
 */
export class Conv2dLayer implements TrainableLayer {
  readonly kind: string;
  readonly name: string;
  readonly in: number;
  readonly out: number;
  readonly positions: number;
  /** How K-FAC treats the positions. */
  readonly treatment: "expand" | "reduce";
  readonly inputs: readonly Values[];
  readonly input: Values;
  readonly output: Values;
  readonly products: Correlation;
  readonly weights: ConvWeights;
  readonly #geometry: ConvGeometry;
  readonly #workspace: Workspace;
  readonly #neighbours: Neighbours;

  constructor(module: ConvModule, site: Site, geometry: ConvGeometry) {
    const { positions, features, groups, bias, output } = geometry;
    const { workspace } = site;
    this.kind = module.kind;
    this.name = site.name;
    this.in = features / groups + (bias ? 1 : 0);
    this.out = output.channels;
    this.positions = positions;
    this.inputs = site.inputs;
    this.input = site.inputs[0]!;
    this.output = site.output();
    this.treatment = module.positions ?? "expand";
    this.#geometry = geometry;
    this.#workspace = workspace;
    this.#neighbours = site.neighbours;
    this.products = new Correlation(workspace, geometry, this.input);
    this.weights = new ConvWeights(workspace, geometry, site.weights(this.out, this.in));
  }

  get parameters(): number {
    return this.out * this.in;
  }

  get withoutKronecker(): string | undefined {
    return groupedKind(this.#geometry.groups);
  }

  get W(): Matrix {
    return this.weights.W;
  }

  get G(): Matrix {
    return this.weights.G;
  }

  weightCopies(): StridedCopy[] {
    return this.weights.copies();
  }

  forward(recorder: Recorder, count: number): void {
    const into = this.output.place.rows(count * this.positions);
    const { activationAfter: activation } = this.#neighbours;
    this.products.correlate(recorder, count, this.weights.transposed, into, { activation });
  }

  backward(recorder: Recorder, _count: number, examples: number): void {
    const { delta: target, shape } = this.input;
    if (!target || !shape) return;
    const { features } = this.#geometry;
    const delta = this.output.delta!.rows(examples * this.positions);
    const into = target.rows(examples * positionsOf(shape));
    for (const chunk of this.products.chunks(examples)) {
      const B = this.#workspace.columns(this.out, chunk.rows);
      const C = this.#workspace.patches(features, chunk.rows);
      copyStrided(recorder, [copyInto(rowsOf(delta, chunk), B, true)]);
      multiplyPacked(recorder, [{ A: this.weights.kernel, B, C, transposed: false, alpha: 1, beta: 0 }]);
      recordFold(recorder, this.#geometry, chunk, C, into);
    }
  }

  alongWeights(recorder: Recorder, count: number, directions: Directions): LayerProduct[] {
    const { products, weights, positions } = this;
    // Where the input moves, `tangent` has the last word.
    const activation = this.input.tangent ? undefined : this.#neighbours.activationAfter;
    const last = { activation, values: activation && this.output.rows(count) };
    const block = count * positions;
    const into = (k: number) => this.output.tangent!.rows(block, this.out, k * block);
    const all = weights.transposesOf(directions);
    if (all) {
      products.correlateAll(
        recorder,
        count,
        all.map((V, k) => ({ weights: V, into: into(k), ...last })),
      );
    } else {
      // With several groups, the whole kernel has room for one direction at a time.
      for (const [k, V] of weights.directionsOf(directions).entries()) {
        products.correlate(recorder, count, weights.direction(recorder, V), into(k), last);
      }
    }
    return [];
  }

  tangent(recorder: Recorder, count: number, rows: number): void {
    const [source, into] = [this.input.tangents(rows), this.output.tangents(rows)];
    const { activationAfter: activation } = this.#neighbours;
    this.products.correlateTangents(recorder, rows, source, this.weights.transposed, into, {
      activation,
      values: activation && this.output.rows(count),
    });
  }

  gradient(recorder: Recorder, count: number, into: Matrix): PackedProduct[] {
    inLockstep(recorder, [this.gradientSteps(recorder, count, into)]);
    return [];
  }

  gradientSteps(recorder: Recorder, count: number, into: Matrix): Steps {
    const delta = this.output.delta!.rows(count * this.positions);
    return this.products.correlateBack(recorder, count, delta, this.weights.sum(recorder, into), 1 / count);
  }

  initialWeights(seed: number, index: number): Float32Array {
    const { features, groups, bias } = this.#geometry;
    return Float32Array.from(initialWeights(this.out, features / groups, { seed, layerIndex: index, bias }));
  }

  curvature(pass: RecordedPass): Curved {
    return new ConvCurvature(this, this.#geometry, pass);
  }
}
