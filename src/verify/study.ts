/** A layer's exact curvature and its approximations on the engine, formed, so that they can be compared. */
import { type ApproximationKind, createApproximation } from "../curvature/approximations/kinds.js";
import { GgnBlock } from "../curvature/exact/ggn.js";
import { type CurvatureOperator, denseHessian } from "../curvature/exact/operator.js";
import type { Engine } from "../engine.js";
import { toF64 } from "../host/index.js";
import type { FisherOptions, Pass } from "../model/index.js";
import type { Loss, Module } from "../network/index.js";
import { type Matrix, relativeError } from "../reference/index.js";

/** A network, its data and what its curvature is made of. */
export interface StudyOptions {
  modules: readonly Module[];
  loss: Loss;
  /** N × features, an image's numbers in the order (channel, y, x). */
  X: Matrix;
  /** Classes, or N × outputs. */
  targets: Uint32Array | Matrix;
  /** [channels, height, width] of images. */
  input?: readonly [number, number, number];
  /** Of each layer with weights, out × in; defaults to the engine's own. */
  weights?: readonly Matrix[];
  fisher?: FisherOptions;
}

/** A network after one recorded pass. */
export class Study implements Disposable {
  readonly #engine: Engine;
  readonly #network: ReturnType<Engine["network"]>;
  readonly #pass: Pass;

  constructor(engine: Engine, options: StudyOptions) {
    const { modules, loss, X, targets, input, weights, fisher = { kind: "exact" } } = options;
    this.#engine = engine;
    this.#network = engine.network(modules, loss, { batchSize: X.rows, seed: 7, input, fisher });
    try {
      if (weights) this.#network.setWeights(weights.map(({ data }) => Float32Array.from(data)));
      const values = targets instanceof Uint32Array ? targets : Float32Array.from(targets.data);
      this.#network.load({ inputs: Float32Array.from(X.data), targets: values, count: X.rows });
      const recorder = engine.manager.record();
      this.#pass = this.#network.recordPass(recorder, fisher);
      recorder.submit();
    } catch (error) {
      this.dispose();
      throw error;
    }
  }

  /** H of a layer, formed from the engine's own products. */
  async exact(layer = 0): Promise<Matrix> {
    const block = new GgnBlock(this.#engine.manager, this.#layer(layer));
    try {
      return await this.#dense(block.over(this.#layer(layer)));
    } finally {
      block.dispose();
    }
  }

  /** H̃, formed. */
  async approximation(kind: ApproximationKind, layer = 0): Promise<Matrix> {
    const { manager } = this.#engine;
    const made = createApproximation(manager, this.#layer(layer), kind);
    try {
      const recorder = manager.record();
      made.fit(recorder, this.#layer(layer));
      recorder.submit();
      return await this.#dense(made);
    } finally {
      made.dispose();
    }
  }

  /** ‖H̃ − H‖/‖H‖ of each kind. */
  async errors<K extends ApproximationKind>(kinds: readonly K[], layer = 0): Promise<Record<K, number>> {
    const H = await this.exact(layer);
    const result = {} as Record<K, number>;
    for (const kind of kinds) result[kind] = relativeError(await this.approximation(kind, layer), H);
    return result;
  }

  dispose(): void {
    this.#network.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  #layer(index: number) {
    return this.#pass.layers[index]!;
  }

  async #dense(operator: CurvatureOperator): Promise<Matrix> {
    return toF64(await denseHessian(this.#engine.manager, operator));
  }
}

/** Runs `body` on a study that is disposed of at the end. */
export async function studied<T>(
  engine: Engine,
  options: StudyOptions,
  body: (study: Study) => Promise<T>,
): Promise<T> {
  const study = new Study(engine, options);
  try {
    return await body(study);
  } finally {
    study.dispose();
  }
}
