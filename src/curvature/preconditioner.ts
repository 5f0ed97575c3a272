import { d } from "typegpu";
import {
  ANYTHING,
  FLAG,
  must,
  NON_NEGATIVE,
  NUMBER,
  OBJECT,
  objectLike,
  objectsOf,
  oneOf,
  optionsOf,
  type Rules,
  shown,
  TEXT,
  whole,
} from "../arguments.js";
import { ArgumentError, ShapeError, UnsupportedLayerError } from "../errors.js";
import { blend } from "../linalg/blend.js";
import {
  checkFinite,
  checkView,
  copyStrided,
  guard,
  isAligned,
  type Matrix,
  type MatrixView,
  PRECISION,
  paddedLength,
  paddedView,
  requireShape,
  type StridedCopy,
} from "../linalg/index.js";
import type { CurvatureStatistics } from "../model/index.js";
import type { PipelineManager, Recorder } from "../pipeline/index.js";
import { MANAGER } from "../pipeline/rules.js";
import { Curvature, type CurvatureOptions } from "./blocks/curvature.js";
import { layOutMatrices } from "./blocks/spectra.js";
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
  /** Why the layer's curvature has no Kronecker form, for people: it is then given to the `fallback`. */
  readonly withoutKronecker?: string;
}

/** How the caller's loss counts examples, and how curvature is estimated. */
export interface PreconditionerOptions extends CurvatureOptions {
  /** How the loss that B and G were back-propagated from sums its examples: `"mean"` (the default) or `"sum"`. */
  loss?: "mean" | "sum";
}

/** One batch's statistics of one layer, on the caller's buffers. */
export interface LayerStatistics {
  /** Layer inputs, in × k: one column per example (and position). */
  A: MatrixView;
  /**
   * Derivatives of the loss in z, out × c: one column per example (and position, sample or output). Blocks that look at
   * examples one by one (all but `"kronecker"` and `"gradient"`) ask for them in A's order, once over for each sample or output.
   */
  B: MatrixView;
  /** Examples N in the batch; defaults to A's columns. */
  examples?: number;
  /** `"columns"` as above (the default), or `"rows"`: A is k × in and B c × out, an example a row. */
  layout?: "columns" | "rows";
}

/** A gradient of the caller's and where its update goes. */
export interface PreconditionOperands {
  /** ∂J/∂W, out × in. */
  G: MatrixView;
  /** Receives U, out × in, in another buffer than G. */
  into: MatrixView;
  /** For a sum loss only: the N that G sums over; defaults to that of the layer's last `accumulate`. */
  examples?: number;
}

const OPTIONS: Rules<PreconditionerOptions> = {
  damping: NON_NEGATIVE,
  emaDecay: NUMBER,
  factorPrecision: PRECISION,
  blocks: ANYTHING,
  fallback: ANYTHING,
  loss: oneOf("mean", "sum"),
};
const BY_NAME = objectLike("an object of operands by the names of layers");
const STATISTICS: Rules<LayerStatistics> = {
  A: ANYTHING,
  B: ANYTHING,
  examples: ANYTHING,
  layout: oneOf("columns", "rows"),
};
const OPERANDS: Rules<PreconditionOperands> = { G: ANYTHING, into: ANYTHING, examples: ANYTHING };

const Scale = d.struct({ alpha: d.f32, beta: d.f32 });

/**
 * K-FAC's preconditioner and nothing else: three matrix views per layer on the caller's device and buffers, recorded
 * into the caller's encoder, nothing awaited. The caller's optimiser, schedule and network stay what they are.
 *
 *     p.accumulate(encoder, "fc1", { A, B });          // every step, or every few
 *     p.refresh(encoder);                              // every few steps
 *     p.precondition(encoder, "fc1", { G, into: U });  // every step: U = (B̄ …)⁻¹ G (Ā …)⁻¹
 *
 * `accumulateAll` and `preconditionAll` do the same for several layers in one grouped call, bit for bit.
 */
export class Preconditioner implements Disposable {
  readonly curvature: Curvature;
  readonly #manager: PipelineManager;
  readonly #layers: readonly PreconditionedLayer[];
  readonly #mean: boolean;
  readonly #flags: GPUBuffer;
  readonly #examples: number[];
  #disposed = false;

