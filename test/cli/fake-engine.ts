/** An engine on the reference's arithmetic, with weights and state in f32: enough for the commands around it. */

import type {
  Batch,
  Engine,
  Network,
  NetworkPlan,
  Optimizer,
  OptimizerKind,
  OptimizerState,
} from "../../src/cli/engine.js";
import { AbortedError, CheckpointError } from "../../src/errors.js";
import {
  activation,
  eigh,
  forward,
  gram,
  initialWeights,
  invert,
  type LossKind,
  linear,
  lossAndGradients,
  matmul,
  matrix,
  norm,
  type Network as ReferenceNetwork,
  sandwich,
  type Targets,
} from "../../src/reference/index.js";
import type { Certificate } from "../../src/verify/index.js";
import { f32, f64, fakeConvolution, fakeKroneckerSum } from "./fake-systems.js";

const LOSS: Record<NetworkPlan["loss"], LossKind> = {
  softmax: "softmaxCrossEntropy",
  squared: "halfSquaredError",
  sigmoid: "sigmoidCrossEntropy",
};

class FakeNetwork implements Network {
  readonly plan: NetworkPlan;
  readonly values: Float32Array[];
  readonly layers: Network["layers"];

  constructor(plan: NetworkPlan) {
    this.plan = plan;
    const sizes = plan.sizes.map(Number);
    this.layers = sizes.slice(1).map((out, l) => ({ name: `dense${l + 1}`, in: sizes[l]! + 1, out }));
    this.values = this.layers.map((layer, layerIndex) =>
      Float32Array.from(initialWeights(layer.out, layer.in - 1, { seed: plan.seed, layerIndex }).data),
    );
  }

  reference(): ReferenceNetwork {
    return this.layers.flatMap((layer, l) => [
      linear(matrix(layer.out, layer.in, this.values[l]!)),
      ...(l < this.layers.length - 1 ? [activation(this.plan.activation)] : []),
    ]);
  }

  lossAndGradients({ inputs, targets, count }: Batch) {
    const X = matrix(count, Number(this.plan.sizes[0]), inputs);
    const T: Targets =
      targets instanceof Uint32Array ? targets : matrix(count, targets.length / count, targets);
    return lossAndGradients(this.reference(), LOSS[this.plan.loss], X, T);
  }

  async weights() {
    return this.values.map((w) => w.slice());
  }

  setWeights(weights: Float32Array[]) {
    weights.forEach((w, l) => {
      this.values[l]!.set(w);
    });
  }

  async evaluate(supplier: (start: number, end: number) => Batch, { total }: { total: number }) {
    const batch = supplier(0, total);
    const { loss, outputs } = this.lossAndGradients(batch);
    let right = 0;
    for (let i = 0; i < total; i++) {
      const row = [...outputs.data.subarray(i * outputs.cols, (i + 1) * outputs.cols)];
      if (row.indexOf(Math.max(...row)) === batch.targets[i]) right++;
    }
    return { loss, accuracy: right / total, count: total };
  }

  async predict(inputs: Float32Array, count: number) {
    return Float32Array.from(
      forward(this.reference(), matrix(count, Number(this.plan.sizes[0]), inputs)).outputs.data,
    );
  }

  dispose() {}
}

/** Plain SGD with momentum, under any name; kfac's records have layers. */
class FakeOptimizer implements Optimizer {
  readonly name: OptimizerKind;
  learningRate = 0.1;
  readonly #network: FakeNetwork;
  readonly #hooks: FakeHooks;
  #count = 0;
  #velocity: Float32Array[];

  constructor(name: OptimizerKind, network: FakeNetwork, hooks: FakeHooks) {
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
    const layers = this.#network.layers.map(({ name }) => ({ name, lambda: 0.1, pi: 1, text: "ok" }));
    return {
      step,
      loss: this.#hooks.loss?.(step) ?? loss,
      accuracy: 0.5,
      status: "ok",
      gradientNorm: norm(gradients[0]!),
      updateNorm: 0.1,
      learningRate: 0.1,
      ...(this.name === "kfac" ? { lambda: 0.1, layers } : {}),
    };
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
}

export interface FakeHooks {
  onStep?: (step: number) => void;
  /** Stands in for the real loss of a step. */
  loss?: (step: number) => number | undefined;
  /** The batch that was compared on. */
  compared?: Batch;
  /** What verifying finds. */
  certificates?: Certificate[];
  /** Open engines, to see that all were disposed. */
  open?: number;
}

export function fakeEngine(hooks: FakeHooks = {}): Engine {
  hooks.open = (hooks.open ?? 0) + 1;
  return {
    capabilities: { adapter: "fake adapter", software: true },
    network: (plan) => new FakeNetwork(plan),
    optimizer: (kind, network) => new FakeOptimizer(kind, network as FakeNetwork, hooks),
    gram: async ({ A }) => f32(gram({ A: (Array.isArray(A) ? A : [A]).map(f64) })),
    matmul: async (A, B, options) => f32(matmul(f64(A), f64(B), options)),
    invert: async (S, { damping }) => {
      const { inverse, status } = invert(f64(S), damping > 0 ? { damping } : {});
      // As inexact as f32 is.
      const rounded = f32(inverse);
      rounded.data.forEach((x, k) => {
        rounded.data[k] = x * (1 + 1e-4 * Math.sin(k + 1));
      });
      return { inverse: rounded, status };
    },
    sandwich: async (P, G, Q) => f32(sandwich(f64(P), f64(G), f64(Q))),
    eigh: async (S) => {
      const { values, vectors } = eigh(f64(S));
      return { values: Float32Array.from(values), vectors: f32(vectors), status: 0 };
    },
    kroneckerSum: fakeKroneckerSum,
    convolution: fakeConvolution,
    compare: async (network, batch, { damping, onProgress }) => {
      hooks.compared = batch;
      onProgress?.("dense1", 1, 1);
      const { name, in: cols, out: rows } = network.layers[0]!;
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
    verify: async ({ onProgress, signal }) => {
      const certificates = hooks.certificates ?? [];
      onProgress?.({ group: "everything", done: 1, total: 1, certificates });
      if (signal?.aborted) throw new AbortedError("verify", signal.reason);
      return certificates;
    },
    dispose: () => {
      hooks.open = (hooks.open ?? 1) - 1;
    },
  };
}
