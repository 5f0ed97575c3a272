import type { TrainableLayer } from "../layers/layer.js";
import {
  asked,
  axpy,
  copyStrided,
  inLockstep,
  type Matrix,
  multiplyPacked,
  paddedLength,
  paddedView,
  type Steps,
  type StridedCopy,
} from "../linalg/index.js";
import type { RecordedPass } from "../memory/recorded-pass.js";
import type { Curved, FisherOptions, NumberPlace } from "../model/index.js";
import type { PipelineManager, Recorder } from "../pipeline/index.js";
import { unshared } from "../pipeline/unshared.js";
import type { GpuBatch } from "../resident/index.js";
import type { Built } from "./build.js";
import { type LossOperands, loss, type Transposed } from "./loss.js";
import { lossCurvature } from "./loss-curvature.js";
import { type Loss, lossCode } from "./losses.js";
import { TiedCurved } from "./tied-curved.js";

/** What a loss is taken over: examples, and whether their targets are class indices. */
export interface Loaded {
  readonly count: number;
  readonly indexed: boolean;
  /** Where they are to be gathered from before anything else; none where they were uploaded. */
  readonly gathered?: GpuBatch;
}

/** What of a loss is asked for. */
interface LossParts {
  readonly gradient: boolean;
  readonly statistics: NumberPlace;
  readonly columns?: LossOperands["columns"];
}

const NO_COLUMNS = { count: 0, sampled: false };

/** Records the parts of a network's passes. */
export class Passes {
  readonly statistics: GPUBuffer;
  /** Statistics of an evaluation. */
  readonly evaluated: GPUBuffer;
  /** Class indices or target values. */
  readonly targets: GPUBuffer;
  readonly #manager: PipelineManager;
  readonly #built: Built;
  readonly #loss: Loss;
  readonly #batchSize: number;
  /** Losses and flags of the examples; (seed, step, first). */
  readonly #results: GPUBuffer;
  readonly #key: GPUBuffer;
  readonly #draws = new Uint32Array(3);

  /** @param storage makes a buffer of the network's */
  constructor(
    manager: PipelineManager,
    built: Built,
    options: { loss: Loss; batchSize: number; storage: (label: string, length: number) => GPUBuffer },
  ) {
    const { batchSize, storage } = options;
    this.#manager = manager;
    this.#built = built;
    this.#loss = options.loss;
    this.#batchSize = batchSize;
    this.targets = storage("targets", batchSize * built.output.features);
    this.#results = storage("losses", 2 * batchSize);
    this.statistics = storage("statistics", 2);
    this.evaluated = storage("evaluation", 2);
    this.#key = storage("random key", 4);
  }

  writeTargets(targets: Float32Array | Uint32Array): void {
    this.#manager.device.queue.writeBuffer(this.targets, 0, unshared(targets));
  }

  /** Records the outputs Z of the first `count` examples, count × outputs. */
  forward(recorder: Recorder, count: number): Matrix {
    const { layers, trainable, output } = this.#built;
    const loaded = layers.flatMap((layer) => layer.inputCopies?.(count) ?? []);
    copyStrided(recorder, [...trainable.flatMap(weightCopies), ...loaded]);
    for (const layer of layers) layer.forward(recorder, count);
    return output.rows(count);
  }

  /** Records q_jk of the loss along directions in the outputs, (K · count) × outputs, into K × K f32, or as many `parts` of them. */
  lossCurvature(
    recorder: Recorder,
    count: number,
    tangents: Matrix,
    into: NumberPlace,
    parts: number | undefined,
  ): void {
    const outputs = this.#built.output.rows(count);
    lossCurvature(recorder, { kind: lossCode(this.#loss), outputs, tangents, into, parts });
  }

  /**
   * Records the loss of the outputs into `statistics`, two f32; with `gradient`, its derivative too, and with `columns` so many
   * columns of Bᵢ at the outputs below that.
   */
  loss(
    recorder: Recorder,
    { count, indexed }: Loaded,
    { gradient, statistics, columns = NO_COLUMNS }: LossParts,
  ): void {
    const { output } = this.#built;
    loss(recorder, {
      kind: lossCode(this.#loss),
      outputs: output.rows(count),
      targets: this.targets,
      indexed,
      columns,
      key: this.#key,
      delta: output.deltas((1 + columns.count) * count),
      transposed: this.#transposed(),
      gradient,
      results: this.#results,
      capacity: this.#batchSize,
      statistics,
    });
  }

  /** Says which draws the next recorded Monte-Carlo columns are. */
  writeKey({ seed = 0, step = 0, first = 0 }: FisherOptions): void {
    this.#draws.set([seed, step, first]);
    this.#manager.device.queue.writeBuffer(this.#key, 0, this.#draws);
  }

  /** Records the way back of 1 + `columns` derivatives an example, and all G. */
  backward(recorder: Recorder, count: number, columns: number): void {
    const { layers, trainable } = this.#built;
    const rows = (1 + columns) * count;
    for (const layer of [...layers].reverse()) layer.backward(recorder, count, rows);
    inLockstep(
      recorder,
      trainable.map(([first]) => gradientSteps(recorder, first!, count)),
    );
    // Where W is used again, its derivative there is added.
    for (const [first, ...others] of trainable) {
      for (const use of others) {
        const part = paddedView(recorder.scratch(paddedLength(use.out, use.in)), 0, use.out, use.in);
        multiplyPacked(recorder, use.gradient(recorder, count, part));
        axpy(recorder, [{ alpha: 1, X: part, Y: first!.G }]);
      }
    }
  }

  /** Where the transposed derivatives at the outputs go, where the last layer reads them. */
  #transposed(): Transposed {
    const { output, outputTransposed } = this.#built;
    // The losses of an evaluation stand in, which nothing here writes.
    if (!outputTransposed) return { buffer: this.evaluated, offset: 0, stride: 0, asked: false };
    const { buffer, offset, stride } = output.delta!.transposed(1);
    return { buffer, offset, stride, asked: true };
  }

  /** What the curvature of each layer is made of in a pass. */
  curvature(pass: RecordedPass): Curved[] {
    return this.#built.trainable.map((uses) => {
      const curved = uses.map((use) => use.curvature(pass));
      return curved.length === 1 ? curved[0]! : new TiedCurved(curved, pass);
    });
  }
}

/** G of a layer, in steps. */
function* gradientSteps(recorder: Recorder, layer: TrainableLayer, count: number): Steps {
  if (layer.gradientSteps) yield* layer.gradientSteps(recorder, count, layer.G);
  else yield asked(multiplyPacked, layer.gradient(recorder, count, layer.G));
}

/** The copies that a layer's places need of W: those of its first place, and what others keep for themselves. */
function weightCopies([first, ...others]: readonly TrainableLayer[]): StridedCopy[] {
  const own = first!.weightCopies?.() ?? [];
  const sameTarget = (a: StridedCopy, b: StridedCopy) =>
    a.target.buffer === b.target.buffer && a.target.offset === b.target.offset;
  const more = others
    .flatMap((use) => use.weightCopies?.() ?? [])
    .filter((copy) => !own.some((known) => sameTarget(copy, known)));
  return [...own, ...more];
}
