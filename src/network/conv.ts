import type { CurvatureRows, FactorGram, FisherOptions } from "../curvature/source.js";
import { UnsupportedLayerError } from "../errors.js";
import {
  copyStrided,
  type Matrix,
  multiplyPacked,
  type PackedProduct,
  packed,
  packedTarget,
  padded,
  paddedLength,
  paddedView,
  requireShape,
  type StridedCopy,
} from "../linalg/index.js";
import { copyInto } from "../linalg/pack.js";
import { SplitSum } from "../linalg/split.js";
import type { Recorder } from "../pipeline/index.js";
import { initialWeights } from "../reference/network.js";
import { ConvWeights } from "./conv-weights.js";
import { type Chunk, type ConvGeometry, chunkRows, chunksOf, positionsOf, sizeOf } from "./geometry.js";
import { recordedColumns, recordedCount, type TrainableLayer, type Values } from "./layer.js";
import type { Conv2dModule } from "./modules.js";
import { patchKernels, recordFold, recordPatches } from "./patches.js";
import { averageKernels, recordAverage } from "./pool.js";
import { ShiftGram, shiftGramKernel } from "./shift-gram.js";
import type { Workspace } from "./workspace.js";

/** Chunks of a batch that small patches may be split into: each costs some dispatches. */
const CHUNKS = 16;

/**
 * z_t = W a_t at every position t, with a_t the patch there: forward Z = P W', back dP = dZ W folded into the image, and G =
 * dZ' P / count. Patches exist only for a chunk of positions at a time.
 */
export class Conv2dLayer implements TrainableLayer {
  readonly kind = "conv2d";
  readonly kernels = [...patchKernels, ...averageKernels, shiftGramKernel];
  readonly name: string;
  readonly in: number;
  readonly out: number;
  readonly positions: number;
  readonly input: Values;
  readonly output: Values;
  readonly #treatment: Conv2dModule["positions"];
  readonly #geometry: ConvGeometry;
  readonly #workspace: Workspace;
  readonly #weights: ConvWeights;
  /** Columns of a patch of all channels, the bias's 1 counted. */
  readonly #columns: number;
  /** Most positions of a chunk. */
  readonly #rows: number;
  /** The Gram matrix of patches without the patches, where there is such a form. */
  readonly #shifts: ShiftGram | undefined;

