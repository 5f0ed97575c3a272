import { ArgumentError, ShapeError, UnsupportedLayerError } from "../errors.js";
import {
  checkFinite,
  checkView,
  guard,
  type Matrix,
  type MatrixView,
  packExamples,
  padded,
  paddedView,
  requireShape,
  sandwich,
} from "../linalg/index.js";
import type { PipelineManager } from "../pipeline/index.js";
import { type FactorOptions, Factors } from "./blocks/kronecker.js";
import type { LayerStatus } from "./blocks/status.js";

/** A linear layer z = W a of the caller's. */
export interface PreconditionedLayer {
  readonly name: string;
  /** Columns of W, the bias's counted. */
  readonly in: number;
  /** Rows of W. */
  readonly out: number;
  /** With true, A comes without the row of ones (in − 1 rows) and it is appended; the bias is W's last column. */
  readonly bias?: boolean;
}

export interface PreconditionerOptions extends FactorOptions {
  /** How the loss that B and G were back-propagated from sums its examples: `"mean"` (the default) or `"sum"`. */
  loss?: "mean" | "sum";
}

/** One batch's statistics of one layer, on the caller's buffers. */
export interface LayerStatistics {
  /** Layer inputs, in × k: one column per example (and position). */
  A: MatrixView;
  /** Derivatives of the loss in z, out × c: one column per example (and position, sample or output). */
  B: MatrixView;
  /** Examples N in the batch; A's columns unless given. */
  examples?: number;
  /** `"columns"` as above (the default), or `"rows"`: A is k × in and B c × out, an example a row. */
  layout?: "columns" | "rows";
}

/**
 * K-FAC's preconditioner and nothing else: three matrix views per layer on the caller's device and buffers, recorded
 * into the caller's encoder, nothing awaited. The caller's optimiser, schedule and network stay what they are.
 *
 *     p.accumulate(encoder, "fc1", { A, B });          // every step, or every few
 *     p.refresh(encoder);                              // every few steps
 *     p.precondition(encoder, "fc1", { G, into: U });  // every step: U = (B̄ …)⁻¹ G (Ā …)⁻¹
 */
export class Preconditioner implements Disposable {
  readonly factors: Factors;
  readonly #manager: PipelineManager;
  readonly #layers: readonly PreconditionedLayer[];
  readonly #mean: boolean;
  readonly #flags: GPUBuffer;
  readonly #examples: number[];

  /** @throws ArgumentError for bad options or names that repeat, LimitError when the device cannot hold the factors. */
  constructor(
    manager: PipelineManager,
    layers: readonly PreconditionedLayer[],
    options: PreconditionerOptions = {},
  ) {
    const names = layers.map(({ name }) => name);
    const repeated = names.find((name, index) => names.indexOf(name) !== index);
    if (repeated !== undefined) throw new ArgumentError("preconditioner", "layers", `name ${repeated} twice`);
    for (const { name, in: inputs, out } of layers) {
      for (const size of [inputs, out]) {
        if (!(Number.isInteger(size) && size >= 1)) {
          throw new ArgumentError(
            "preconditioner",
            `layer ${name}`,
            `needs whole sizes of at least 1, got ${size}`,
          );
        }
      }
    }
    this.#manager = manager;
    this.#layers = layers;
    this.#mean = (options.loss ?? "mean") === "mean";
    this.factors = new Factors(manager, layers, options);
    this.#flags = manager.createStorage("update flags", layers.length);
    this.#examples = layers.map(() => 1);
  }

  /** λ on the scale of the mean loss's Hessian; counts from the next `refresh` on. */
  get damping(): number {
    return this.factors.damping;
  }

  set damping(value: number) {
    this.factors.damping = value;
  }

