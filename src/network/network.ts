import { ArgumentError, ShapeError } from "../errors.js";
import { packRows, readMatrix } from "../host/index.js";
import { isTrainable, type Layer, onesFills, type TrainableLayer, type Values } from "../layers/layer.js";
import { type Module, requireSize } from "../layers/modules.js";
import { copyStrided, multiplyPacked } from "../linalg/index.js";
import { Workspace } from "../memory/workspace.js";
import type { Batch, FisherOptions, Model, Pass } from "../model/index.js";
import type { Kernel, PipelineManager, Recorder } from "../pipeline/index.js";
import { type BatchShape, checkBatch, checkInputs } from "./batch.js";
import { buildLayers, type InputShape } from "./build.js";
import { type BatchSupplier, inChunks, slices } from "./chunks.js";
import { fisher, fisherColumns } from "./fisher.js";
import { networkKernels } from "./kernels.js";
import { loss } from "./loss.js";
import { type Loss, lossCode } from "./losses.js";
import { checkWeights, packWeights, unpackWeights } from "./weights.js";

/** Patches of a whole batch would be k² times its images. */
const CHUNK_BYTES = 16 * 1024 * 1024;
/** What a CPU's cache holds. */
const CACHE_BYTES = 1024 * 1024;

export interface NetworkOptions {
  /** [channels, height, width] of images; batches hold an image's numbers in that order. None for vectors. */
  input?: InputShape;
  /** Most memory that the patches of a convolution take at a time; 16 MiB unless given. */
  chunkBytes?: number;
  /** Largest batch, for which buffers are made; 512 unless given. Smaller batches are fine. */
  batchSize?: number;
  /** Of the initial weights; 0 unless given. */
  seed?: number;
  /** What passes will be recorded with, so that curvature buffers are made once, at the first pass. */
  fisher?: Pick<FisherOptions, "kind" | "samples">;
}

/** One line of `describe()`. */
export interface LayerDescription {
  name: string;
  kind: string;
  in: number;
  out: number;
  /** Numbers that training changes, biases counted. */
  parameters: number;
}

export interface Evaluation {
  /** Mean loss over all examples. */
  loss: number;
  /** Share of examples classified right; 0 for a loss that classifies nothing. */
  accuracy: number;
  count: number;
}

/**
 * A feed-forward network on the GPU: forward pass, loss, gradient, and the rows that K-FAC's factors are made of.
 * `load` and `recordPass` write small buffers at once, so submit a recorded pass before the next `load` or `recordPass`.
 */
export class Network implements Model {
  readonly layers: readonly TrainableLayer[];
  readonly batchSize: number;
  readonly features: number;
  readonly outputs: number;
  readonly loss: Loss;
  readonly statistics: GPUBuffer;
  /** What passes and evaluations dispatch, for `manager.prepare`. */
  readonly kernels: readonly Kernel[];
  readonly #manager: PipelineManager;
  readonly #modules: readonly Layer[];
  readonly #input: Values;
  readonly #output: Values;
  readonly #workspace: Workspace;
  readonly #deltaRows: number;
  readonly #staging: Float32Array<ArrayBuffer>;
  /** Class indices or target values; losses and flags of the examples; statistics of an evaluation; (seed, step). */
  readonly #targets: GPUBuffer;
  readonly #results: GPUBuffer;
  readonly #evaluated: GPUBuffer;
  readonly #key: GPUBuffer;
  readonly #buffers: GPUBuffer[] = [];
  #loaded: { count: number; indexed: boolean } | undefined;

