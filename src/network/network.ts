import { ANYTHING, must, OBJECT, optionsOf, type Rules, SIGNAL, SIZE, U32 } from "../arguments.js";
import { requireStored } from "../curvature/blocks/stored.js";
import { ArgumentError } from "../errors.js";
import type { InputForm } from "../layers/form.js";
import type { LayerModule } from "../layers/kind.js";
import type { Layer, TrainableLayer } from "../layers/layer.js";
import { onesFills } from "../layers/values.js";
import { copyStrided, inLockstep, paddedLength, paddedView } from "../linalg/index.js";
import { type PassFacts, RecordedPass } from "../memory/recorded-pass.js";
import { Workspace } from "../memory/workspace.js";
import { copyBatch, isDatasetBatch, mapInputs } from "../model/batch.js";
import {
  type BatchInputs,
  type Curved,
  type DatasetBatch,
  type FisherOptions,
  gramSteps,
  type Model,
  type ModelBatch,
  type NumberPlace,
  type Pass,
  turnsOf,
} from "../model/index.js";
import type { Kernel, PipelineManager, Recorder } from "../pipeline/index.js";
import { MANAGER, RECORDER } from "../pipeline/rules.js";
import { GpuBatch, GpuDataset } from "../resident/index.js";
import { type BatchShape, checkBatch, checkInputs } from "./batch.js";
import { type Built, buildLayers } from "./build.js";
import { type Evaluated, type Evaluation, evaluate, predict } from "./evaluation.js";
import { fisherColumns } from "./fisher.js";
import { Gathering, gpuBatchOf } from "./gathering.js";
import type { Graph } from "./graph.js";
import { arraysOf } from "./inputs.js";
import { type Loss, lossCode } from "./losses.js";
import { type Loaded, Passes } from "./passes.js";
import { planOf } from "./plan.js";
import { type AlongOperands, curvatureAlong, withoutTangents } from "./tangents.js";
import { checkWeights, packWeights, unpackWeights } from "./weights.js";

/** Patches of a whole batch would be k² times its images. On a GPU fewer chunks count, each some dispatches. */
const CHUNK_BYTES = { software: 16 * 1024 * 1024, gpu: 128 * 1024 * 1024 };
/** What a CPU's cache holds. */
const CACHE_BYTES = 1024 * 1024;

/** How a network is made. */
export interface NetworkOptions {
  /**
   * What a list of modules takes: [channels, height, width] of images (batches hold an image's numbers in that order), `{
   * length, features }` of sequences, `{ indices, length }`, or a number of features. Defaults to the vectors that the first
   * dense layer takes. Graphs name their inputs themselves.
   */
  input?: InputForm;
  /** Most bytes that the patches of a convolution take at a time; defaults to 128 MiB or, if that is less, what may be
   * bound at a time, on a software adapter to 16 MiB. */
  chunkBytes?: number;
  /** Largest batch, for which buffers are made; defaults to 512. Smaller batches are fine. */
  batchSize?: number;
  /** Of the initial weights; defaults to 0. */
  seed?: number;
  /**
   * What passes will be recorded with, so that curvature buffers are made once, at the first pass. Defaults to none: then
   * they are made when the first pass asks for them.
   */
  fisher?: Pick<FisherOptions, "kind" | "samples">;
}

const SIGNALLED = { signal: SIGNAL };
const OPTIONS: Rules<NetworkOptions> = {
  input: ANYTHING,
  chunkBytes: SIZE,
  batchSize: SIZE,
  seed: U32,
  fisher: OBJECT,
};

/** One line of `describe()`. */
export interface LayerDescription {
  name: string;
  kind: string;
  /** Numbers of an example that go in, and come out. */
  in: number;
  out: number;
  /** Numbers that training changes, biases counted; 0 where weights are another layer's. */
  parameters: number;
  /** The layer whose weights a tied one uses. */
  tied?: string;
}

/**
 * A feed-forward network on the GPU: forward pass, loss, gradient, and the rows that K-FAC's factors are made of.
 * `load` and `recordPass` write small buffers at once, so submit a recorded pass before the next `load` or `recordPass`.
 */
