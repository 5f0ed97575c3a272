import { ArgumentError, CheckpointError } from "../errors.js";
import { checkFinite, reduce } from "../linalg/index.js";
import { type AnyBatch, copyBatch } from "../model/batch.js";
import type { FisherOptions, Model, Pass } from "../model/index.js";
import type { Kernel, PipelineManager, Recorder } from "../pipeline/index.js";
import type { Optimizer, OptimizerState, StepRecord } from "./optimizer.js";

/** A range of a buffer that goes into the step's record. */
export interface RecordRange {
  buffer: GPUBuffer;
  bytes: number;
}

/** What a step works with. */
export interface Step {
  /** 1 for the first. */
  readonly number: number;
  readonly learningRate: number;
  readonly pass: Pass;
}

/** What all optimisers share: the pass over the batch, one submit a step, the record's read-back, checkpoints. */
export abstract class Descent implements Optimizer {
  abstract readonly name: Optimizer["name"];
  protected readonly manager: PipelineManager;
  protected readonly source: Model;
  readonly #kernels: readonly Kernel[];
  #prepared: Promise<void> | undefined;
  #ready = false;
  /** Steps taken before the kernels were ready, not sent yet. */
  #waiting = 0;
  #steps = 0;
  #learningRate: number;

  protected constructor(
    manager: PipelineManager,
    source: Model,
    learningRate: number,
    kernels: readonly Kernel[],
  ) {
    this.manager = manager;
    this.source = source;
    this.#learningRate = requirePositive("learningRate", learningRate);
    this.#kernels = kernels;
  }

  get steps(): number {
    return this.#steps;
  }

  get learningRate(): number {
    return this.#learningRate;
  }

  set learningRate(value: number) {
    this.#learningRate = requirePositive("learningRate", value);
  }

