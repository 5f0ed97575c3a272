/** A library on the reference's arithmetic, with weights and state in f32: enough for the commands around it. */
import type { LayerStatus } from "../../src/curvature/index.js";
import type { Engine } from "../../src/engine.js";
import { AbortedError, CheckpointError, LimitError } from "../../src/errors.js";
import type { Batch, BatchSupplier, LayerSize } from "../../src/model/index.js";
import type {
  ActivationModule,
  DenseModule,
  Evaluation,
  Loss,
  Module,
  Network,
} from "../../src/network/index.js";
import * as library from "../../src/node.js";
import type { ControlReport, Optimizer, OptimizerState } from "../../src/optimizers/index.js";
import {
  activation,
  forward,
  initialWeights,
  linear,
  lossAndGradients,
  matrix,
  norm,
  type Network as ReferenceNetwork,
  type Targets,
} from "../../src/reference/index.js";
import { solveWith } from "../../src/solve/newton.js";
import type { Certificate } from "../../src/verify/index.js";
import { fakeArithmetic } from "../solve/fake-arithmetic.js";

const STATUS: LayerStatus = {
  name: "",
  lambda: 0.1,
  pi: 1,
  boost: 1,
  batches: { A: 1, B: 1 },
  ready: true,
  status: { A: 0, B: 0 },
  failures: 0,
  skipped: 0,
  text: "ok",
};

/** What commands use of a network. */
type UsedNetwork = Pick<Network, "loss" | "weights" | "setWeights" | "evaluate" | "predict" | "dispose"> & {
  readonly layers: readonly LayerSize[];
};

/** Of dense layers with one activation between them. */
class FakeNetwork implements UsedNetwork {
  readonly loss: Loss;
  readonly sizes: readonly number[];
  readonly activation: ActivationModule["kind"];
  readonly values: Float32Array[];
  readonly layers: readonly LayerSize[];

  constructor(modules: readonly Module[], loss: Loss, seed: number) {
    const layers = modules.filter((module): module is DenseModule => module.kind === "dense");
    const sizes = [layers[0]!.in, ...layers.map(({ out }) => out)];
    this.loss = loss;
    this.sizes = sizes;
    this.activation = modules
      .map(({ kind }) => kind)
      .find((kind) => kind !== "dense") as typeof this.activation;
    this.layers = sizes.slice(1).map((out, l) => ({ name: `dense${l + 1}`, in: sizes[l]! + 1, out }));
    this.values = this.layers.map((layer, layerIndex) =>
      Float32Array.from(initialWeights(layer.out, layer.in - 1, { seed, layerIndex }).data),
    );
  }

  reference(): ReferenceNetwork {
    return this.layers.flatMap((layer, l) => [
      linear(matrix(layer.out, layer.in, this.values[l]!)),
      ...(l < this.layers.length - 1 ? [activation(this.activation)] : []),
    ]);
  }

  lossAndGradients({ inputs, targets, count }: Batch) {
    const X = matrix(count, this.sizes[0]!, inputs);
    const T: Targets =
      targets instanceof Uint32Array ? targets : matrix(count, targets.length / count, targets);
    return lossAndGradients(this.reference(), this.loss.kind, X, T);
  }

  async weights() {
    return this.values.map((w) => w.slice());
  }

  setWeights(weights: readonly Float32Array[]) {
    weights.forEach((w, l) => {
      this.values[l]!.set(w);
    });
  }

  evaluate(data: Batch): Promise<Evaluation>;
  evaluate(supplier: BatchSupplier, options: { total: number }): Promise<Evaluation>;
  async evaluate(data: Batch | BatchSupplier, options?: { total?: number }): Promise<Evaluation> {
    if (typeof data !== "function") throw new Error("commands pass suppliers");
    const total = options?.total ?? 0;
    const batch = data(0, total);
    const { loss, outputs } = this.lossAndGradients(batch);
    let right = 0;
    for (let i = 0; i < total; i++) {
      const row = [...outputs.data.subarray(i * outputs.cols, (i + 1) * outputs.cols)];
      if (row.indexOf(Math.max(...row)) === batch.targets[i]) right++;
    }
    return { loss, accuracy: right / total, count: total };
  }

  async predict(inputs: unknown, examples?: unknown) {
    const [numbers, count] = [inputs as Float32Array, examples as number];
    return Float32Array.from(forward(this.reference(), matrix(count, this.sizes[0]!, numbers)).outputs.data);
  }

  dispose() {}
}

/** Plain SGD with momentum, under any name; kfac's records have layers. */
class FakeOptimizer implements Pick<Optimizer, "step" | "state" | "restore" | "dispose" | "learningRate"> {
  readonly name: Optimizer["name"];
  learningRate = 0.1;
  readonly #network: FakeNetwork;
  readonly #hooks: FakeHooks;
  #count = 0;
  #velocity: Float32Array[];

  constructor(name: Optimizer["name"], network: FakeNetwork, hooks: FakeHooks) {
    this.name = name;
    this.#network = network;
    this.#hooks = hooks;
    this.#velocity = network.values.map((w) => new Float32Array(w.length));
  }

