import { openDevice } from "../../src/device/index.js";
import { ArgumentError } from "../../src/errors.js";
import type { Matrix as View } from "../../src/linalg/index.js";
import type {
  AnyBatch,
  Batch,
  Curved,
  FactorRows,
  FactorStatistics,
  FisherOptions,
  Pass,
  CurvatureRows as PassColumns,
} from "../../src/model/index.js";
import type { ActivationModule, DenseModule, Loss, Module, Network } from "../../src/network/index.js";
import { PipelineManager, type Recorder } from "../../src/pipeline/index.js";
import { type Matrix, matrix } from "../../src/reference/matrix.js";
import type { CurvatureRows } from "../../src/reference/network.js";
import {
  activation,
  curvatureRows,
  type Layer,
  type LossAndGradients,
  linear,
  lossAndGradients,
} from "../../src/reference/network.js";
import {
  assert,
  assertClose,
  assertEqual,
  assertThrows,
  POISON,
  type Random,
  type TestContext,
} from "../harness/kernel-test.js";

/** A manager on the test's device; `dispose()` it at the end. */
export async function openManager(t: TestContext): Promise<PipelineManager> {
  return new PipelineManager(await openDevice({ device: t.device }));
}

export function matrixOf(data: ArrayLike<number>, rows: number, cols: number): Matrix {
  const out = matrix(rows, cols);
  out.data.set(data);
  return out;
}

/** The f64 network of the same weights. */
export async function twin(net: Network, modules: readonly Module[]): Promise<Layer[]> {
  const weights = await net.weights();
  let l = 0;
  return modules.map((module) => {
    if (module.kind !== "dense") {
      const { kind, slope } = module as ActivationModule;
      return activation(kind, slope);
    }
    const { in: inputs, out, bias } = module as DenseModule;
    return linear(matrixOf(weights[l++]!, out, inputs + (bias ? 1 : 0)), bias);
  });
}

/** Random inputs with targets that suit the loss; softmax gets classes unless `soft`. */
export function randomBatch(
  random: Random,
  count: number,
  features: number,
  outputs: number,
  loss: Loss,
  soft = false,
): Batch {
  const inputs = random.normals(count * features);
  let targets: Float32Array | Uint32Array;
  if (loss.kind === "halfSquaredError") targets = random.normals(count * outputs);
  else if (loss.kind === "sigmoidCrossEntropy") {
    targets = Float32Array.from({ length: count * outputs }, () =>
      soft ? random.uniform() : random.integer(2),
    );
  } else if (soft) {
    targets = random.uniforms(count * outputs, 0, 1);
    for (let i = 0; i < count; i++) {
      const row = targets.subarray(i * outputs, (i + 1) * outputs);
      const total = row.reduce((a, b) => a + b, 0);
      for (let c = 0; c < outputs; c++) row[c]! /= total;
    }
  } else targets = Uint32Array.from({ length: count }, () => random.integer(outputs));
  return { inputs, targets, count };
}

/** Targets as the reference takes them. */
export function targetsOf(
  { targets, count }: Pick<Batch, "targets" | "count">,
  outputs: number,
): Matrix | Uint32Array {
  return targets instanceof Uint32Array ? targets : matrixOf(targets, count, outputs);
}

/** The numbers of a view, rows × cols without padding. */
export async function download(t: TestContext, view: View): Promise<Float32Array> {
  const { rows, cols, offset, stride } = view;
  const all = await t.download(view.buffer, { offset, length: (rows - 1) * stride + cols });
  const out = new Float32Array(rows * cols);
  for (let i = 0; i < rows; i++) out.set(all.subarray(i * stride, i * stride + cols), i * cols);
  return out;
}

/** The statistics of a dense layer. */
export function stacked(statistics: FactorStatistics): FactorRows {
  assert("rows" in statistics, "the columns are stacked");
  return statistics;
}

/** Everything that a pass leaves. */
export interface PassResult {
  loss: number;
  accuracy: number;
  G: Float32Array[];
  A: Float32Array[];
  B: Float32Array[];
  scales: { A: number; B: number }[];
}