  step(batch: AnyBatch): Promise<StepRecord> {
    const learningRate = this.#learningRate;
    if (this.#ready && this.#waiting === 0) {
      try {
        const record = this.#send(batch, learningRate);
        // A record that nobody waits for may fail to arrive (the engine was disposed of) without ending the process.
        record.catch(() => {});
        return record;
      } catch (error) {
        return Promise.reject(error);
      }
    }
    // The first steps wait for the kernels; what they were given must not change meanwhile.
    const own = copyBatch(batch);
    this.#waiting++;
    this.#prepared ??= this.manager.prepare(this.#kernels);
    const outcome = this.#prepared.then(
      () => {
        this.#waiting--;
        this.#ready = true;
        const record = this.#send(own, learningRate);
        outcome.catch(() => {});
        return record;
      },
      (error) => {
        this.#waiting--;
        throw error;
      },
    );
    return outcome;
  }

  async state(): Promise<OptimizerState> {
    if (this.#waiting > 0) await this.#prepared;
    const recorder = this.manager.record();
    const entries = Object.entries(this.tensors());
    const bytes = recorder.readRanges(entries.map(([, buffer]) => ({ buffer, bytes: buffer.size })));
    recorder.submit();
    const contents = await bytes;
    const state: OptimizerState = { step: Uint32Array.of(this.#steps) };
    entries.forEach(([name], index) => {
      state[name] =
        name === "layerState" ? new Uint32Array(contents[index]!) : new Float32Array(contents[index]!);
    });
    return state;
  }

  restore(state: OptimizerState): void {
    const tensors = this.tensors();
    const step = state.step?.[0];
    if (step === undefined) throw new CheckpointError("optimizer.step", "is missing");
    if (!(Number.isInteger(step) && step >= 0)) {
      throw new CheckpointError("optimizer.step", `must be a whole number, got ${step}`);
    }
    const foreign = Object.keys(state).find((name) => name !== "step" && !(name in tensors));
    if (foreign !== undefined) {
      throw new CheckpointError(`optimizer.${foreign}`, `does not belong to ${this.name}`);
    }
    for (const [name, buffer] of Object.entries(tensors)) {
      const data = state[name];
      if (!data)
        throw new CheckpointError(
          `optimizer.${name}`,
          `is missing; this is not a checkpoint of ${this.name}`,
        );
      if (data.byteLength !== buffer.size) {
        const sizes = `has ${data.length} numbers, this network needs ${buffer.size / 4}`;
        throw new CheckpointError(`optimizer.${name}`, sizes);
      }
      if (data instanceof Float32Array && !data.every(Number.isFinite)) {
        throw new CheckpointError(`optimizer.${name}`, "holds numbers that are not finite");
      }
    }
    for (const [name, buffer] of Object.entries(tensors)) {
      this.manager.device.queue.writeBuffer(buffer, 0, state[name]!);
    }
    this.#steps = step;
  }

  abstract dispose(): void;

  [Symbol.dispose](): void {
    this.dispose();
  }

  /** Submits a step. */
  #send(batch: AnyBatch, learningRate: number): Promise<StepRecord> {
    this.manager.handle.assertUsable();
    this.source.load(batch);
    const number = this.#steps + 1;
    const recorder = this.manager.record();
    const pass = this.source.recordPass(recorder, this.fisher(number));
    const ranges = this.record(recorder, { number, learningRate, pass });
    const { statistics } = this.source;
    const bytes = recorder.readRanges([{ buffer: statistics, bytes: 8 }, ...ranges]);
    recorder.submit();
    this.#steps = number;
    const settings = { learningRate, ...this.settings() };
    return bytes.then(([head, ...rest]) => {
      const [loss, accuracy] = new Float32Array(head!);
      return {
        step: number,
        loss: loss!,
        accuracy: accuracy!,
        ...settings,
        ...this.decode(rest, learningRate),
      };
    });
  }

  /** What the record tells of the settings, as they are now. */
  protected settings(): Pick<StepRecord, "lambda"> {
    return {};
  }

  /** The curvature that the pass of step `number` should yield. */
  protected fisher(_number: number): FisherOptions | undefined {
    return undefined;
  }

  /** Records the optimiser's own part of step `number`. */
  protected abstract record(recorder: Recorder, step: Step): RecordRange[];

  protected abstract decode(
    ranges: ArrayBuffer[],
    learningRate: number,
  ): Pick<StepRecord, "gradientNorm" | "updateNorm" | "skippedLayers" | "status"> & Partial<StepRecord>;

  /** The buffers of a checkpoint. */
  protected abstract tensors(): Record<string, GPUBuffer>;
}

/** What SGD and Adam share: one flag for the whole gradient, and two norms. */
export abstract class FirstOrder extends Descent {
  protected readonly flags: GPUBuffer;
  protected readonly sums: GPUBuffer;

  protected constructor(
    manager: PipelineManager,
    source: Model,
    learningRate: number,
    kernels: readonly Kernel[],
  ) {
    super(manager, source, learningRate, kernels);
    this.flags = this.manager.createStorage("gradient flag", 1);
    this.sums = this.manager.createStorage("norms", 2 * this.source.layers.length);
  }

  protected checkGradient(recorder: Recorder): void {
    recorder.clear(this.flags);
    checkFinite(
      recorder,
      this.flags,
      this.source.layers.map(({ G }) => ({ x: G, flag: 0, bit: 1 })),
    );
  }

  /** Records ‖G‖² and ‖U‖² of each layer, U laid out like G in `update`. */
  protected measure(recorder: Recorder, update: GPUBuffer): RecordRange[] {
    const { layers } = this.source;
    reduce(
      recorder,
      this.sums,
      layers.flatMap(({ G }, layer) => {
        const U = { ...G, buffer: update };
        return [
          { x: G, y: G, index: 2 * layer },
          { x: U, y: U, index: 2 * layer + 1 },
        ];
      }),
    );
    return [
      { buffer: this.sums, bytes: 8 * layers.length },
      { buffer: this.flags, bytes: 4 },
    ];
  }

  protected override decode(ranges: ArrayBuffer[], learningRate: number) {
    const sums = new Float32Array(ranges[0]!);
    const skipped = new Uint32Array(ranges[1]!)[0] !== 0;
    const total = (parity: number) =>
      sums.reduce((sum, value, index) => (index % 2 === parity ? sum + value : sum), 0);
    return {
      gradientNorm: Math.sqrt(total(0)),
      updateNorm: skipped ? 0 : learningRate * Math.sqrt(total(1)),
      skippedLayers: skipped ? this.source.layers.length : 0,
      status: skipped ? "gradient not finite" : "ok",
    };
  }

  override dispose(): void {
    this.manager.destroyBuffer(this.flags);
    this.manager.destroyBuffer(this.sums);
  }
}

export function requirePositive(argument: string, value: number): number {
  if (!(value > 0 && Number.isFinite(value))) {
    throw new ArgumentError("optimizer", argument, `must be a positive number, got ${value}`);
  }
  return value;
}

export function requireNonNegative(argument: string, value: number): number {
  if (!(value >= 0 && Number.isFinite(value))) {
    throw new ArgumentError("optimizer", argument, `must be a number that is not negative, got ${value}`);
  }
  return value;
}

/** @throws ArgumentError unless 0 ≤ value < 1 */
export function requireFraction(argument: string, value: number): number {
  if (!(value >= 0 && value < 1)) {
    throw new ArgumentError("optimizer", argument, `must lie in [0, 1), got ${value}`);
  }
  return value;
}

/** @throws ArgumentError unless value is a whole number ≥ 1 */
export function requirePeriod(argument: string, value: number): number {
  if (!(Number.isInteger(value) && value >= 1)) {
    throw new ArgumentError("optimizer", argument, `must be a whole number of at least 1, got ${value}`);
  }
  return value;
}
