import { FUNCTION, must, OBJECT } from "../arguments.js";
import { type DeviceHandle, dryRun } from "../device/index.js";
import type { Graph, Loss, Module, Network, NetworkOptions } from "../network/index.js";
import type { Optimizer } from "../optimizers/index.js";
import type { PipelineManager } from "../pipeline/index.js";

/** What training a network on a device would take. Bytes are of GPU memory. */
export interface Plan {
  /** Numbers that training changes, biases counted. */
  readonly parameters: number;
  readonly bytes: {
    /** W of all layers, laid out for kernels. */
    readonly weights: number;
    /** G, as large as W. */
    readonly gradients: number;
    /** What passes keep of a batch: inputs, values, derivatives, targets. */
    readonly activations: number;
    /** The optimiser's own: factors, inverses, momentum, the weights before a step. */
    readonly optimizer: number;
    /** What steps take and give back, tables of sizes, and read-backs of four steps under way. */
    readonly scratch: number;
    readonly total: number;
  };
  /** The part of a buffer that a device must be able to bind at once. */
  readonly largestBinding: { readonly label: string; readonly bytes: number };
  /** Dispatches of a step: of the shortest of the first few, and of the longest, which renews all that the optimiser renews. */
  readonly dispatches: { readonly least: number; readonly most: number };
}

/** A network's options, and how it is to be trained. */
export interface PlanOptions<E> extends NetworkOptions {
  /** Makes the optimiser; K-FAC with its defaults unless given. */
  readonly optimizer?: (engine: E, net: Network) => Optimizer;
}

/** An engine, as planning needs it. */
export interface Planner extends Disposable {
  readonly manager: PipelineManager;
  network(description: readonly Module[] | Graph, loss: Loss, options?: NetworkOptions): Network;
  kfac(net: Network): Optimizer;
}

/** Steps that are tried: K-FAC renews inverses at steps 1, 2 and 4 at first, and not at the third. */
const STEPS = 4;

/**
 * Finds out what training would take by training on a device that makes nothing: the code is the same, so that the figures are those
 * of the network that `network` would make, and what the device cannot hold is refused as it would be there.
 *
 * @param open makes an engine on the device that is given
 * @throws (by rejection) what `network`, the optimiser and its steps throw: LimitError, ShapeError, ArgumentError, …
 */
export async function plan<E extends Planner>(
  handle: DeviceHandle,
  open: (handle: DeviceHandle) => E,
  description: readonly Module[] | Graph,
  loss: Loss,
  given: PlanOptions<E> = {},
): Promise<Plan> {
  must("plan", "options", given, OBJECT);
  const { optimizer: make = (engine: E, net: Network) => engine.kfac(net), ...options } = given;
  must("plan", "optimizer", make, FUNCTION);
  handle.assertUsable();
  const run = dryRun(handle);
  const engine = open(run.handle);
  const live = () => engine.manager.counts.liveBytes;
  const net = engine.network(description, loss, options);
  const parameters = net.describe().reduce((sum, layer) => sum + layer.parameters, 0);
  const network = live();
  const optimizer = make(engine, net);
  const trained = live();
  const dispatches: number[] = [];
  const records: Promise<unknown>[] = [];
  const targets = loss.kind === "softmaxCrossEntropy" ? new Uint32Array() : new Float32Array();
  for (let step = 0; step < STEPS; step++) {
    const before = run.dispatches;
    const record = optimizer.step({ inputs: new Float32Array(), targets, count: net.batchSize });
    // The first waits until all kernels are "compiled"; from then on they are sent at once.
    if (step === 0) await record;
    records.push(record);
    dispatches.push(run.dispatches - before);
  }
  const total = live();
  await Promise.all(records);
  const weights = net.parameters.size;
  const gradients = net.gradients.size;
  return {
    parameters,
    bytes: {
      ...{ weights, gradients, activations: network - weights - gradients },
      ...{ optimizer: trained - network, scratch: total - trained, total },
    },
    largestBinding: run.largestBinding,
    dispatches: { least: Math.min(...dispatches), most: Math.max(...dispatches) },
  };
}