/** A pass that has been submitted, and what it took. */
export interface SubmittedPass extends Pass {
  readonly dispatches: number;
}

/** Loads, records and submits. */
export function pass(
  net: Network,
  manager: PipelineManager,
  batch: AnyBatch,
  fisher?: FisherOptions,
): SubmittedPass {
  net.load(batch);
  const recorder = manager.record();
  const recorded = net.recordPass(recorder, fisher);
  recorder.submit();
  return { ...recorded, dispatches: recorder.dispatches };
}

/** Where the columns of a layer are. */
export function columnsOf(manager: PipelineManager, curved: Curved): PassColumns {
  const recorder = manager.record();
  const columns = curved.curvatureRows(recorder);
  recorder.submit();
  return columns;
}

/** Everything that can be asked of a layer in a pass, with operands of the right shapes. */
export function questions(
  t: TestContext,
  recorder: Recorder,
  curved: Curved,
): Record<keyof Omit<Curved, "name" | "in" | "out" | "count" | "positions" | "groups">, () => unknown> {
  const make = (rows: number, cols: number): View => {
    const stride = 4 * Math.ceil(cols / 4);
    return { buffer: t.upload(new Float32Array(rows * stride)), offset: 0, rows, cols, stride };
  };
  const W = make(curved.out, curved.in);
  const Z = make(curved.count * curved.positions, curved.out);
  return {
    inputs: () => curved.inputs(),
    outputs: () => curved.outputs(),
    apply: () => curved.apply(recorder, W, Z),
    pullback: () => curved.pullback(recorder, Z, W, 1),
    curvatureRows: () => curved.curvatureRows(recorder),
  };
}

/** No layer of a pass answers any more, and nothing is recorded: its memory is another's. */
export function assertOver(
  t: TestContext,
  manager: PipelineManager,
  { layers }: Pick<Pass, "layers">,
  what: string,
): void {
  const recorder = manager.record();
  for (const curved of layers) {
    for (const [question, ask] of Object.entries(questions(t, recorder, curved))) {
      const pattern = new RegExp(`${curved.name}.${question}.*pass is over`);
      try {
        assertThrows(ask, ArgumentError, pattern);
      } catch (failure) {
        throw new Error(`${what}: ${curved.name}.${question}`, { cause: failure });
      }
    }
  }
  assertEqual(recorder.dispatches, 0, `${what}: dispatches`);
  recorder.submit();
}

export async function results(t: TestContext, net: Network, { layers, fisher }: Pass): Promise<PassResult> {
  const [loss, accuracy] = await t.download(net.statistics, { length: 2 });
  const out: PassResult = { loss: loss!, accuracy: accuracy!, G: [], A: [], B: [], scales: [] };
  for (const [l, layer] of layers.entries()) {
    out.G.push(await download(t, net.layers[l]!.G));
    const A = stacked(layer.inputs());
    out.A.push(await download(t, A.rows as View));
    if (!fisher) continue;
    const B = stacked(layer.outputs());
    out.B.push(await download(t, B.rows as View));
    out.scales.push({ A: A.scale, B: B.scale });
  }
  return out;
}

/** The same from the reference. */
export function expected(
  reference: readonly Layer[],
  loss: Loss,
  batch: Batch,
  features: number,
  outputs: number,
  fisher?: FisherOptions,
): { pass: LossAndGradients; rows: CurvatureRows | undefined } {
  const X = matrixOf(batch.inputs, batch.count, features);
  const targets = targetsOf(batch, outputs);
  const pass = lossAndGradients(reference, loss.kind, X, targets);
  if (!fisher) return { pass, rows: undefined };
  const { kind, seed = 0, step = 0, samples = 1 } = fisher;
  const rows = curvatureRows(
    reference,
    loss.kind,
    X,
    kind === "monteCarlo"
      ? { kind, seed, step, samples }
      : kind === "empirical"
        ? { kind, targets }
        : { kind },
  );
  return { pass, rows };
}