  constructor(
    workspace: Workspace,
    module: Conv2dModule,
    input: Values,
    { name, geometry }: { name: string; geometry: ConvGeometry },
  ) {
    const { positions, features, groups, bias, output } = geometry;
    this.name = name;
    this.in = features / groups + (bias ? 1 : 0);
    this.out = module.out;
    this.positions = positions;
    this.input = input;
    this.output = {
      features: sizeOf(output),
      shape: output,
      place: workspace.images(positions).place(module.out),
      delta: workspace.imageDeltas(positions).place(module.out),
    };
    this.#treatment = module.positions;
    this.#geometry = geometry;
    this.#workspace = workspace;
    this.#columns = features + (bias ? 1 : 0);
    const { most, best } = workspace.chunkLength;
    const width = padded(Math.max(this.#columns, this.out)) + 4;
    const few = Math.ceil((workspace.batchSize * positions) / CHUNKS);
    const budget = Math.floor(Math.min(most / width, Math.max(best / width, few)));
    // Twice the batch: the gradient and one curvature column go back together.
    this.#rows = chunkRows(geometry, budget, 2 * workspace.batchSize);
    workspace.reservePatches(this.#rows, this.#columns, this.out);
    this.#weights = new ConvWeights(workspace, geometry, this.in);
    this.#shifts = ShiftGram.fits(geometry) ? new ShiftGram(geometry) : undefined;
  }

  get parameters(): number {
    return this.out * this.in;
  }

  get W(): Matrix {
    return this.#weights.W;
  }

  get G(): Matrix {
    return this.#weights.G;
  }

  weightCopies(): StridedCopy[] {
    return this.#weights.copies();
  }

  forward(recorder: Recorder, count: number): void {
    this.#correlate(
      recorder,
      count,
      this.#weights.transposed,
      this.output.place.rows(count * this.positions),
    );
  }

  backward(recorder: Recorder, _count: number, examples: number): void {
    const { delta: target, shape } = this.input;
    if (!target || !shape) return;
    const { features } = this.#geometry;
    const delta = this.#delta.rows(examples * this.positions);
    const into = target.rows(examples * positionsOf(shape));
    for (const chunk of chunksOf(this.#geometry, this.#rows, examples)) {
      const B = this.#workspace.columns(this.out, chunk.rows);
      const C = this.#workspace.patches(features, chunk.rows);
      copyStrided(recorder, [copyInto(rowsOf(delta, chunk), B, true)]);
      multiplyPacked(recorder, [{ A: this.#weights.kernel, B, C, transposed: false, alpha: 1, beta: 0 }]);
      recordFold(recorder, this.#geometry, chunk, C, into);
    }
  }

  gradient(recorder: Recorder, count: number): PackedProduct[] {
    this.#correlateBack(recorder, count, this.#delta.rows(count * this.positions), this.G, 1 / count);
    return [];
  }

  initialWeights(seed: number, index: number): Float32Array {
    const { features, groups, bias } = this.#geometry;
    return Float32Array.from(
      initialWeights(this.out, features / groups, { seed, layerIndex: index, bias }).data,
    );
  }

  /** @throws UnsupportedLayerError with several groups, ArgumentError before the first recorded pass. */
  inputs(): FactorGram {
    this.#requireOneGroup();
    const count = recordedCount(`${this.name}.inputs`, this.#workspace.pass);
    if (this.#treatment === "reduce") {
      return { gram: (recorder, into) => this.#gramOfMeans(recorder, count, into), scale: 1 / count };
    }
    return {
      gram: (recorder, into) => this.#gramOfPatches(recorder, count, into),
      scale: 1 / (count * this.positions),
    };
  }

  /** @throws as `inputs`, and ArgumentError unless the last pass was recorded with the same kind and samples. */
  outputs(fisher: FisherOptions): FactorGram {
    this.#requireOneGroup();
    const { first, columns, count, divisor } = this.#recorded("outputs", fisher);
    const { positions, out } = this;
    const rows = this.#delta.rows(columns * count * positions, out, first * count * positions);
    const gram = (recorder: Recorder, into: Matrix) => {
      const stacked = this.#treatment === "reduce" ? this.#positionSums(recorder, rows) : rows;
      const sum = new SplitSum(recorder, into, stacked.rows);
      sum.gram(stacked);
      sum.finish();
    };
    return { gram, scale: 1 / divisor };
  }

  apply(recorder: Recorder, V: Matrix, into: Matrix): void {
    const operation = `${this.name}.apply`;
    const count = recordedCount(operation, this.#workspace.pass);
    requireShape(operation, "V", V, this.out, this.in);
    requireShape(operation, "into", into, count * this.positions, this.out);
    const direction = this.#weights.direction(recorder, V);
    const { target, unpack } = packedTarget(recorder, into, false);
    this.#correlate(recorder, count, direction, target);
    unpack();
  }

  pullback(recorder: Recorder, rows: Matrix, into: Matrix, alpha: number): void {
    const operation = `${this.name}.pullback`;
    const count = recordedCount(operation, this.#workspace.pass);
    requireShape(operation, "rows", rows, count * this.positions, this.out);
    requireShape(operation, "into", into, this.out, this.in);
    this.#correlateBack(recorder, count, packed(recorder, rows, false), into, alpha);
  }

  curvatureRows(fisher: FisherOptions): CurvatureRows {
    const { first, columns, count } = this.#recorded("curvatureRows", fisher);
    const block = count * this.positions;
    return { rows: this.#delta.rows(columns * block, this.out, first * block), columns, count };
  }

  get #delta() {
    return this.output.delta!;
  }

  #recorded(operation: string, fisher: FisherOptions) {
    return recordedColumns(`${this.name}.${operation}`, this.#workspace.pass, fisher);
  }

  /** The image's pixels, one a row. */
  #source(count: number): Matrix {
    return this.input.place.rows(count * positionsOf(this.#geometry.input));
  }

  /** `into` ← one row W a_t for each position, from W' of the whole kernel. */
  #correlate(recorder: Recorder, count: number, weights: Matrix, into: Matrix): void {
    for (const chunk of chunksOf(this.#geometry, this.#rows, count)) {
      const B = this.#workspace.patches(this.#columns, chunk.rows);
      recordPatches(recorder, "transposed", this.#geometry, chunk, this.#source(count), B);
      // Positions are the long side, so they are the product's columns and the result is stored transposed.
      multiplyPacked(recorder, [
        { A: weights, B, C: rowsOf(into, chunk), transposed: true, alpha: 1, beta: 0 },
      ]);
    }
  }

  /** `into` ← α Σ rows_t a_t', out × in. */
  #correlateBack(recorder: Recorder, count: number, rows: Matrix, into: Matrix, alpha: number): void {
    const { target, finish } = this.#weights.sum(recorder, into);
    const chunks = chunksOf(this.#geometry, this.#rows, count);
    const sum = new SplitSum(recorder, target, longest(chunks));
    for (const chunk of chunks)
      sum.product(rowsOf(rows, chunk), this.#patches(recorder, count, chunk), alpha);
    sum.finish();
    finish();
  }

  #gramOfPatches(recorder: Recorder, count: number, into: Matrix): void {
    const source = this.#source(count);
    const most = this.#shifts?.examples(this.#workspace.chunkLength.most) ?? 0;
    // The form counts on pixels without gaps between them.
    const gapless = source.stride === padded(source.cols);
    if (
      this.#shifts &&
      most > 0 &&
      gapless &&
      this.#shifts.pays(recorder.manager.handle.capabilities, count)
    ) {
      this.#shifts.record(recorder, source, count, into, most);
      return;
    }
    const chunks = chunksOf(this.#geometry, this.#rows, count);
    const sum = new SplitSum(recorder, into, longest(chunks));
    for (const chunk of chunks) sum.gram(this.#patches(recorder, count, chunk));
    sum.finish();
  }

  #gramOfMeans(recorder: Recorder, count: number, into: Matrix): void {
    const means = paddedView(recorder.scratch(paddedLength(count, this.#columns)), 0, count, this.#columns);
    const chunk = { first: 0, rows: count };
    recordPatches(recorder, "means", this.#geometry, chunk, this.#source(count), means);
    const sum = new SplitSum(recorder, into, count);
    sum.gram(means);
    sum.finish();
  }

  /** Σ_t over each example's positions, one row an example (and column). */
  #positionSums(recorder: Recorder, rows: Matrix): Matrix {
    const count = rows.rows / this.positions;
    const sums = paddedView(recorder.scratch(paddedLength(count, this.out)), 0, count, this.out);
    const { output } = this.#geometry;
    const window = [output.height, output.width] as const;
    recordAverage(recorder, { input: output, kernel: window, stride: window, scale: 1 }, count, rows, sums);
    return sums;
  }

  #patches(recorder: Recorder, count: number, chunk: Chunk): Matrix {
    const P = this.#workspace.patches(chunk.rows, this.#columns);
    recordPatches(recorder, "rows", this.#geometry, chunk, this.#source(count), P);
    return P;
  }

  #requireOneGroup(): void {
    const { groups } = this.#geometry;
    if (groups === 1) return;
    throw new UnsupportedLayerError(
      this.name,
      `conv2d with ${groups} groups`,
      "its block of the Hessian is one Kronecker product for each group; train it with Sgd or Adam, or use groups: 1",
    );
  }
}

function rowsOf(view: Matrix, { first, rows }: Chunk): Matrix {
  return { ...view, offset: view.offset + first * view.stride, rows };
}

function longest(chunks: readonly Chunk[]): number {
  return Math.max(...chunks.map(({ rows }) => rows));
}
