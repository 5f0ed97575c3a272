import type { Model } from "./curvature/index.js";
import { type PreconditionedLayer, Preconditioner, type PreconditionerOptions } from "./curvature/index.js";
import { type DatasetSource, gpuDataset } from "./data/resident.js";
import { type SavedNetwork, type SavedOptimizer, type Snapshot, snapshot } from "./data/snapshot.js";
import { type Capabilities, type DeviceHandle, type DeviceOptions, openDevice } from "./device/index.js";
import type { DeviceLostError } from "./errors.js";
import { HostOperations } from "./host/index.js";
import { type AutotuneOptions, autotune, type TunedProducts } from "./linalg/index.js";
import {
  type Graph,
  type Loss,
  layerKinds,
  type Module,
  Network,
  type NetworkOptions,
} from "./network/index.js";
import {
  Adam,
  type AdamOptions,
  AdamW,
  type AdamWOptions,
  Kfac,
  type KfacOptions,
  Newton,
  type NewtonOptions,
  Sgd,
  type SgdOptions,
  type StepRecord,
} from "./optimizers/index.js";
import { PipelineManager } from "./pipeline/index.js";
import { type Plan, type PlanOptions, plan } from "./plan/index.js";
import type { GpuDataset, StorageOptions } from "./resident/index.js";
import type { FitData, FitHistory, FitNetwork, FitOptimizer, FitOptions } from "./training/index.js";
import * as training from "./training/index.js";

/**
 * Everything on one GPU device. Networks, optimisers and preconditioners made by it live until they, or the engine, are
 * disposed of.
 */
export class Engine extends HostOperations implements Disposable {
  readonly manager: PipelineManager;
  readonly #handle: DeviceHandle;

  constructor(handle: DeviceHandle) {
    const manager = new PipelineManager(handle);
    super(manager);
    this.manager = manager;
    this.#handle = handle;
  }

  get device(): GPUDevice {
    return this.#handle.device;
  }

  get capabilities(): Capabilities {
    return this.#handle.capabilities;
  }

  /** Resolves when the device is lost; a new engine can then resume from the last checkpoint. */
  get lost(): Promise<DeviceLostError> {
    return this.#handle.lost;
  }

  /**
   * A feed-forward network with its weights on the GPU.
   *
   * @param description modules one after another, or a `graph`
   * @throws UnsupportedLayerError for an unknown module, ShapeError where sizes do not meet, ArgumentError for a description
   *   that is none, LimitError when the device cannot hold it.
   */
  network(description: readonly Module[] | Graph, loss: Loss, options: NetworkOptions = {}): Network {
    return new Network(this.manager, description, loss, options);
  }