  async step(batch: Batch) {
    const { loss, gradients } = this.#network.lossAndGradients(batch);
    gradients.forEach((G, l) => {
      const v = this.#velocity[l]!;
      const w = this.#network.values[l]!;
      for (let k = 0; k < w.length; k++) {
        v[k] = 0.9 * v[k]! + G.data[k]!;
        w[k]! -= 0.1 * v[k]!;
      }
    });
    this.#count++;
    const step = this.#count;
    await new Promise((resolve) => setTimeout(resolve, 0));
    this.#hooks.onStep?.(step);
    const layers = this.#network.layers.map(({ name }) => ({ ...STATUS, name }));
    const verdict = this.#hooks.verdict?.(step);
    return {
      step,
      loss: this.#hooks.loss?.(step) ?? loss,
      accuracy: 0.5,
      status: verdict === undefined || verdict === "taken" ? "ok" : `batch ${verdict}`,
      gradientNorm: norm(gradients[0]!),
      updateNorm: 0.1,
      clip: 1,
      learningRate: 0.1,
      skippedLayers: 0,
      ...(this.name === "kfac" ? { lambda: 0.1, layers } : {}),
      ...(verdict && { verdict }),
    };
  }

  get steps() {
    return this.#count;
  }

  async state(): Promise<OptimizerState> {
    const state: OptimizerState = { count: Uint32Array.of(this.#count) };
    this.#velocity.forEach((v, l) => {
      state[`velocity${l}`] = v.slice();
    });
    return state;
  }

  restore(state: OptimizerState) {
    const count = state.count?.[0];
    if (count === undefined) throw new CheckpointError("optimizer", "has no count");
    this.#count = count;
    this.#velocity = this.#velocity.map((_, l) => Float32Array.from(state[`velocity${l}`]!));
  }

  dispose() {}

  [Symbol.dispose]() {}
}

export interface FakeHooks {
  onStep?: (step: number) => void;
  /** Stands in for the real loss of a step. */
  loss?: (step: number) => number | undefined;
  /** What the optimiser makes of a batch. */
  verdict?: (step: number) => ControlReport["verdict"];
  /** The batch that was compared on. */
  compared?: Batch;
  /** What verifying finds. */
  certificates?: Certificate[];
  /** Open engines, to see that all were disposed. */
  open?: number;
}

/** What commands use of an engine. */
type UsedEngine = Pick<Engine, "network" | "dataset" | "kfac" | "sgd" | "adam" | "dispose"> & {
  readonly manager: Pick<Engine["manager"], "allocating">;
  readonly capabilities: Pick<Engine["capabilities"], "adapter" | "software">;
};

function fakeEngine(hooks: FakeHooks): UsedEngine {
  hooks.open = (hooks.open ?? 0) + 1;
  const optimizer = (kind: Optimizer["name"]) => (network: unknown) =>
    new FakeOptimizer(kind, network as FakeNetwork, hooks) as unknown;
  return {
    capabilities: { adapter: "fake adapter", software: true },
    manager: { allocating: async (_, allocate) => allocate() },
    // Data stays in main memory.
    dataset: () => {
      throw new LimitError("maxBufferSize", 1, 0);
    },
    network: (modules, loss, options) =>
      new FakeNetwork(modules as readonly Module[], loss, options?.seed ?? 0) as UsedNetwork as Network,
    kfac: optimizer("kfac") as Engine["kfac"],
    sgd: optimizer("sgd") as Engine["sgd"],
    adam: optimizer("adam") as Engine["adam"],
    dispose: () => {
      hooks.open = (hooks.open ?? 1) - 1;
    },
  };
}

/** The library with stand-ins for all that needs a GPU. */
export function fakeLibrary(hooks: FakeHooks = {}): typeof library {
  return {
    ...library,
    createNodeEngine: async () => fakeEngine(hooks) as Engine,
    solveNewton: ((_, problem) => solveWith(fakeArithmetic, problem)) as typeof library.solveNewton,
    compareLayers: async (_, model, batch, { damping, onProgress }) => {
      hooks.compared = batch;
      onProgress?.("dense1", 1, 1);
      const { name, in: cols, out: rows } = model.layers[0]!;
      const cg = { status: "converged" as const, iterations: 7, residuals: [1, 0], certificate: 1e-6 };
      const step = { cosine: 0.9, share: -0.5, shareAtBestStep: 0.8, bestStep: 0.25, cg, status: 0 };
      return [
        {
          ...{ layer: name, rows, cols, positions: 1, examples: batch.count, columns: 3, damping },
          ...{ tolerance: 1e-5, estimated: true, certificate: 1e-6, seconds: { expand: 0.01 } },
          approximations: [
            { name: "none" as const, error: undefined, size: undefined, ...step },
            { name: "expand" as const, error: 0.7, size: 0.1, ...step },
          ],
        },
      ];
    },
    verify: async (_, { onProgress, signal } = {}) => {
      const certificates = hooks.certificates ?? [];
      onProgress?.({ group: "everything", done: 1, total: 1, certificates });
      if (signal?.aborted) throw new AbortedError("verify", signal.reason);
      return certificates;
    },
  };
}