export class Network implements Model {
  /** Layers with weights, in the order of their first use. */
  readonly layers: readonly TrainableLayer[];
  readonly batchSize: number;
  /** Numbers of an example, of all inputs together. */
  readonly features: number;
  readonly outputs: number;
  readonly loss: Loss;
  readonly manager: PipelineManager;
  readonly #turns = turnsOf(this);
  readonly #workspace: Workspace;
  readonly #built: Built;
  readonly #passes: Passes;
  readonly #gathering: Gathering;
  readonly #fisher: NetworkOptions["fisher"];
  readonly #deltaRows: number;
  readonly #buffers: GPUBuffer[] = [];
  #loaded: Loaded | undefined;
  /** Where the loaded batch was gathered last: what follows there finds it in place. */
  #gatheredIn: Recorder | undefined;
  #disposed = false;

  /**
   * @param description modules one after another, or a `graph`
   * @throws UnsupportedLayerError for an unknown module, ShapeError where sizes do not meet, ArgumentError for other
   *   bad arguments, LimitError when the device cannot hold it; then no memory is kept.
   */
  constructor(
    manager: PipelineManager,
    description: readonly LayerModule[] | Graph,
    loss: Loss,
    options: NetworkOptions = {},
  ) {
    must("network", "manager", manager, MANAGER);
    const { software, limits } = manager.handle.capabilities;
    const usual = Math.min(CHUNK_BYTES[software ? "software" : "gpu"], limits.maxStorageBufferBindingSize);
    const given = optionsOf("network", OPTIONS, options);
    const { batchSize = 512, seed = 0, chunkBytes = usual } = given;
    lossCode(loss);
    const best = software ? Math.min(CACHE_BYTES, chunkBytes) : chunkBytes;
    const plan = planOf(description, options.input);
    this.#workspace = new Workspace(manager, { batchSize, chunkBytes: { most: chunkBytes, best } });
    const built = buildLayers(plan, this.#workspace);
    const { ports, layers, trainable, output } = built;
    this.manager = manager;
    this.#built = built;
    this.layers = trainable.map(([first]) => first!);
    this.batchSize = batchSize;
    this.features = ports.reduce((sum, { features }) => sum + features, 0);
    this.outputs = output.features;
    this.loss = loss;
    this.#fisher = options.fisher;
    this.#deltaRows = batchSize * (1 + fisherColumns("network", options.fisher, output.features));
    const storage = (label: string, length: number) => {
      const buffer = manager.createStorage(label, length);
      this.#buffers.push(buffer);
      return buffer;
    };
    try {
      this.#workspace.allocate();
      this.#passes = new Passes(manager, built, { loss, batchSize, storage });
      this.#gathering = new Gathering(manager, this.#shape, this.#passes.targets, storage);
    } catch (error) {
      this.dispose();
      throw error;
    }
    if (!manager.handle.dry) {
      const initial = this.layers.map((layer, l) => layer.initialWeights(seed, l));
      manager.refusals.writing(() => this.setWeights(initial));
    }
    const recorder = manager.record();
    const values = [...ports.map((port) => port.values), ...layers.map((layer) => layer.output)];
    copyStrided(recorder, onesFills(values, batchSize));
    recorder.submit({ watched: true });
  }

  /** Two f32 of the last recorded pass: the mean loss, and the share of examples classified right (or 0). */
  get statistics(): GPUBuffer {
    return this.#passes.statistics;
  }

  get parameters(): GPUBuffer {
    return this.#workspace.parameters.buffers.weights;
  }

  get gradients(): GPUBuffer {
    return this.#workspace.parameters.buffers.gradients;
  }

  get length(): number {
    return this.#workspace.parameters.length;
  }

  /**
   * What passes as `options.fisher` says dispatch, and evaluations, and the statistics of their layers: for `manager.prepare`.
   * Makes the buffers of such passes.
   */
  get kernels(): readonly Kernel[] {
    this.#workspace.ensureDeltas(this.#deltaRows);
    const indexed = this.loss.kind === "softmaxCrossEntropy";
    return this.manager.collect((recorder) => {
      // The last chunk of a data set may be small, and small products may have kernels of their own.
      for (const count of [this.batchSize, 1]) {
        const facts = this.#record(recorder, { count, indexed }, this.#fisher);
        const curved = this.#passes.curvature(new RecordedPass(facts, () => true));
        const layers = curved.filter((_, l) => this.layers[l]!.withoutKronecker === undefined);
        recordStatistics(recorder, layers, this.#fisher !== undefined);
      }
    });
  }

  /** The layers in the order of a forward pass. */
  describe(): LayerDescription[] {
    const { layers, trainable } = this.#built;
    const ties = new Map(
      trainable.flatMap(([first, ...others]) => others.map((use): [Layer, string] => [use, first!.name])),
    );
    return layers
      .filter(({ kind }) => kind !== "input" && kind !== "fork")
      .map((layer) => {
        const { name, kind, inputs, output, parameters } = layer;
        const sizes = { in: inputs.reduce((sum, { features }) => sum + features, 0), out: output.features };
        const tied = ties.get(layer);
        if (tied !== undefined) return { name, kind, ...sizes, parameters: 0, tied };
        return { name, kind, ...sizes, parameters };
      });
  }

  /**
   * W of each layer, out × in without padding, as it is after everything asked for before.
   *
   * @throws (by rejection) ArgumentError once it is disposed of, DeviceLostError
   */
  async weights(): Promise<Float32Array[]> {
    const read = () => {
      this.#assertUsable("weights");
      const recorder = this.manager.record();
      const reading = recorder.read(this.parameters, 0, 4 * this.length);
      recorder.submit();
      return { reading };
    };
    const { reading } = this.#turns.free ? read() : await this.#turns.take(read);
    return unpackWeights(this.layers, new Float32Array(await reading));
  }

  /**
   * Replaces all weights: out × in of each layer, without padding. Where steps asked for before still wait, it comes after them.
   *
   * @throws ArgumentError for a wrong number of arrays or once it is disposed of, ShapeError for a wrong length, DataError for a value that
   *   is not finite, DeviceLostError. Then nothing has changed.
   */
  setWeights(weights: readonly Float32Array[]): void {
    this.#assertUsable("setWeights");
    this.manager.handle.assertUsable();
    checkWeights(this.layers, weights);
    const packed = packWeights(this.layers, weights, this.length);
    const write = () => {
      if (!this.#disposed) this.manager.device.queue.writeBuffer(this.parameters, 0, packed);
    };
    if (this.#turns.free) write();
    else this.#turns.take(write);
  }

  /**
   * Sends a batch of at most `batchSize` examples to the GPU for the passes recorded next; of a data set that is there, their numbers.
   *
   * @throws ArgumentError, ShapeError or DataError for a batch that does not fit. Then the batch before is still loaded.
   */
  load(batch: ModelBatch): void {
    this.#loaded = this.manager.refusals.writing(() => this.#write("load", batch));
  }

  /**
   * Checks data of any size as `load` checks a batch, and sends nothing.
   *
   * @param operation who asks, for messages
   * @throws ArgumentError, ShapeError or DataError for data that does not fit
   */
  check(data: ModelBatch | GpuDataset, operation = "check"): void {
    this.#assertUsable(operation);
    if (data instanceof GpuDataset) this.#gathering.check(operation, data);
    else if (isDatasetBatch(data)) this.#gathering.check(operation, gpuBatchOf(operation, data).dataset);
    else checkBatch(operation, data, { ...this.#shape, batchSize: Number.MAX_SAFE_INTEGER });
  }

  /**
   * Records forward pass, loss, backward pass and all G for the loaded batch and, with `fisher`, the rows of Bᵢ. What is
   * returned can be used until the next batch is loaded or pass recorded.
   *
   * @throws ArgumentError without a loaded batch or for bad `fisher`, LimitError when curvature rows do not fit; then
   *   nothing has been recorded.
   */
  recordPass(recorder: Recorder, fisher?: FisherOptions): Pass {
    this.#assertUsable("recordPass");
    must("recordPass", "recorder", recorder, RECORDER);
    if (!this.#loaded) throw new ArgumentError("recordPass", "batch", "must be loaded first: call load()");
    const loaded = this.#loaded;
    const facts = this.#record(recorder, loaded, fisher);
    if (fisher?.kind === "monteCarlo") this.#passes.writeKey(fisher);
    const pass = this.#workspace.beginPass(facts);
    const parts = { built: this.#built, workspace: this.#workspace, passes: this.#passes };
    const along = (recorder: Recorder, ...operands: AlongOperands) =>
      curvatureAlong(recorder, parts, pass, ...operands);
    return {
      count: pass.count,
      fisher: pass.fisher,
      layers: this.#passes.curvature(pass),
      curvatureAlong: along,
      curvatureInParts: along,
      ...(this.#built.repeats && { repeat: (other) => this.#repeat(facts, loaded, other) }),
    };
  }

  /** As `Model.withoutTangent`. */
  get withoutTangent(): string | undefined {
    return withoutTangents(this.#built);
  }

  /**
   * As `Model.recordLoss`.
   *
   * @throws ArgumentError without a loaded batch, or for a place that is too small; then nothing has been recorded.
   */
  recordLoss(recorder: Recorder, into: NumberPlace): void {
    this.#assertUsable("recordLoss");
    must("recordLoss", "recorder", recorder, RECORDER);
    if (!this.#loaded) throw new ArgumentError("recordLoss", "batch", "must be loaded first: call load()");
    requireStored("recordLoss", "into", into, 2);
    this.#workspace.ensureDeltas(this.#deltaRows);
    this.#workspace.endPass();
    if (this.#gatheredIn !== recorder) this.#gather(recorder, this.#loaded);
    this.#passes.forward(recorder, this.#loaded.count);
    this.#passes.loss(recorder, this.#loaded, { gradient: false, statistics: into });
  }

  /**
   * The network's outputs for examples of any number, count × outputs: no softmax or logistic function of the loss is applied.
   * Of a data set on the GPU, or a batch of one, the targets are left aside. Forgets the loaded batch and the rows of the last pass.
   *
   * @throws ArgumentError, ShapeError or DataError for bad inputs, AbortedError once the signal fires.
   */
  async predict(
    inputs: BatchInputs,
    count: number,
    options?: { signal?: AbortSignal },
  ): Promise<Float32Array>;
  async predict(data: GpuDataset | DatasetBatch, options?: { signal?: AbortSignal }): Promise<Float32Array>;
  async predict(
    data: BatchInputs | GpuDataset | DatasetBatch,
    given?: number | { signal?: AbortSignal },
    options: { signal?: AbortSignal } = {},
  ): Promise<Float32Array> {
    this.#assertUsable("predict");
    const batch = data instanceof GpuDataset ? data.all : data;
    if (isDatasetBatch(batch)) {
      const { signal } = optionsOf("predict", SIGNALLED, given as { signal?: AbortSignal } | undefined);
      const resident = gpuBatchOf("predict", batch);
      this.#gathering.checkInputs("predict", resident.dataset);
      return this.#turns.within(() => predict(this.#evaluated, resident, resident.count, signal));
    }
    const inputs = data as BatchInputs;
    const count = given as number;
    const { signal } = optionsOf("predict", SIGNALLED, options);
    checkInputs("predict", inputs, count, { ...this.#shape, batchSize: Number.MAX_SAFE_INTEGER });
    // What has to wait must not change meanwhile.
    const own = this.#turns.free ? inputs : mapInputs(inputs, (array) => array.slice());
    return this.#turns.within(() => predict(this.#evaluated, own, count, signal));
  }

  /**
   * Mean loss and accuracy over data of any size, in chunks of `batchSize`: whole arrays, a data set on the GPU or a batch of it, or a
   * function that makes the examples start … end − 1 of `total`. Forgets the loaded batch and the rows of the last pass; G and
   * `statistics` stay.
   *
   * @throws ArgumentError, ShapeError or DataError for bad data, AbortedError once the signal fires.
   */
  async evaluate(data: ModelBatch | GpuDataset, options?: { signal?: AbortSignal }): Promise<Evaluation>;
  async evaluate(
    supplier: (start: number, end: number) => ModelBatch,
    options: { total: number; signal?: AbortSignal },
  ): Promise<Evaluation>;
  async evaluate(
    data: ModelBatch | GpuDataset | ((start: number, end: number) => ModelBatch),
    options: { total?: number; signal?: AbortSignal } = {},
  ): Promise<Evaluation> {
    const batch = data instanceof GpuDataset ? data.all : data;
    const own = this.#turns.free || typeof batch === "function" ? batch : copyBatch(batch);
    return this.#turns.within(() => evaluate(this.#evaluated, own, options));
  }

  /** Frees all memory of the network. */
  dispose(): void {
    this.#disposed = true;
    this.#workspace.dispose();
    for (const buffer of this.#buffers) this.manager.destroyBuffer(buffer);
    this.#buffers.length = 0;
    this.#loaded = undefined;
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  /** @throws ArgumentError once it is disposed of */
  #assertUsable(operation: string): void {
    if (!this.#disposed) return;
    throw new ArgumentError(operation, "network", "is disposed of; make another one");
  }

  get #shape(): BatchShape {
    const { ports } = this.#built;
    return { inputs: ports, outputs: this.outputs, loss: this.loss, batchSize: this.batchSize };
  }

  get #evaluated(): Evaluated {
    return {
      manager: this.manager,
      ports: this.#built.ports,
      outputs: this.outputs,
      batchSize: this.batchSize,
      passes: this.#passes,
      writeInputs: (inputs, count) => this.#writeInputs(inputs, count),
      write: (batch) => this.#write("evaluate", batch),
      gathering: this.#gathering,
      prepareLoss: () => this.#built.output.delta!.storage.ensure(this.#deltaRows),
    };
  }

  /** As `Pass.repeat`, of a pass over a batch like `before`. */
  #repeat({ count, columns, fisher }: PassFacts, before: Loaded, other?: FisherOptions): boolean {
    const loaded = this.#loaded;
    if (this.#disposed || loaded?.count !== count || loaded.indexed !== before.indexed) return false;
    if (loaded.gathered?.dataset !== before.gathered?.dataset) return false;
    if (other?.kind !== fisher?.kind) return false;
    if (fisherColumns("recordPass", other, this.outputs) !== columns) return false;
    if (other?.kind === "monteCarlo") this.#passes.writeKey(other);
    this.#workspace.endPass();
    return true;
  }

  #record(recorder: Recorder, loaded: Loaded, fisher: FisherOptions | undefined): PassFacts {
    const columns = fisherColumns("recordPass", fisher, this.outputs);
    const { count } = loaded;
    this.#workspace.ensureDeltas(Math.max(this.#deltaRows, (1 + columns) * this.batchSize));
    this.#gather(recorder, loaded);
    this.#passes.forward(recorder, count);
    const statistics = { buffer: this.statistics, index: 0 };
    const sampled = fisher?.kind === "monteCarlo";
    this.#passes.loss(recorder, loaded, { gradient: true, statistics, columns: { count: columns, sampled } });
    this.#passes.backward(recorder, count, columns);
    return { count, columns, fisher };
  }

  #gather(recorder: Recorder, { gathered }: Loaded): void {
    if (!gathered) return;
    this.#gathering.record(recorder, gathered);
    this.#gatheredIn = recorder;
  }

  #write(operation: string, batch: ModelBatch): Loaded {
    this.#assertUsable(operation);
    if (isDatasetBatch(batch)) {
      const gathered = gpuBatchOf(operation, batch);
      const { dataset, count } = gathered;
      this.#gathering.checkCount(operation, count);
      this.#gathering.check(operation, dataset);
      this.#gathering.write(gathered);
      this.#forget();
      return { count, indexed: this.#gathering.indexed(dataset), gathered };
    }
    if (this.manager.handle.dry) {
      this.#forget();
      return { count: batch.count, indexed: this.loss.kind === "softmaxCrossEntropy" };
    }
    checkBatch(operation, batch, this.#shape);
    const { inputs, targets, count } = batch;
    this.#writeInputs(inputs, count);
    this.#passes.writeTargets(targets);
    return { count, indexed: targets instanceof Uint32Array };
  }

  #writeInputs(inputs: BatchInputs | GpuBatch, count: number): void {
    if (inputs instanceof GpuBatch) this.#gathering.write(inputs);
    else {
      for (const [port, array] of arraysOf("load", this.#built.ports, inputs)) {
        port.write(this.manager.device.queue, array, count);
      }
    }
    this.#forget();
  }

  /** The loaded batch, and the rows of the last pass. */
  #forget(): void {
    this.#loaded = undefined;
    this.#gatheredIn = undefined;
    this.#workspace.endPass();
  }
}

/** Records the sums that factors of layers are made of, where the layers make them themselves. */
function recordStatistics(recorder: Recorder, layers: readonly Curved[], withColumns: boolean): void {
  const sides = layers.flatMap((layer) => [
    { statistics: layer.inputs(), size: layer.in },
    ...(withColumns ? [{ statistics: layer.outputs(), size: layer.out }] : []),
  ]);
  inLockstep(
    recorder,
    sides.flatMap(({ statistics, size }) => {
      if (!("gram" in statistics)) return [];
      const into = paddedView(recorder.scratch(paddedLength(size, size)), 0, size, size);
      return [gramSteps(recorder, statistics, into)];
    }),
  );
}
