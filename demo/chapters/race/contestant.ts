// One network with its optimiser.
import {
  type DatasetBatch,
  dense,
  type Engine,
  type Kfac,
  type Module,
  type Network,
  type Optimizer,
  type OptimizerState,
  relu,
  type StepRecord,
  softmaxCrossEntropy,
} from "kfac-webgpu";
import { type Kind, type LiveSettings, MOMENTUM, type RacePlan } from "./settings.js";

/** All that it takes to go on, in main memory. */
export interface Snapshot {
  weights: Float32Array[];
  state: OptimizerState;
  seconds: number;
}

export type KfacRecord = Awaited<ReturnType<Kfac["step"]>>;

export interface TurnOutcome {
  milliseconds: number;
  /** K-FAC's. */
  records: readonly KfacRecord[];
}

/** features-…hidden…-classes with ReLU between. */
export function modulesOf(features: number, hidden: readonly number[], classes: number): Module[] {
  const sizes = [features, ...hidden, classes];
  return sizes.slice(1).flatMap((out, l) => {
    const layer = dense(sizes[l]!, out, { name: `layer ${l + 1}` });
    return l < sizes.length - 2 ? [layer, relu()] : [layer];
  });
}

export class Contestant {
  readonly kind: Kind;
  readonly network: Network;
  readonly #engine: Engine;
  readonly #seed: number;
  #optimizer: Optimizer;
  /** Of its own steps so far. */
  seconds = 0;

  constructor(
    engine: Engine,
    kind: Kind,
    sizes: { features: number; classes: number; capacity: number },
    plan: RacePlan,
    settings: LiveSettings,
  ) {
    this.kind = kind;
    this.#engine = engine;
    this.#seed = plan.seed;
    this.network = engine.network(
      modulesOf(sizes.features, plan.hidden, sizes.classes),
      softmaxCrossEntropy(),
      { batchSize: sizes.capacity, seed: plan.seed },
    );
    this.#optimizer = this.#make(settings);
  }

  get steps(): number {
    return this.#optimizer.steps;
  }

  /** The optimiser's own, for a look at its factors; undefined for the others. */
  get kfac(): Kfac | undefined {
    return this.#optimizer.name === "kfac" ? (this.#optimizer as Kfac) : undefined;
  }

  /** A few steps, sent one after another; resolves when the last one's record is back. */
  async turn(count: number, batch: (step: number) => DatasetBatch): Promise<TurnOutcome> {
    const batches = Array.from({ length: count }, (_, k) => batch(this.steps + k));
    const start = performance.now();
    const records = await Promise.all(batches.map((one) => this.#optimizer.step(one)));
    const milliseconds = performance.now() - start;
    this.seconds += milliseconds / 1000;
    return {
      milliseconds,
      records: this.kfac ? (records as readonly StepRecord[] as readonly KfacRecord[]) : [],
    };
  }

  /** Settings for the next step on. Another period or kind of Fisher takes a new optimiser with the old one's state. */
  async adjust(settings: LiveSettings, rebuild: boolean): Promise<void> {
    if (rebuild && this.kind === "kfac") {
      const state = await this.#optimizer.state();
      const next = this.#make(settings);
      next.restore(state);
      this.#optimizer.dispose();
      this.#optimizer = next;
    }
    const { learningRates, damping } = settings;
    if (this.kfac) this.kfac.change({ learningRate: learningRates.kfac, damping });
    else if (this.kind !== "kfac") this.#optimizer.learningRate = learningRates[this.kind];
  }

  async snapshot(): Promise<Snapshot> {
    return { ...(await this.#engine.snapshot(this.network, this.#optimizer)), seconds: this.seconds };
  }

  restore({ weights, state, seconds }: Snapshot): void {
    this.network.setWeights(weights);
    this.#optimizer.restore(state);
    this.seconds = seconds;
  }

  dispose(): void {
    this.#optimizer.dispose();
    this.network.dispose();
  }

  #make({ learningRates, damping, inverseEvery, fisher }: LiveSettings): Optimizer {
    switch (this.kind) {
      case "kfac": {
        const more = { damping, inverseEvery, fisher, seed: this.#seed };
        return this.#engine.kfac(this.network, { learningRate: learningRates.kfac, ...more });
      }
      case "adam":
        return this.#engine.adam(this.network, { learningRate: learningRates.adam });
      case "sgd":
        return this.#engine.sgd(this.network, { learningRate: learningRates.sgd, momentum: MOMENTUM });
    }
  }
}