  /**
   * Records this batch into the moving means Ā and B̄ of one layer. A batch with numbers that are not finite is left out
   * and counted.
   *
   * @throws UnsupportedLayerError for a name that was not registered, ShapeError when a view does not fit the layer.
   */
  accumulate(encoder: GPUCommandEncoder, name: string, statistics: LayerStatistics): void {
    const index = this.#find(name);
    const layer = this.#layers[index]!;
    const { layout = "columns" } = statistics;
    const A = checkView("accumulate", `A of ${name}`, statistics.A);
    const B = checkView("accumulate", `B of ${name}`, statistics.B);
    const width = layer.in - (layer.bias ? 1 : 0);
    requireFeatures(`A of ${name}`, A, width, layout);
    requireFeatures(`B of ${name}`, B, layer.out, layout);
    const columns = layout === "rows" ? A.rows : A.cols;
    const examples = requireExamples("accumulate", statistics.examples ?? columns);
    this.#examples[index] = examples;
    const recorder = this.#manager.record(encoder);
    const rowsA = packExamples(recorder, [A], { examples: layout, biasRow: layer.bias });
    const rowsB = packExamples(recorder, [B], { examples: layout });
    // A mean loss leaves 1/N inside every column of B, so BB' is N² too small; see "scale" in the documentation.
    const scale = this.#mean ? examples : 1 / examples;
    this.factors.accumulate(recorder, [
      { layer: index, A: { rows: rowsA, scale: 1 / columns }, B: { rows: rowsB, scale } },
    ]);
    recorder.end();
  }

  /** Records the damped inverses of every layer's factors. */
  refresh(encoder: GPUCommandEncoder): void {
    const recorder = this.#manager.record(encoder);
    this.factors.refresh(recorder);
    recorder.end();
  }

  /**
   * Records U ← (B̄ + √λ/π I)⁻¹ G (Ā + π√λ I)⁻¹ (over N for a sum loss, so that U is the same for both). U is zero before
   * the layer's first successful `refresh`, and where numbers are not finite. `examples`, for a sum loss only, is the N
   * that G sums over; that of the layer's last `accumulate` unless given.
   *
   * @throws UnsupportedLayerError for a name that was not registered, ShapeError when a view does not fit the layer,
   *   ArgumentError when `into` lies in the buffer of G.
   */
  precondition(
    encoder: GPUCommandEncoder,
    name: string,
    operands: { G: MatrixView; into: MatrixView; examples?: number },
  ): void {
    const index = this.#find(name);
    const layer = this.#layers[index]!;
    const G = checkView("precondition", `G of ${name}`, operands.G);
    const into = checkView("precondition", `into of ${name}`, operands.into);
    requireShape("precondition", `G of ${name}`, G, layer.out, layer.in);
    requireShape("precondition", `into of ${name}`, into, layer.out, layer.in);
    if (G.buffer === into.buffer) {
      throw new ArgumentError("precondition", `into of ${name}`, "must not lie in the same buffer as G");
    }
    const examples = requireExamples("precondition", operands.examples ?? this.#examples[index]!);
    const recorder = this.#manager.record(encoder);
    const U = paddedView(recorder.scratch(layer.out * padded(layer.in)), 0, layer.out, layer.in);
    sandwich(recorder, {
      P: this.factors.inverseB(index),
      G,
      Q: this.factors.inverseA(index),
      into: U,
      alpha: this.#mean ? 1 : 1 / examples,
    });
    recorder.clear(this.#flags, 4 * index, 4);
    checkFinite(recorder, this.#flags, [{ x: U, flag: index, bit: 8 }]);
    guard(recorder, this.#flags, [{ source: U, target: into, flag: index }]);
    recorder.end();
  }

  /** Reads how every layer stands. Waits for the GPU: for now and then, not for every step. */
  async status(): Promise<LayerStatus[]> {
    const recorder = this.#manager.record();
    const bytes = recorder.read(this.factors.state);
    recorder.submit();
    return this.factors.decode(await bytes);
  }

  dispose(): void {
    this.factors.dispose();
    this.#manager.destroyBuffer(this.#flags);
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  #find(name: string): number {
    const index = this.#layers.findIndex((layer) => layer.name === name);
    if (index < 0) {
      const known = this.#layers.map((layer) => layer.name).join(", ");
      throw new UnsupportedLayerError(name, "not registered", `the registered layers are ${known}`);
    }
    return index;
  }
}

function requireExamples(operation: string, examples: number): number {
  if (Number.isInteger(examples) && examples >= 1) return examples;
  throw new ArgumentError(operation, "examples", `must be a whole number of at least 1, got ${examples}`);
}

function requireFeatures(operand: string, view: Matrix, features: number, layout: "columns" | "rows"): void {
  const actual = layout === "rows" ? view.cols : view.rows;
  if (actual === features) return;
  const expected = layout === "rows" ? [view.rows, features] : [features, view.cols];
  throw new ShapeError("accumulate", operand, [view.rows, view.cols], expected);
}
