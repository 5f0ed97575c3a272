import {
  type Matrix,
  type Precision,
  padded,
  paddedLength,
  paddedView,
  type Steps,
} from "../../linalg/index.js";
import { splitSum } from "../../linalg/products/split.js";
import type { Workspace } from "../../memory/workspace.js";
import type { Recorder } from "../../pipeline/index.js";
import { recordAverage } from "../average-pool.js";
import { type LayerProduct, layerProducts } from "../layer-product.js";
import type { Values } from "../values.js";
import { type Chunk, type ConvGeometry, chunkRows, chunksOf, positionsOf } from "./geometry.js";
import { recordPatches } from "./patches.js";
import { ShiftGram } from "./shift-gram.js";
import type { Target } from "./weights.js";

/** What becomes of a product's results. */
type LastWord = Pick<LayerProduct, "activation" | "values">;

/** Chunks of a batch that small patches may be split into: each costs some dispatches. */
const CHUNKS = 16;

/**
 * The products of a convolution with its patches a_t, which exist only for a chunk of positions at a time. `count` is the
 * number of examples.
 */
export class Correlation {
  readonly geometry: ConvGeometry;
  /** Columns of a patch of all channels, the bias's 1 counted. */
  readonly columns: number;
  /** Most positions of a chunk. */
  readonly rows: number;
  readonly #workspace: Workspace;
  readonly #input: Values;
  /** The Gram matrix of patches without the patches, where there is such a form. */
  readonly #shifts: ShiftGram | undefined;

  constructor(workspace: Workspace, geometry: ConvGeometry, input: Values) {
    const { positions, features, bias, output } = geometry;
    const out = output.channels;
    this.geometry = geometry;
    this.columns = features + (bias ? 1 : 0);
    this.#workspace = workspace;
    this.#input = input;
    const { most, best } = workspace.chunkLength;
    const width = padded(Math.max(this.columns, out)) + 4;
    const few = Math.ceil((workspace.batchSize * positions) / CHUNKS);
    const budget = Math.floor(Math.min(most / width, Math.max(best / width, few)));
    // Three times the batch: the gradient and two curvature columns, K-FAC's for a few hundred examples, go back together.
    this.rows = chunkRows(geometry, budget, 3 * workspace.batchSize);
    workspace.reservePatches(this.rows, this.columns, out);
    this.#shifts = ShiftGram.fits(geometry) ? new ShiftGram(geometry) : undefined;
  }

  chunks(examples: number): Chunk[] {
    return chunksOf(this.geometry, this.rows, examples);
  }

  /** The image's pixels, one a row. */
  #source(count: number): Matrix {
    return this.#input.place.rows(count * positionsOf(this.geometry.input));
  }

  /** `into` ← one row W a_t for each position, from W' of the whole kernel, or φ of it, or that times φ' at φ's results `values`. */
  correlate(recorder: Recorder, count: number, weights: Matrix, into: Matrix, last: LastWord = {}): void {
    this.correlateAll(recorder, count, [{ weights, into, ...last }]);
  }

  /** `correlate` with several weights, whose patches are made once. */
  correlateAll(
    recorder: Recorder,
    count: number,
    all: readonly ({ weights: Matrix; into: Matrix } & LastWord)[],
  ): void {
    for (const chunk of this.chunks(count)) {
      const inputs = this.#workspace.patches(this.columns, chunk.rows);
      recordPatches(recorder, "transposed", this.geometry, chunk, this.#source(count), inputs);
      layerProducts(
        recorder,
        all.map(({ weights, into, ...last }): LayerProduct => {
          return { weights, inputs, rows: rowsOf(into, chunk), first: chunk.first, ...last };
        }),
      );
    }
  }

  /**
   * Adds to `into` one row W da_t for each position of `examples` images like the input, without the bias's 1, and multiplies that by
   * the derivative of a function, if there is one, at its results.
   */
  correlateTangents(
    recorder: Recorder,
    examples: number,
    source: Matrix,
    weights: Matrix,
    into: Matrix,
    last: LastWord,
  ): void {
    const geometry = { ...this.geometry, bias: false };
    const kernel = { ...weights, rows: geometry.features };
    for (const chunk of this.chunks(examples)) {
      const inputs = this.#workspace.patches(geometry.features, chunk.rows);
      recordPatches(recorder, "transposed", geometry, chunk, source, inputs);
      const rows = rowsOf(into, chunk);
      layerProducts(recorder, [{ weights: kernel, inputs, rows, first: chunk.first, adds: true, ...last }]);
    }
  }

  /** A sum for the whole kernel ← α Σ rows_t a_t', in steps. */
  *correlateBack(
    recorder: Recorder,
    count: number,
    rows: Matrix,
    { target, finish }: Target,
    alpha: number,
  ): Steps {
    const chunks = this.chunks(count);
    yield* splitSum(recorder, target, longest(chunks), (sum) => {
      for (const chunk of chunks) {
        sum.product(rowsOf(rows, chunk), this.#patches(recorder, count, chunk), alpha);
      }
    });
    finish();
  }

  /** `into` ← Σ a_t a_t' over examples and positions, in steps; patches are rounded to `precision`, correlations are of f32. */
  gramOfPatches(recorder: Recorder, count: number, into: Matrix, precision?: Precision): Steps {
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
      return this.#shifts.steps(recorder, source, count, into, most);
    }
    const chunks = this.chunks(count);
    return splitSum(recorder, into, longest(chunks), (sum) => {
      for (const chunk of chunks) sum.gram(this.#patches(recorder, count, chunk), precision);
    });
  }

  /** `into` ← Σ ā ā' over examples, ā the mean patch, in steps. */
  gramOfMeans(recorder: Recorder, count: number, into: Matrix, precision?: Precision): Steps {
    const means = paddedView(recorder.scratch(paddedLength(count, this.columns)), 0, count, this.columns);
    const chunk = { first: 0, rows: count };
    recordPatches(recorder, "means", this.geometry, chunk, this.#source(count), means);
    return splitSum(recorder, into, count, (sum) => sum.gram(means, precision));
  }

  /** Σ_t over each example's positions, one row an example (and column). */
  positionSums(recorder: Recorder, rows: Matrix): Matrix {
    const count = rows.rows / this.geometry.positions;
    const sums = paddedView(recorder.scratch(paddedLength(count, rows.cols)), 0, count, rows.cols);
    const { output } = this.geometry;
    const window = [output.height, output.width] as const;
    recordAverage(recorder, { input: output, kernel: window, stride: window, scale: 1 }, count, rows, sums);
    return sums;
  }

  #patches(recorder: Recorder, count: number, chunk: Chunk): Matrix {
    const P = this.#workspace.patches(chunk.rows, this.columns);
    recordPatches(recorder, "rows", this.geometry, chunk, this.#source(count), P);
    return P;
  }
}

/** The rows of a chunk. */
export function rowsOf(view: Matrix, { first, rows }: Chunk): Matrix {
  return { ...view, offset: view.offset + first * view.stride, rows };
}

function longest(chunks: readonly Chunk[]): number {
  return Math.max(...chunks.map(({ rows }) => rows));
}
