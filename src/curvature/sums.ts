import { UnsupportedLayerError } from "../errors.js";
import {
  axpy,
  copy,
  type GramOperands,
  gram,
  type Matrix,
  paddedLength,
  paddedView,
} from "../linalg/index.js";
import type { CurvatureStatistics, FactorGram, FactorStatistics } from "../model/index.js";
import type { PipelineManager, Recorder } from "../pipeline/index.js";
import type { BlockUpdate, MicroBatches } from "./blocks/block.js";
import type { Curvature } from "./blocks/curvature.js";

/** What is summed of one layer; each absent where its block takes none. */
interface LayerSums {
  readonly A?: Matrix;
  readonly B?: Matrix;
  readonly moments?: Matrix;
}

/**
 * What a curvature takes of a batch, added up micro-batch by micro-batch: a batch larger than one pass is then taken in as if it
 * had come in one. All of it is linear in the examples, so that the sums are those of the whole batch up to rounding.
 *
 *     sums.add(recorder, pass.layers, n / N, first);   // for each micro-batch, n of N examples
 *     curvature.accumulate(recorder, sums.updates);
 *
 * Where a number of some micro-batch is not finite the sum is not, and the whole batch is left out and counted.
 */
export class CurvatureSums implements Disposable {
  readonly #manager: PipelineManager;
  readonly #curvature: Curvature;
  readonly #buffer: GPUBuffer;
  readonly #layers: readonly LayerSums[];

  /**
   * @throws UnsupportedLayerError where `withoutMicroBatches` says why there are no such sums, LimitError when the device cannot
   *   hold them
   */
  constructor(manager: PipelineManager, curvature: Curvature) {
    this.#manager = manager;
    this.#curvature = curvature;
    const { layers } = curvature;
    let length = 0;
    const place = (rows: number, cols: number) => {
      const offset = length;
      length += paddedLength(rows, cols);
      return { offset, rows, cols };
    };
    const places = layers.map(({ in: inputs, out }, layer) => {
      const { factors, moments } = microBatchesOf(curvature, layer);
      const { index } = curvature.place(layer);
      return {
        ...(factors && { A: place(inputs, inputs), B: place(out, out) }),
        ...(moments && { moments: place(...moments.size(index)) }),
      };
    });
    this.#buffer = manager.createStorage("curvature sums", length);
    const view = ({ offset, rows, cols }: ReturnType<typeof place>) =>
      paddedView(this.#buffer, offset, rows, cols);
    this.#layers = places.map(({ A, B, moments }) => ({
      ...(A && B && { A: view(A), B: view(B) }),
      ...(moments && { moments: view(moments) }),
    }));
  }

  /** The sums as a batch of all layers. */
  get updates(): readonly BlockUpdate[] {
    return this.#layers.map(({ A, B, moments }, layer) => ({
      layer,
      statistics: new SummedStatistics(A, B),
      ...(moments && { moments }),
    }));
  }

  /**
   * Records sums + share · the means of a micro-batch, into empty sums where it is the first.
   *
   * @param share its part of the batch's examples
   * @throws as the statistics do
   */
  add(recorder: Recorder, statistics: readonly CurvatureStatistics[], share: number, first: boolean): void {
    if (first) recorder.clear(this.#buffer);
    const { factorPrecision: precision } = this.#curvature;
    const sides = this.#layers.flatMap(({ A, B }, layer) => {
      if (!A || !B) return [];
      const { block, index } = this.#curvature.place(layer);
      const own = block.microBatches!.factors!(recorder, { layer: index, statistics: statistics[layer]! });
      return [
        { factor: own.inputs(), into: A },
        { factor: own.outputs(), into: B },
      ];
    });
    // Those whose columns lie in memory in one go.
    gram(
      recorder,
      sides.flatMap(({ factor, into }): GramOperands[] => {
        if (!("rows" in factor)) return [];
        return [{ A: factor.rows, into, examples: "rows", alpha: share * factor.scale, beta: 1, precision }];
      }),
    );
    for (const { factor, into } of sides) {
      if (!("gram" in factor)) continue;
      addMade(recorder, into, share * factor.scale, (part) => factor.gram(recorder, part, precision));
    }
    for (const [layer, { moments }] of this.#layers.entries()) {
      if (!moments) continue;
      const { block, index } = this.#curvature.place(layer);
      const update = { layer: index, statistics: statistics[layer]! };
      addMade(recorder, moments, share, (part) =>
        block.microBatches!.moments!.record(recorder, update, part),
      );
    }
  }

  dispose(): void {
    this.#manager.destroyBuffer(this.#buffer);
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}

/** Why a curvature takes in whole batches only, for people; undefined where it does not. */
export function withoutMicroBatches({ blocks }: Curvature): string | undefined {
  const whole = blocks.find(({ microBatches }) => !microBatches);
  return whole && `block ${whole.name} is fitted to a batch in one pass`;
}

function microBatchesOf(curvature: Curvature, layer: number): MicroBatches {
  const { microBatches } = curvature.place(layer).block;
  if (microBatches) return microBatches;
  const reason = withoutMicroBatches(curvature)!;
  throw new UnsupportedLayerError(curvature.layers[layer]!.name, reason, "give it another block");
}

/** Sums of both sides, which come ready made. */
class SummedStatistics implements CurvatureStatistics {
  readonly #A: Matrix | undefined;
  readonly #B: Matrix | undefined;

  constructor(A: Matrix | undefined, B: Matrix | undefined) {
    this.#A = A;
    this.#B = B;
  }

  inputs(): FactorStatistics {
    return gramOf(this.#A!);
  }

  outputs(): FactorStatistics {
    return gramOf(this.#B!);
  }
}

function gramOf(source: Matrix): FactorGram {
  return { scale: 1, gram: (recorder, target) => copy(recorder, { source, target }) };
}

/** Records into ← into + α · what `make` records, which need not fill all of it. */
function addMade(recorder: Recorder, into: Matrix, alpha: number, make: (part: Matrix) => void): void {
  const { rows, cols } = into;
  const part = paddedView(recorder.scratch(paddedLength(rows, cols)), 0, rows, cols);
  recorder.clear(part.buffer);
  make(part);
  axpy(recorder, [{ alpha, X: part, Y: into }]);
  recorder.release(part.buffer);
}
