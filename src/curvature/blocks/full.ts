import { d } from "typegpu";
import { UnsupportedLayerError } from "../../errors.js";
import { blend } from "../../linalg/blend.js";
import {
  checkFinite,
  copyStrided,
  gramPacked,
  invert,
  type Matrix,
  multiplyPacked,
  padded,
  paddedLength,
  paddedView,
} from "../../linalg/index.js";
import { scoped } from "../../linalg/layout/scoped.js";
import type { PipelineManager, Recorder } from "../../pipeline/index.js";
import { formJacobians } from "../kernels/jacobian.js";
import type {
  Block,
  BlockBatch,
  BlockDescription,
  BlockItem,
  BlockProduct,
  BlockSite,
  BlockUpdate,
  MicroBatches,
} from "./block.js";
import {
  type LayerShape,
  type RecordedExamples,
  recordExamples,
  requireExamples,
  scratchRows,
} from "./examples.js";
import { FactorState } from "./factor-state.js";
import { MeanBlock } from "./mean-block.js";
import { scratchMatrices } from "./scratch.js";

/** Most weights of a layer with a full block: its mean, its inverse and the work between them are 64 MiB each. */
export const MOST_WEIGHTS = 4096;

/** Numbers of Jacobians that are formed at a time. */
const CHUNK = 2 ** 22;

const Scale = d.struct({ alpha: d.f32, beta: d.f32 });

/**
 * The layer's own block of the Gauss-Newton matrix, whole: H̃ is the moving mean of (1/N) Σ_i Σ_c vec(J_ic) vec(J_ic)', n × n for a layer of
 * n = in · out weights, and vec(U) = (H̃ + λI)⁻¹ vec(G): natural gradient (Amari 1998), block by block, with no factors in between. For small
 * layers: n is at most 4096, and a refresh takes n³ operations. Where H̃ + λI does not invert the last inverse
 * stays, and λ is raised tenfold for the next refresh.
 *
 * Takes every layer whose derivatives can be had example by example, a convolution of several groups too.
 */
export class FullBlock extends MeanBlock implements Block {
  readonly name = "full";
  readonly microBatches: MicroBatches = {
    moments: {
      size: (layer) => squareOf(this.#site.layers[layer]!),
      record: (recorder, { layer, statistics }, into) => {
        const size = this.#site.layers[layer]!;
        scoped(recorder, (inner) => recordBlock(inner, size, recordExamples(inner, size, statistics), into));
      },
    },
  };
  protected readonly state: FactorState;
  readonly #manager: PipelineManager;
  readonly #site: BlockSite;
  readonly #means: Squares;
  readonly #inverses: Squares;

  /** @throws UnsupportedLayerError for a layer of more than 4096 weights, LimitError when the device cannot hold them all */
  constructor(site: BlockSite) {
    super();
    const { manager, layers } = site;
    for (const { name, in: inputs, out } of layers) {
      if (inputs * out <= MOST_WEIGHTS) continue;
      throw new UnsupportedLayerError(
        name,
        `${inputs * out} weights`,
        `a full block takes at most ${MOST_WEIGHTS}; give the layer another kind, such as ({ in, out }) => in * out <= ${MOST_WEIGHTS} ? "full" : "kronecker"`,
      );
    }
    this.#manager = manager;
    this.#site = site;
    this.#means = new Squares(manager, "full means", layers);
    try {
      this.#inverses = new Squares(manager, "full inverses", layers);
    } catch (error) {
      this.#means.dispose();
      throw error;
    }
    this.state = new FactorState(site, { whole: true });
    site.states.reset(site.entries);
  }

  /** H̃ of a layer, n × n, on the rows of W one behind the other: weight (o, i) is number o · in + i. */
  mean(layer: number): Matrix {
    return this.#means.matrices[layer]!;
  }

  /** (H̃ + λI)⁻¹ as of the last refresh that succeeded; zero before the first. */
  inverse(layer: number): Matrix {
    return this.#inverses.matrices[layer]!;
  }

  get tensors(): Readonly<Record<string, GPUBuffer>> {
    return { mean: this.#means.buffer, inverse: this.#inverses.buffer };
  }

  get means(): Readonly<Record<string, GPUBuffer>> {
    return { mean: this.#means.buffer };
  }

  /** As `Block.accumulate`. @throws UnsupportedLayerError for statistics that are not example by example */
  accumulate(recorder: Recorder, updates: readonly BlockUpdate[], options: BlockBatch = {}): void {
    const { layers } = this.#site;
    const { state } = this;
    for (const { layer, statistics, moments } of updates) {
      if (!moments) requireExamples(layers[layer]!, statistics);
    }
    recorder.clear(state.flags);
    for (const { layer, statistics, moments } of updates) {
      if (moments) {
        this.#take(recorder, layer, moments, options);
        continue;
      }
      // One layer after another in the same scratch: the matrices are large.
      scoped(recorder, (inner) => {
        const size = layers[layer]!;
        const groups = recordExamples(inner, size, statistics);
        const [T] = scratchMatrices(inner, [squareOf(size)]);
        recordBlock(inner, size, groups, T!);
        checkFinite(inner, state.flags, [
          ...groups.flatMap(({ a, b }) => [
            { x: a, flag: layer, bit: 1 },
            { x: b, flag: layer, bit: 2 },
          ]),
        ]);
        this.#take(inner, layer, T!, options);
      });
    }
  }

  /** Records the damped inverses of the layers' means, in one grouped sweep. */
  refresh(recorder: Recorder, layers = this.#site.layers.map((_, layer) => layer)): void {
    const { state } = this;
    state.damp(recorder, layers);
    invert(
      recorder,
      layers.map((layer) => ({ S: this.mean(layer), into: this.inverse(layer), index: 2 * layer })),
      state,
    );
    state.settle(recorder, layers);
  }

  refreshCost(layer: number): number {
    const { in: inputs, out } = this.#site.layers[layer]!;
    return (inputs * out) ** 3;
  }

  precondition(recorder: Recorder, items: readonly BlockItem[]): void {
    multiplyVectors(
      recorder,
      items.map(({ layer, G, into }) => ({ S: this.inverse(layer), V: G, into })),
    );
  }

  apply(recorder: Recorder, products: readonly BlockProduct[]): void {
    multiplyVectors(
      recorder,
      products.map(({ layer, V, into }) => ({ S: this.mean(layer), V, into })),
    );
  }

  describe(): readonly BlockDescription[] {
    return this.#site.layers.map(({ name, in: inputs, out }) => ({
      layer: name,
      estimate: `H whole, moving mean ${inputs * out} × ${inputs * out}`,
    }));
  }

