import type { Batch, FisherKind } from "../../src/curvature/index.js";
import type { Module, Network } from "../../src/network/index.js";
import type { Optimizer, StepRecord } from "../../src/optimizers/index.js";
import { klClipFactor, precondition, updateFactors } from "../../src/reference/kfac.js";
import { add, type Matrix, matrix } from "../../src/reference/matrix.js";
import {
  batchFactors,
  curvatureRows,
  type Factors,
  type Layer,
  lossAndGradients,
  weightsOf,
  withWeights,
} from "../../src/reference/network.js";
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

/** Whether step `number` inverts: every `inverseEvery` steps from the first on, and at 1, 2, 4, 8 … before that. */
export function inverts(number: number, inverseEvery: number): boolean {
  if (number < inverseEvery && [1, 2, 4, 8, 16, 32].includes(number)) return true;
  return number % inverseEvery === 1 % inverseEvery;
}

/** K-FAC on a dense network in f64: the schedule written out, everything else from the reference. */
export class KfacTwin {
  network: Layer[];
  step = 0;
  clip = 1;
  gradientNorm = 0;
  updateNorm = 0;
  loss = 0;
  readonly #options: TwinOptions;
  #taken = 0;
  #means: (Factors | undefined)[];
  #inverted: (Factors | undefined)[];
  #velocity: Matrix[];

  constructor(network: Layer[], options: TwinOptions) {
    this.network = network;
    this.#options = options;
    const weights = weightsOf(network);
    this.#means = weights.map(() => undefined);
    this.#inverted = weights.map(() => undefined);
    this.#velocity = weights.map((W) => matrix(W.rows, W.cols));
  }

  take(batch: Batch, net: Network): void {
    const { learningRate, damping, momentum, emaDecay, klClip, weightDecay } = this.#options;
    const { factorEvery, inverseEvery, fisher, samples, seed } = this.#options;
    const number = ++this.step;
    const kind = net.loss.kind;
    const X = matrixOf(batch.inputs, batch.count, net.features);
    const targets = targetsOf(batch, net.outputs);
    const { loss, gradients } = lossAndGradients(this.network, kind, X, targets);
    this.loss = loss;
    if (number % factorEvery === 1 % factorEvery) {
      const how =
        fisher === "monteCarlo"
          ? { kind: fisher, seed, step: number, samples }
          : fisher === "empirical"
            ? { kind: fisher, targets }
            : { kind: fisher };
      const fresh = batchFactors(curvatureRows(this.network, kind, X, how));
      this.#taken++;
      this.#means = this.#means.map((old, l) => updateFactors(old, fresh[l]!, this.#taken, emaDecay));
    }
    if (inverts(number, inverseEvery)) this.#inverted = [...this.#means];
    const weights = weightsOf(this.network);
    const full = gradients.map((G, l) => add(G, weights[l]!, 1, weightDecay));
    const updates = full.map((G, l) => precondition(this.#inverted[l]!, G, damping).update);
    this.clip = klClip > 0 ? klClipFactor(full, updates, learningRate, klClip) : 1;
    this.gradientNorm = normOf(full);
    this.updateNorm = learningRate * this.clip * normOf(updates);
    this.#velocity = this.#velocity.map((V, l) => add(V, updates[l]!, momentum, this.clip));
    this.network = withWeights(
      this.network,
      weights.map((W, l) => add(W, this.#velocity[l]!, 1, -learningRate)),
    );
  }
}

function normOf(matrices: readonly Matrix[]): number {
  return Math.sqrt(matrices.reduce((sum, M) => sum + M.data.reduce((all, x) => all + x * x, 0), 0));
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