/** Fraction of examples that the reference classifies right. */
export function expectedAccuracy(outputs: Matrix, batch: Batch, loss: Loss): number {
  const { rows: N, cols: C, data } = outputs;
  const argmax = (row: ArrayLike<number>) => {
    let best = 0;
    for (let c = 1; c < C; c++) if (row[c]! > row[best]!) best = c;
    return best;
  };
  let right = 0;
  for (let i = 0; i < N; i++) {
    const z = data.subarray(i * C, (i + 1) * C);
    const { targets } = batch;
    if (loss.kind === "softmaxCrossEntropy") {
      const truth =
        targets instanceof Uint32Array ? targets[i] : argmax(targets.subarray(i * C, (i + 1) * C));
      if (argmax(z) === truth) right++;
    } else if (loss.kind === "sigmoidCrossEntropy") {
      if (z.every((value, c) => value > 0 === targets[i * C + c]! > 0.5)) right++;
    }
  }
  return right / N;
}

/** Overwrites everything that the next pass must write: G, statistics, values above the inputs, derivatives. */
function poison(t: TestContext, net: Network, { layers, fisher }: Pass): void {
  const fill = (buffer: GPUBuffer, offset: number, count: number) => {
    const data = Float32Array.from({ length: count }, (_, k) => (k % 2 === 0 ? Number.NaN : POISON));
    t.device.queue.writeBuffer(buffer, 4 * offset, data);
  };
  const fillView = ({ buffer, offset, rows, stride }: View, cols: number) => {
    for (let i = 0; i < rows; i++) fill(buffer, offset + i * stride, cols);
  };
  fill(net.statistics, 0, 2);
  for (const [l, layer] of net.layers.entries()) {
    fillView(layer.G, layer.in);
    if (l > 0) fillView(stacked(layers[l]!.inputs()).rows as View, layer.inputs[0]!.features);
    if (fisher && l === 0) {
      const { buffer } = stacked(layers[l]!.outputs()).rows;
      fill(buffer, 0, buffer.size / 4);
    }
  }
}

/** Runs a batch twice, with poison between, and compares everything with the reference. */
export async function checkPass(
  t: TestContext,
  manager: PipelineManager,
  net: Network,
  modules: readonly Module[],
  batch: Batch,
  fisher: FisherOptions | undefined,
  what: string,
  bound = 2e-5,
): Promise<void> {
  const reference = await twin(net, modules);
  poison(t, net, pass(net, manager, batch, fisher));
  const recorded = pass(net, manager, batch, fisher);
  const actual = await results(t, net, recorded);
  const wanted = expected(reference, net.loss, batch, net.features, net.outputs, fisher);
  assertClose([actual.loss], [wanted.pass.loss], bound, `${what}: loss`);
  const accuracy = expectedAccuracy(wanted.pass.outputs, batch, net.loss);
  assert(
    Math.abs(actual.accuracy - accuracy) < 1e-6,
    `${what}: accuracy ${actual.accuracy}, expected ${accuracy}`,
  );
  for (const [l, layer] of net.layers.entries()) {
    const of = `${what}, ${layer.name}`;
    assertClose(actual.A[l]!, wanted.pass.inputs[l]!.data, bound, `${of}: A`);
    assertClose(actual.G[l]!, wanted.pass.gradients[l]!.data, bound, `${of}: G`);
    if (!wanted.rows) continue;
    assertClose(actual.B[l]!, wanted.rows.B[l]!.data, bound, `${of}: B (${fisher?.kind})`);
    assertClose([actual.scales[l]!.B], [1 / wanted.rows.divisor], 1e-7, `${of}: scale of B`);
    assertClose([actual.scales[l]!.A], [1 / batch.count], 1e-7, `${of}: scale of A`);
    const { columns, count, divisor } = columnsOf(manager, recorded.layers[l]!);
    assertEqual(count, batch.count, `${of}: examples`);
    assertEqual(columns * count, wanted.rows.B[l]!.rows, `${of}: columns`);
    assertEqual(divisor, wanted.rows.divisor, `${of}: divisor`);
  }
}
