import type { Batch, FisherKind } from "../../src/curvature/index.js";
import type { Module, Network } from "../../src/network/index.js";
import type { Optimizer, StepRecord } from "../../src/optimizers/index.js";
import { initialKfacTrainingState, kfacGraphStep } from "../../src/reference/kfac-training.js";
import { type Layer, networkGraph, weightsOf, withWeights } from "../../src/reference/network.js";
import { assert, assertClose } from "../harness/kernel-test.js";
import { matrixOf, targetsOf } from "../network/helpers.js";

export interface TwinOptions {
  learningRate: number;
  damping: number;
  momentum: number;
  emaDecay: number;
  factorEvery: number;
  inverseEvery: number;
  klClip: number;
  weightDecay: number;
  fisher: FisherKind;
  samples: number;
  seed: number;
}

/** The reference's K-FAC on a dense network in f64, batch by batch. */
export class KfacTwin {
  clip = 1;
  gradientNorm = 0;
  updateNorm = 0;
  loss = 0;
  network: Layer[];
  readonly #options: TwinOptions;
  #state: ReturnType<typeof initialKfacTrainingState>;

  constructor(network: Layer[], options: TwinOptions) {
    this.network = network;
    this.#options = options;
    this.#state = initialKfacTrainingState(networkGraph(network).weights);
  }

  take(batch: Batch, net: Network): void {
    const X = matrixOf(batch.inputs, batch.count, net.features);
    const targets = targetsOf(batch, net.outputs);
    const { graph, weights } = networkGraph(this.network);
    const result = kfacGraphStep(
      graph,
      weights,
      net.loss.kind,
      { inputs: { inputs: X }, targets },
      this.#state,
      this.#options,
    );
    this.#state = result.state;
    ({
      clip: this.clip,
      gradientNorm: this.gradientNorm,
      updateNorm: this.updateNorm,
      loss: this.loss,
    } = result);
    this.network = withWeights(this.network, Object.values(result.weights));
  }
}

/** All weights of a network, one after another. */
export function flat(weights: readonly ArrayLike<number>[]): Float64Array {
  return Float64Array.from(weights.flatMap((own) => Array.from(own)));
}

/** How far the weights have moved: a sharper thing to compare than the weights. */
export function moved(
  after: readonly ArrayLike<number>[],
  before: readonly ArrayLike<number>[],
): Float64Array {
  const start = flat(before);
  return flat(after).map((w, k) => w - start[k]!);
}

/** Weights of the f64 network. */
export function flatTwin(network: readonly Layer[]): Float64Array[] {
  return weightsOf(network).map((W) => W.data);
}

/** Bit for bit. */
export function assertSame(
  actual: readonly (Float32Array | Uint32Array)[],
  expected: readonly (Float32Array | Uint32Array)[],
  what: string,
): void {
  assert(actual.length === expected.length, `${what}: ${actual.length} arrays, expected ${expected.length}`);
  for (const [l, own] of actual.entries()) {
    const bits = (x: Float32Array | Uint32Array) => new Uint32Array(x.buffer, x.byteOffset, x.length);
    const [a, b] = [bits(own), bits(expected[l]!)];
    assert(a.length === b.length, `${what}: lengths differ`);
    const at = a.findIndex((word, k) => word !== b[k]);
    assert(at < 0, `${what}: array ${l} differs at ${at}: ${own[at]} and ${expected[l]![at]}`);
  }
}

/** Every number in a record is finite. */
export function assertRecord(record: StepRecord, what: string): void {
  const visit = (value: unknown, path: string) => {
    if (typeof value === "number") assert(Number.isFinite(value), `${what}: ${path} is ${value}`);
    else if (typeof value === "object" && value !== null) {
      for (const [name, part] of Object.entries(value)) visit(part, `${path}.${name}`);
    }
  };
  visit(record, "record");
}

export type { Batch, Module, Optimizer };
export { assertClose };