  /**
   * What such a network and its training would take, before anything is made: parameters, bytes by purpose, the largest binding, dispatches.
   *
   *     const { bytes } = await engine.plan([dense(784, 1000), relu(), dense(1000, 10)], softmaxCrossEntropy(), { batchSize: 500 });
   *
   * @throws (by rejection) what making and training it would throw: LimitError where the device cannot hold it, ShapeError, ArgumentError
   */
  plan(description: readonly Module[] | Graph, loss: Loss, options: PlanOptions<Engine> = {}): Promise<Plan> {
    return plan(this.#handle, (handle) => new Engine(handle), description, loss, options);
  }

  /**
   * A data set on the GPU, sent and checked once: arrays, or labelled images. Of more than `budgetBytes` the first examples stay
   * there, and the others are sent from these arrays, which must not change, ahead of the batches that need them.
   *
   *     using data = engine.dataset({ inputs, targets, count });
   *     await engine.fit(net, optimizer, data, { epochs: 3, batchSize: 500 });
   *
   * @throws ArgumentError, ShapeError or DataError for bad data or options, LimitError when the device does not bind one example
   *   of it; then no memory is kept.
   */
  dataset(source: DatasetSource, options: StorageOptions = {}): GpuDataset {
    return gpuDataset(this.manager, source, options);
  }

  /**
   * K-FAC for a network.
   *
   * @throws ArgumentError for a bad option, FeatureError for `factorPrecision: "f16"` on a device without it, LimitError when the
   *   device cannot hold the factors.
   */
  kfac(source: Model, options: KfacOptions = {}): Kfac {
    return new Kfac(this.manager, source, options);
  }

  /**
   * Newton's method with the exact GGN block of each layer, solved by conjugate gradients; for small networks.
   *
   * @throws ArgumentError for a bad option, LimitError when the device cannot hold the work space.
   */
  newton(source: Model, options: NewtonOptions = {}): Newton {
    return new Newton(this.manager, source, options);
  }

  /** SGD with momentum on the same engine. @throws ArgumentError for a bad option */
  sgd(source: Model, options: SgdOptions): Sgd {
    return new Sgd(this.manager, source, options);
  }

  /** Adam on the same engine. @throws ArgumentError for a bad option */
  adam(source: Model, options: AdamOptions = {}): Adam {
    return new Adam(this.manager, source, options);
  }

  /** AdamW: Adam with decoupled weight decay, 0.01 by default. @throws ArgumentError for a bad option */
  adamW(source: Model, options: AdamWOptions = {}): AdamW {
    return new AdamW(this.manager, source, options);
  }

  /**
   * Trains for some epochs, with validation, early stopping and a few steps under way: `fit`.
   *
   * @throws (by rejection) ArgumentError, ShapeError or DataError before the first step, and what `fit` names after it
   */
  fit<R extends StepRecord>(
    net: FitNetwork,
    optimizer: FitOptimizer<R>,
    data: FitData,
    options: FitOptions<R>,
  ): Promise<FitHistory> {
    return training.fit(net, optimizer, data, options);
  }

  /**
   * Weights and optimiser state at one point of a run, in main memory: after the steps asked for so far, before any asked for later.
   *
   *     const { weights, state } = await engine.snapshot(net, optimizer);
   *     net.setWeights(weights);
   *     optimizer.restore(state);
   *
   * @throws (by rejection) ArgumentError for what is no network or optimiser, or is disposed of, DeviceLostError
   */
  snapshot(net: SavedNetwork, optimizer: SavedOptimizer): Promise<Snapshot> {
    return snapshot(net, optimizer);
  }

  /**
   * Times the forms of the product kernels for the sizes that `work` comes to, alone on the device, and takes the fastest of each
   * from then on. Without it the choice follows a model of GPUs in general. Takes a second or so; once, where `storage` remembers it.
   * Numbers may then differ in their last bits from those without it, since forms add up in orders of their own.
   *
   *     await engine.autotune(() => optimizer.step(batch), { storage: localStorage });
   *
   * @param work runs once and does what is to be fast; nothing else should use the engine meanwhile
   * @returns what was measured, for each dispatch of products
   * @throws (by rejection) ArgumentError for bad arguments, and what `work` throws
   */
  autotune(work: () => unknown, options: AutotuneOptions = {}): Promise<TunedProducts[]> {
    return autotune(this.manager, work, options);
  }

  /** K-FAC's preconditioner alone, on the caller's buffers and encoder. @throws ArgumentError, FeatureError, LimitError */
  preconditioner(
    layers: readonly PreconditionedLayer[],
    options: PreconditionerOptions = {},
  ): Preconditioner {
    return new Preconditioner(this.manager, layers, options);
  }

  /** The adapter and the registration table: what K-FAC does with each kind of layer. Unknown kinds are refused. */
  describe(): string {
    const { adapter, software, features } = this.capabilities;
    const lines = [
      `adapter   ${adapter}${software ? " (software)" : ""}`,
      `features  ${features.join(" ") || "none"}`,
    ];
    for (const [treatment, kinds] of byTreatment()) lines.push(`layer     ${kinds.join(", ")}: ${treatment}`);
    lines.push("layer     anything else: refused");
    return lines.join("\n");
  }

  /** Frees all GPU memory of the engine, and the device if it is the engine's own. */
  dispose(): void {
    this.manager.dispose();
    this.#handle.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}

/** Names of the registered kinds by what K-FAC does with them. */
function byTreatment(): Map<string, string[]> {
  const kinds = new Map<string, string[]>();
  for (const { kind, treatment } of layerKinds())
    kinds.set(treatment, [...(kinds.get(treatment) ?? []), kind]);
  return kinds;
}

/**
 * Opens an engine: on the caller's `device`, which is borrowed and never changed or destroyed, or on a device of its own.
 *
 * @throws ArgumentError for a bad option, NoAdapterError when there is no WebGPU or no adapter, LimitError when the device offers too little.
 */
export async function createEngine(options: DeviceOptions = {}): Promise<Engine> {
  return new Engine(await openDevice(options));
}