  /**
   * @throws ArgumentError for bad options or names that repeat, UnsupportedLayerError for a layer without Kronecker form where
   *   no fallback is named, FeatureError for `factorPrecision: "f16"` on a device without it, LimitError when the device cannot
   *   hold the curvature.
   */
  constructor(
    manager: PipelineManager,
    layers: readonly PreconditionedLayer[],
    options: PreconditionerOptions = {},
  ) {
    must("preconditioner", "manager", manager, MANAGER);
    const { loss = "mean", ...curvature } = optionsOf("preconditioner", OPTIONS, options);
    const names = objectsOf("preconditioner", "layers", layers, { words: "{ name, in, out }" }).map(
      ({ name }) => name,
    );
    const repeated = names.find((name, index) => names.indexOf(name) !== index);
    if (repeated !== undefined) throw new ArgumentError("preconditioner", "layers", `name ${repeated} twice`);
    for (const { name, in: inputs, out, bias } of layers) {
      must("preconditioner", "the name of a layer", name, TEXT);
      if (bias !== undefined) must("preconditioner", `bias of layer ${name}`, bias, FLAG);
      for (const size of [inputs, out]) {
        if (!(Number.isInteger(size) && size >= 1)) {
          throw new ArgumentError(
            "preconditioner",
            `layer ${name}`,
            `needs whole sizes of at least 1, got ${shown(size)}`,
          );
        }
      }
    }
    this.#manager = manager;
    this.#layers = layers;
    this.#mean = loss === "mean";
    this.curvature = new Curvature(manager, layers, curvature);
    this.#flags = manager.createStorage("update flags", layers.length);
    this.#examples = layers.map(() => 1);
  }

  /** λ on the scale of the mean loss's Hessian; counts from the next `refresh` on. */
  get damping(): number {
    return this.curvature.damping;
  }

  set damping(value: number) {
    this.#assertUsable("damping");
    this.curvature.damping = value;
  }

  /**
   * Records this batch into the moving means of one layer, Ā and B̄ unless it has another block. A batch with numbers that are
   * not finite is left out and counted.
   *
   * @throws ArgumentError without an encoder, UnsupportedLayerError for a name that was not registered, ShapeError when a view
   *   does not fit the layer.
   */
  accumulate(encoder: GPUCommandEncoder, name: string, statistics: LayerStatistics): void {
    this.accumulateAll(encoder, { [name]: statistics });
  }

  /** As `accumulate`, for several layers by their names in one grouped call. @throws as `accumulate`; nothing is recorded then */
  accumulateAll(encoder: GPUCommandEncoder, statistics: Readonly<Record<string, LayerStatistics>>): void {
    this.#assertUsable("accumulate");
    requireEncoder("accumulate", encoder);
    must("accumulate", "statistics", statistics, BY_NAME);
    const given = Object.entries(statistics).map(([name, own]) => this.#checkStatistics(name, own));
    if (given.length === 0) return;
    for (const { index, examples } of given) this.#examples[index] = examples;
    this.#record(encoder, (recorder) => {
      const packed = packRows(
        recorder,
        given.flatMap(({ A, B, layout, bias }) => [
          { view: A, layout, bias },
          { view: B, layout, bias: false },
        ]),
      );
      const updates = given.map(({ index, name, examples }, k) => ({
        layer: index,
        statistics: statisticsOf(name, packed[2 * k]!, packed[2 * k + 1]!, examples, this.#mean),
      }));
      this.curvature.accumulate(recorder, updates);
    });
  }

  /** Records what renews the solution of every layer: K-FAC's damped inverses, other blocks' bases. @throws as `accumulate` */
  refresh(encoder: GPUCommandEncoder): void {
    this.#assertUsable("refresh");
    requireEncoder("refresh", encoder);
    this.#record(encoder, (recorder) => this.curvature.refresh(recorder));
  }

  /**
   * Records U ← (B̄ + √λ/π I)⁻¹ G (Ā + π√λ I)⁻¹, or what the layer's block makes of G (over N for a sum loss, so that U is the
   * same for both). U is zero before the layer's first successful `refresh`, and where numbers are not finite.
   *
   * @throws ArgumentError without an encoder or when `into` lies in the buffer of G, UnsupportedLayerError for a name that was
   *   not registered, ShapeError when a view does not fit the layer.
   */
  precondition(encoder: GPUCommandEncoder, name: string, operands: PreconditionOperands): void {
    this.preconditionAll(encoder, { [name]: operands });
  }

