import { ArgumentError } from "../../errors.js";
import { blend } from "../../linalg/blend.js";
import {
  checkFinite,
  gramPacked,
  inLockstep,
  type Matrix,
  type Precision,
  paddedLength,
  paddedView,
} from "../../linalg/index.js";
import { type FactorGram, type FactorRows, type FactorStatistics, gramSteps } from "../../model/index.js";
import type { PipelineManager, Recorder } from "../../pipeline/index.js";
import type { BlockUpdate } from "./block.js";
import type { LayerShape } from "./examples.js";
import type { FactorState } from "./factor-state.js";
import type { StoredNumber } from "./stored.js";

/** The two factors of every layer of a block, all in one buffer: Ā in × in, B̄ out × out. */
export class FactorPairs implements Disposable {
  readonly buffer: GPUBuffer;
  readonly #manager: PipelineManager;
  readonly #layers: readonly LayerShape[];
  readonly #offsets: readonly { A: number; B: number }[];

  constructor(manager: PipelineManager, label: string, layers: readonly LayerShape[]) {
    this.#manager = manager;
    this.#layers = layers;
    let length = 0;
    this.#offsets = layers.map((layer) => {
      const A = length;
      const B = A + paddedLength(layer.in, layer.in);
      length = B + paddedLength(layer.out, layer.out);
      return { A, B };
    });
    this.buffer = manager.createStorage(label, length);
  }

  A(layer: number): Matrix {
    return this.#matrix(layer, "A");
  }

  B(layer: number): Matrix {
    return this.#matrix(layer, "B");
  }

  dispose(): void {
    this.#manager.destroyBuffer(this.buffer);
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  #matrix(layer: number, side: "A" | "B"): Matrix {
    const size = this.#layers[layer];
    const offsets = this.#offsets[layer];
    if (!size || !offsets) {
      throw new ArgumentError("curvature", "layer", `must be below ${this.#layers.length}, got ${layer}`);
    }
    const n = side === "A" ? size.in : size.out;
    return paddedView(this.buffer, offsets[side], n, n);
  }
}

/** One factor of an update: where its batch comes from and where it goes. */
interface Side<T extends FactorStatistics> {
  statistics: T;
  layer: number;
  /** Its bit of the layer's flags. */
  bit: number;
  /** Its mean, and the place of that mean's (α, β) among the scales. */
  S: Matrix;
  scale: number;
}

/**
 * Records Ā ← βĀ + (1 − β) mean AᵢAᵢ' and B̄ likewise for layers of a block. A batch with numbers that are not finite is
 * left out: then the flags of its layer are not 0 afterwards (bit 1 for A, 2 for B, 8 where `skip` says so).
 *
 * @param precision that columns are rounded to before they are multiplied
 */
export function accumulateFactors(
  recorder: Recorder,
  updates: readonly BlockUpdate[],
  means: FactorPairs,
  state: FactorState,
  precision: Precision,
  skip?: StoredNumber,
): void {
  // All are asked before anything is recorded: they may refuse.
  const batches = updates.map(({ layer, statistics }) => {
    return { layer, A: statistics.inputs(), B: statistics.outputs() };
  });
  const sides = batches.flatMap(({ layer, A, B }): Side<FactorStatistics>[] => [
    { statistics: A, layer, bit: 1, S: means.A(layer), scale: 2 * layer },
    { statistics: B, layer, bit: 2, S: means.B(layer), scale: 2 * layer + 1 },
  ]);
  const stacked = sides.filter((side): side is Side<FactorRows> => "rows" in side.statistics);
  const sums = recordGrams(
    recorder,
    sides.filter((side): side is Side<FactorGram> => "gram" in side.statistics),
    precision,
  );
  recorder.clear(state.flags);
  checkFinite(recorder, state.flags, [
    ...stacked.map(({ statistics, layer, bit }) => ({ x: statistics.rows, flag: layer, bit })),
    ...sums.map(({ T, layer, bit }) => ({ x: T, flag: layer, bit })),
  ]);
  state.average(
    recorder,
    batches.map(({ layer, A, B }) => ({ layer, alphaA: A.scale, alphaB: B.scale })),
    skip,
  );
  gramPacked(
    recorder,
    stacked.map(({ statistics, S, scale }) => ({ A: statistics.rows, S, scale })),
    state.scales,
    precision,
  );
  blend(recorder, sums, state.scales);
}

/** Records the batch's plain sums of the sides that make their columns themselves, in one scratch buffer. */
function recordGrams(
  recorder: Recorder,
  sides: readonly Side<FactorGram>[],
  precision: Precision,
): (Side<FactorGram> & { T: Matrix })[] {
  if (sides.length === 0) return [];
  const lengths = sides.map(({ S }) => paddedLength(S.rows, S.cols));
  const buffer = recorder.scratch(lengths.reduce((sum, length) => sum + length, 0));
  let offset = 0;
  const placed = sides.map((side, index) => {
    const T = paddedView(buffer, offset, side.S.rows, side.S.cols);
    offset += lengths[index]!;
    return { ...side, T };
  });
  inLockstep(
    recorder,
    placed.map(({ statistics, T }) => gramSteps(recorder, statistics, T, precision)),
  );
  return placed;
}