  /**
   * @throws UnsupportedLayerError for an unknown module, ShapeError where sizes do not meet, ArgumentError for other
   *   bad arguments, LimitError when the device cannot hold it; then no memory is kept.
   */
  constructor(
    manager: PipelineManager,
    modules: readonly Module[],
    lossOfNetwork: Loss,
    options: NetworkOptions = {},
  ) {
    const { batchSize = 512, seed = 0, chunkBytes = CHUNK_BYTES } = options;
    requireSize("network", "batchSize", batchSize);
    requireSize("network", "chunkBytes", chunkBytes);
    lossCode(lossOfNetwork);
    const best = manager.handle.capabilities.software ? Math.min(CACHE_BYTES, chunkBytes) : chunkBytes;
    this.#workspace = new Workspace(manager, { batchSize, chunkBytes: { most: chunkBytes, best } });
    const { layers, input, output } = buildLayers(modules, this.#workspace, options.input);
    this.#manager = manager;
    this.#modules = layers;
    this.#input = input;
    this.#output = output;
    this.layers = layers.filter(isTrainable);
    this.batchSize = batchSize;
    this.features = input.features;
    this.outputs = output.features;
    this.loss = lossOfNetwork;
    this.#deltaRows = batchSize * (1 + fisherColumns("network", options.fisher, output.features));
    this.kernels = networkKernels(manager, layers);
    const initial = this.layers.map((layer, l) => layer.initialWeights(seed, l));
    try {
      this.#workspace.allocate();
      this.#targets = this.#storage("targets", batchSize * output.features);
      this.#results = this.#storage("losses", 2 * batchSize);
      this.statistics = this.#storage("statistics", 2);
      this.#evaluated = this.#storage("evaluation", 2);
      this.#key = this.#storage("random key", 2);
    } catch (error) {
      this.dispose();
      throw error;
    }
    const { stride } = input.place.rows(batchSize);
    this.#staging = new Float32Array(batchSize * stride);
    // Behind vectors stands the bias's 1; those that become images have room for no more.
    if (!options.input) {
      for (let i = 0; i < batchSize; i++) this.#staging[i * stride + input.features] = 1;
    }
    this.setWeights(initial);
    const recorder = manager.record();
    const outputs = layers.map((layer) => layer.output);
    copyStrided(recorder, onesFills(options.input ? outputs : [input, ...outputs], batchSize));
    recorder.submit();
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

  /** The modules in order. */
  describe(): LayerDescription[] {
    return this.#modules
      .filter(({ kind }) => kind !== "input")
      .map(({ name, kind, input, output, parameters }) => ({
        name,
        kind,
        in: input.features,
        out: output.features,
        parameters,
      }));
  }

  /** W of each layer, out × in without padding, as it is after everything submitted so far. */
  async weights(): Promise<Float32Array[]> {
    const recorder = this.#manager.record();
    const reading = recorder.read(this.parameters, 0, 4 * this.length);
    recorder.submit();
    return unpackWeights(this.layers, new Float32Array(await reading));
  }

  /**
   * Replaces all weights: out × in of each layer, without padding.
   *
   * @throws ArgumentError for a wrong number of arrays, ShapeError for a wrong length, DataError for a value that is
   *   not finite. Then nothing has changed.
   */
  setWeights(weights: readonly Float32Array[]): void {
    checkWeights(this.layers, weights);
    this.#manager.device.queue.writeBuffer(
      this.parameters,
      0,
      packWeights(this.layers, weights, this.length),
    );
  }

  /**
   * Sends a batch of at most `batchSize` examples to the GPU for the passes recorded next.
   *
   * @throws ArgumentError, ShapeError or DataError as `checkBatch` says. Then the batch before is still loaded.
   */
  load(batch: Batch): void {
    checkBatch("load", batch, this.#shape);
    this.#write(batch);
  }

  /**
   * Records forward pass, loss, backward pass and all G for the loaded batch and, with `fisher`, the rows of Bᵢ. What is
   * returned can be used until the next batch is loaded or pass recorded.
   *
   * @throws ArgumentError without a loaded batch or for bad `fisher`, LimitError when curvature rows do not fit; then
   *   nothing has been recorded.
   */
  recordPass(recorder: Recorder, options?: FisherOptions): Pass {
    const loaded = this.#requireLoaded("recordPass");
    const columns = fisherColumns("recordPass", options, this.outputs);
    const { count } = loaded;
    this.#workspace.ensureDeltas(Math.max(this.#deltaRows, (1 + columns) * this.batchSize));
    this.#forward(recorder, count);
    this.#recordLoss(recorder, loaded, { gradient: true, statistics: this.statistics });
    if (columns > 0) this.#recordFisher(recorder, count, columns, options);
    const rows = (1 + columns) * count;
    for (const layer of [...this.#modules].reverse()) layer.backward(recorder, count, rows);
    multiplyPacked(
      recorder,
      this.layers.flatMap((layer) => layer.gradient(recorder, count)),
    );
    const pass = this.#workspace.beginPass({ count, columns, fisher: options });
    return { count, fisher: pass.fisher, layers: this.layers.map((layer) => layer.curvature(pass)) };
  }

  /**
   * The network's outputs for `count` examples of any number, count × outputs: no softmax or logistic function of the
   * loss is applied. Forgets the loaded batch and the rows of the last pass.
   *
   * @throws ArgumentError, ShapeError or DataError for bad inputs.
   */
  async predict(
    inputs: Float32Array,
    count: number,
    options: { signal?: AbortSignal } = {},
  ): Promise<Float32Array> {
    checkInputs("predict", inputs, count, { ...this.#shape, batchSize: Number.MAX_SAFE_INTEGER });
    const predictions = new Float32Array(count * this.outputs);
    const submit = async (start: number, end: number) => {
      const size = end - start;
      this.#writeInputs(inputs.subarray(start * this.features, end * this.features), size);
      const recorder = this.#manager.record();
      this.#forward(recorder, size);
      const Z = this.#output.place.rows(size, this.outputs);
      const reading = readMatrix(recorder, Z);
      recorder.submit();
      predictions.set((await reading).data, start * this.outputs);
    };
    await inChunks("predict", count, this.batchSize, submit, options.signal);
    return predictions;
  }

  /**
   * Mean loss and accuracy over data of any size, in chunks of `batchSize`: whole arrays, or a function that makes the
   * examples start … end − 1 of `total`. Forgets the loaded batch and the rows of the last pass; G and `statistics`
   * stay.
   *
   * @throws ArgumentError, ShapeError or DataError for bad data, AbortedError once the signal fires.
   */
  async evaluate(data: Batch, options?: { signal?: AbortSignal }): Promise<Evaluation>;
  async evaluate(
    supplier: BatchSupplier,
    options: { total: number; signal?: AbortSignal },
  ): Promise<Evaluation>;
  async evaluate(
    data: Batch | BatchSupplier,
    options: { total?: number; signal?: AbortSignal } = {},
  ): Promise<Evaluation> {
    const supplier = typeof data === "function" ? data : slices(data, this);
    const total = typeof data === "function" ? (options.total ?? 0) : data.count;
    requireSize("evaluate", typeof data === "function" ? "total" : "count", total);
    const submit = async (start: number, end: number) => {
      const batch = supplier(start, end);
      checkBatch("evaluate", batch, this.#shape);
      if (batch.count !== end - start) {
        throw new ShapeError("evaluate", "the chunk", [batch.count], [end - start]);
      }
      const loaded = this.#write(batch);
      const recorder = this.#manager.record();
      this.#workspace.deltas.ensure(this.#deltaRows);
      this.#forward(recorder, batch.count);
      this.#recordLoss(recorder, loaded, { gradient: false, statistics: this.#evaluated });
      const reading = recorder.read(this.#evaluated, 0, 8);
      recorder.submit();
      this.#loaded = undefined;
      const [mean, share] = new Float32Array(await reading);
      return { loss: mean! * batch.count, right: share! * batch.count };
    };
    const chunks = await inChunks("evaluate", total, this.batchSize, submit, options.signal);
    const sum = (part: "loss" | "right") => chunks.reduce((all, chunk) => all + chunk[part], 0);
    return { loss: sum("loss") / total, accuracy: sum("right") / total, count: total };
  }

  /** Frees all memory of the network. */
  dispose(): void {
    this.#workspace.dispose();
    for (const buffer of this.#buffers) this.#manager.destroyBuffer(buffer);
    this.#buffers.length = 0;
    this.#loaded = undefined;
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  get #shape(): BatchShape {
    return { features: this.features, outputs: this.outputs, loss: this.loss, batchSize: this.batchSize };
  }

  #storage(label: string, length: number): GPUBuffer {
    const buffer = this.#manager.createStorage(label, length);
    this.#buffers.push(buffer);
    return buffer;
  }

  #requireLoaded(operation: string): { count: number; indexed: boolean } {
    if (!this.#loaded) throw new ArgumentError(operation, "batch", "must be loaded first: call load()");
    return this.#loaded;
  }

  #write(batch: Batch): { count: number; indexed: boolean } {
    const { inputs, targets, count } = batch;
    this.#writeInputs(inputs, count);
    this.#manager.device.queue.writeBuffer(
      this.#targets,
      0,
      targets.buffer,
      targets.byteOffset,
      targets.byteLength,
    );
    this.#loaded = { count, indexed: targets instanceof Uint32Array };
    return this.#loaded;
  }

  #writeInputs(inputs: Float32Array, count: number): void {
    const { features } = this;
    const { buffer, offset, stride } = this.#input.place.rows(count);
    packRows(inputs, { rows: count, cols: features, stride }, this.#staging);
    this.#manager.device.queue.writeBuffer(buffer, 4 * offset, this.#staging, 0, count * stride);
    this.#loaded = undefined;
    this.#workspace.endPass();
  }

  #forward(recorder: Recorder, count: number): void {
    copyStrided(
      recorder,
      this.layers.flatMap((layer) => layer.weightCopies()),
    );
    for (const layer of this.#modules) layer.forward(recorder, count);
  }

  #recordLoss(
    recorder: Recorder,
    { count, indexed }: { count: number; indexed: boolean },
    { gradient, statistics }: { gradient: boolean; statistics: GPUBuffer },
  ): void {
    loss(recorder, {
      kind: lossCode(this.loss),
      outputs: this.#output.place.rows(count, this.outputs),
      targets: this.#targets,
      indexed,
      delta: this.#output.delta!.rows(count),
      gradient,
      results: this.#results,
      capacity: this.batchSize,
      statistics,
    });
  }

  #recordFisher(
    recorder: Recorder,
    count: number,
    columns: number,
    { kind, seed = 0, step = 0 }: FisherOptions = { kind: "exact" },
  ): void {
    const sampled = kind === "monteCarlo";
    if (sampled) {
      this.#manager.device.queue.writeBuffer(this.#key, 0, Uint32Array.of(seed, step));
    }
    fisher(recorder, {
      kind: lossCode(this.loss),
      sampled,
      key: this.#key,
      outputs: this.#output.place.rows(count, this.outputs),
      delta: this.#output.delta!.rows(columns * count, this.outputs, count),
    });
  }
}