  /** As `precondition`, for several layers by their names in one grouped call. @throws as `precondition` */
  preconditionAll(
    encoder: GPUCommandEncoder,
    operands: Readonly<Record<string, PreconditionOperands>>,
  ): void {
    this.#assertUsable("precondition");
    requireEncoder("precondition", encoder);
    must("precondition", "operands", operands, BY_NAME);
    const given = Object.entries(operands).map(([name, own]) => this.#checkOperands(name, own));
    if (given.length === 0) return;
    this.#record(encoder, (recorder) => {
      const { length, views } = layOutMatrices(given.map(({ index }) => this.#layers[index]!));
      const updates = views(recorder.scratch(length));
      const gradients = this.#mean
        ? packRows(
            recorder,
            given.map(({ G }) => ({ view: G, layout: "rows", bias: false })),
          )
        : views(recorder.scratch(length));
      if (!this.#mean) {
        const scales = given.map(({ examples }) => ({ alpha: 1 / examples, beta: 0 }));
        blend(
          recorder,
          given.map(({ G }, k) => ({ T: G, S: gradients[k]!, scale: k })),
          this.#manager.table(Scale, scales),
        );
      }
      this.curvature.precondition(
        recorder,
        given.map(({ index }, k) => ({ layer: index, G: gradients[k]!, into: updates[k]! })),
      );
      recorder.clear(this.#flags);
      checkFinite(
        recorder,
        this.#flags,
        given.map(({ index }, k) => ({ x: updates[k]!, flag: index, bit: 8 })),
      );
      guard(
        recorder,
        this.#flags,
        given.map(({ index, into }, k) => ({ source: updates[k]!, target: into, flag: index })),
      );
    });
  }

  /** Reads how every layer stands. Waits for the GPU: for now and then, not for every step. */
  async status(): Promise<LayerStatus[]> {
    this.#assertUsable("status");
    const recorder = this.#manager.record();
    const bytes = recorder.read(this.curvature.state);
    recorder.submit();
    return this.curvature.decode(await bytes);
  }

  dispose(): void {
    this.#disposed = true;
    this.curvature.dispose();
    this.#manager.destroyBuffer(this.#flags);
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  /** @throws ArgumentError once it is disposed of */
  #assertUsable(operation: string): void {
    if (!this.#disposed) return;
    const message = "is disposed of; make another one";
    throw new ArgumentError(`preconditioner.${operation}`, "preconditioner", message);
  }

  /** The caller's encoder gets its passes back ended, whatever happens. */
  #record(encoder: GPUCommandEncoder, body: (recorder: Recorder) => void): void {
    const recorder = this.#manager.record(encoder);
    try {
      // Nobody knows when it is submitted, and λ may be another then.
      this.curvature.recordSettings(recorder);
      body(recorder);
    } finally {
      recorder.end();
    }
  }

  #checkStatistics(name: string, statistics: LayerStatistics) {
    const index = this.#find(name);
    const layer = this.#layers[index]!;
    must("accumulate", `statistics of ${name}`, statistics, OBJECT);
    const { layout = "columns" } = optionsOf("accumulate", STATISTICS, statistics, `statistics of ${name}`);
    const bias = layer.bias === true;
    const A = checkView("accumulate", `A of ${name}`, statistics.A);
    const B = checkView("accumulate", `B of ${name}`, statistics.B);
    requireFeatures(`A of ${name}`, A, layer.in - (bias ? 1 : 0), layout);
    requireFeatures(`B of ${name}`, B, layer.out, layout);
    const columns = layout === "rows" ? A.rows : A.cols;
    const examples = requireExamples("accumulate", statistics.examples ?? columns, columns);
    return { index, name, A, B, layout, bias, examples };
  }

  #checkOperands(name: string, operands: PreconditionOperands) {
    const index = this.#find(name);
    const layer = this.#layers[index]!;
    must("precondition", `operands of ${name}`, operands, OBJECT);
    optionsOf("precondition", OPERANDS, operands, `operands of ${name}`);
    const G = checkView("precondition", `G of ${name}`, operands.G);
    const into = checkView("precondition", `into of ${name}`, operands.into);
    requireShape("precondition", `G of ${name}`, G, layer.out, layer.in);
    requireShape("precondition", `into of ${name}`, into, layer.out, layer.in);
    if (G.buffer === into.buffer) {
      throw new ArgumentError("precondition", `into of ${name}`, "must not lie in the same buffer as G");
    }
    const examples = requireExamples("precondition", operands.examples ?? this.#examples[index]!);
    return { index, G, into, examples };
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

/** What blocks ask of a layer, from rows a_t and b_{t,c}, one a row. */
function statisticsOf(
  name: string,
  a: Matrix,
  b: Matrix,
  examples: number,
  mean: boolean,
): CurvatureStatistics {
  // A mean loss leaves 1/N inside every column of B, so BB' is N² too small; see "scale" in the documentation.
  const scale = mean ? examples : 1 / examples;
  const positions = a.rows / examples;
  const columns = b.rows / a.rows;
  return {
    positions,
    inputs: () => ({ rows: a, scale: 1 / a.rows }),
    outputs: () => ({ rows: b, scale }),
    curvatureRows() {
      for (const [operand, count, unit] of [
        [`A of ${name}`, positions, `${examples} examples`],
        [`B of ${name}`, columns, `${a.rows} columns of A`],
      ] as const) {
        if (Number.isInteger(count)) continue;
        throw new ArgumentError("accumulate", operand, `must have a multiple of the ${unit} for this block`);
      }
      return { rows: b, columns, count: examples, divisor: 1 / scale };
    },
  };
}

interface Unpacked {
  view: Matrix;
  layout: "columns" | "rows";
  /** Whether a constant 1 is appended to every example. */
  bias: boolean;
}

/** Matrices, or examples, as aligned rows: read where they lie, or copied into one scratch buffer for all. */
function packRows(recorder: Recorder, operands: readonly Unpacked[]): Matrix[] {
  let length = 0;
  const places = operands.map(({ view, layout, bias }) => {
    if (layout === "rows" && !bias && isAligned(view)) return undefined;
    const rows = layout === "rows" ? view.rows : view.cols;
    const cols = (layout === "rows" ? view.cols : view.rows) + (bias ? 1 : 0);
    const offset = length;
    length += paddedLength(rows, cols);
    return { offset, rows, cols };
  });
  if (length === 0) return operands.map(({ view }) => view);
  const buffer = recorder.scratch(length);
  const copies: StridedCopy[] = [];
  const packed = operands.map(({ view, layout, bias }, k) => {
    const place = places[k];
    if (!place) return view;
    const into = paddedView(buffer, place.offset, place.rows, place.cols);
    const [row, col] = layout === "rows" ? [view.stride, 1] : [1, view.stride];
    const features = place.cols - (bias ? 1 : 0);
    const target = { buffer, offset: into.offset, row: into.stride, col: 1 };
    copies.push({
      source: { buffer: view.buffer, offset: view.offset, row, col },
      target,
      rows: place.rows,
      cols: features,
    });
    if (bias) {
      copies.push({ target: { ...target, offset: into.offset + features }, rows: place.rows, cols: 1 });
    }
    return into;
  });
  copyStrided(recorder, copies);
  return packed;
}

/** @throws ArgumentError without an encoder: commands would go into one that nobody submits */
function requireEncoder(operation: string, encoder: GPUCommandEncoder | undefined): void {
  if (encoder && typeof encoder.beginComputePass === "function") return;
  throw new ArgumentError(operation, "encoder", `must be a GPUCommandEncoder, got ${shown(encoder)}`);
}

function requireExamples(operation: string, examples: number, most?: number): number {
  must(operation, "examples", examples, whole(1, most));
  return examples;
}

function requireFeatures(operand: string, view: Matrix, features: number, layout: "columns" | "rows"): void {
  const actual = layout === "rows" ? view.cols : view.rows;
  if (actual === features) return;
  const expected = layout === "rows" ? [view.rows, features] : [features, view.cols];
  throw new ShapeError("accumulate", operand, [view.rows, view.cols], expected);
}