  reset(): void {
    const encoder = this.#manager.device.createCommandEncoder();
    for (const buffer of Object.values(this.tensors)) encoder.clearBuffer(buffer);
    this.#manager.device.queue.submit([encoder.finish()]);
    this.#site.states.reset(this.#site.entries);
  }

  dispose(): void {
    this.#means.dispose();
    this.#inverses.dispose();
    this.state.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  /** Records that the mean takes in a batch's own matrix, unless a number of it is not finite. */
  #take(recorder: Recorder, layer: number, T: Matrix, { skip }: BlockBatch): void {
    const { state } = this;
    checkFinite(recorder, state.flags, [{ x: T, flag: layer, bit: 4 }]);
    state.average(recorder, [{ layer, alphaA: 1, alphaB: 1 }], skip);
    blend(recorder, [{ T, S: this.mean(layer), scale: 2 * layer }], state.scales);
  }
}

/** A matrix for each layer, n × n for its n weights, all in one buffer. */
class Squares {
  readonly buffer: GPUBuffer;
  readonly matrices: readonly Matrix[];
  readonly #manager: PipelineManager;

  constructor(manager: PipelineManager, label: string, layers: readonly LayerShape[]) {
    const sizes = layers.map((layer) => squareOf(layer)[0]);
    const lengths = sizes.map((n) => paddedLength(n, n));
    this.#manager = manager;
    this.buffer = manager.createStorage(
      label,
      lengths.reduce((sum, length) => sum + length, 0),
    );
    let offset = 0;
    this.matrices = sizes.map((n, layer) => {
      const view = paddedView(this.buffer, offset, n, n);
      offset += lengths[layer]!;
      return view;
    });
  }

  dispose(): void {
    this.#manager.destroyBuffer(this.buffer);
  }
}

function squareOf({ in: inputs, out }: LayerShape): [number, number] {
  return [inputs * out, inputs * out];
}

/** Records T ← (1/N) Σ_i Σ_c vec(J_ic) vec(J_ic)', so many Jacobians at a time. */
function recordBlock(
  recorder: Recorder,
  { in: inputs, out }: LayerShape,
  groups: readonly RecordedExamples[],
  T: Matrix,
): void {
  const n = inputs * out;
  const { columns, count, divisor } = groups[0]!;
  const pairs = columns * count;
  const most = Math.min(pairs, Math.max(1, Math.floor(CHUNK / padded(n))));
  const rows = scratchRows(recorder, most, n);
  const scales = recorder.manager.table(
    Scale,
    [0, 1].map((beta) => ({ alpha: 1 / divisor, beta })),
  );
  for (let first = 0; first < pairs; first += most) {
    const chunk = Math.min(most, pairs - first);
    let offset = 0;
    for (const group of groups) {
      const target = { buffer: rows.buffer, offset, row: inputs, example: rows.stride, column: 1 };
      formJacobians(recorder, group, { first, count: chunk }, target);
      offset += group.b.cols * inputs;
    }
    gramPacked(recorder, [{ A: { ...rows, rows: chunk }, S: T, scale: first === 0 ? 0 : 1 }], scales);
  }
}

/** Records vec(into) ← S vec(V) with S symmetric and vectors row by row. */
function multiplyVectors(
  recorder: Recorder,
  products: readonly { S: Matrix; V: Matrix; into: Matrix }[],
): void {
  const columns = scratchMatrices(
    recorder,
    products.map(({ S }) => [S.rows, 1]),
  );
  const rows = scratchMatrices(
    recorder,
    products.map(({ S }) => [1, S.rows]),
  );
  copyStrided(
    recorder,
    products.map(({ V }, k) => {
      const { buffer, offset, stride } = columns[k]!;
      return {
        source: { buffer: V.buffer, offset: V.offset, row: V.stride, col: 1 },
        target: { buffer, offset, row: V.cols * stride, col: stride },
        rows: V.rows,
        cols: V.cols,
      };
    }),
  );
  multiplyPacked(
    recorder,
    products.map(({ S }, k) => ({ A: columns[k]!, B: S, C: rows[k]!, transposed: false, alpha: 1, beta: 0 })),
  );
  copyStrided(
    recorder,
    products.map(({ into }, k) => {
      const { buffer, offset } = rows[k]!;
      return {
        source: { buffer, offset, row: into.cols, col: 1 },
        target: { buffer: into.buffer, offset: into.offset, row: into.stride, col: 1 },
        rows: into.rows,
        cols: into.cols,
      };
    }),
  );
}
