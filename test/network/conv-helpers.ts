import { padded, paddedView, type Matrix as View } from "../../src/linalg/index.js";
import type { Batch, Curved, FactorStatistics, FisherOptions, Pass } from "../../src/model/index.js";
import type {
  ActivationModule,
  Conv2dModule,
  DenseModule,
  FlattenModule,
  GlobalPoolModule,
  Module,
  Network,
  PoolModule,
} from "../../src/network/index.js";
import type { PipelineManager, Recorder } from "../../src/pipeline/index.js";
import { expandFactors, reduceFactors } from "../../src/reference/approximations.js";
import {
  type ConvNetwork,
  type ConvNetworkLayer,
  conv,
  convCurvature,
  convForward,
  convLossAndGradients,
  pool,
  type TrainableStep,
  trainableSteps,
} from "../../src/reference/conv-network.js";
import { matmul } from "../../src/reference/matmul.js";
import type { Matrix } from "../../src/reference/matrix.js";
import { activation, type Fisher, linear } from "../../src/reference/network.js";
import type { PositionBlock } from "../../src/reference/operator.js";
import { type Tensor, tensor } from "../../src/reference/tensor.js";
import { assertClose, assertEqual, POISON, type TestContext } from "../harness/kernel-test.js";
import { columnsOf, download, matrixOf, pass, targetsOf } from "./helpers.js";

export type Shape = readonly [number, number, number];

type BuiltIn = ActivationModule | Conv2dModule | DenseModule | FlattenModule | GlobalPoolModule | PoolModule;

/** The f64 network of the same weights. */
export async function convTwin(net: Network, modules: readonly Module[]): Promise<ConvNetwork> {
  const weights = await net.weights();
  let l = 0;
  const next = () => {
    const { out, in: cols } = net.layers[l]!;
    return matrixOf(weights[l++]!, out, cols);
  };
  return (modules as readonly BuiltIn[]).map((module): ConvNetworkLayer => {
    switch (module.kind) {
      case "dense":
        return linear(next(), module.bias);
      case "conv2d": {
        const { kernel, stride, padding, dilation, groups, bias } = module;
        return conv(next(), { kernel, stride, padding, dilation, groups, bias });
      }
      case "maxPool2d":
        return pool("maxPool", module);
      case "averagePool2d":
        return pool("averagePool", module);
      case "globalAveragePool":
      case "flatten":
        return { kind: module.kind };
      default:
        return activation(module.kind, module.slope);
    }
  });
}

export function images(batch: Batch, [channels, height, width]: Shape): Tensor {
  return tensor([batch.count, channels, height, width], batch.inputs);
}

function fisherOf(fisher: FisherOptions, batch: Batch, outputs: number): Fisher {
  const { kind, seed = 0, step = 0, samples = 1 } = fisher;
  if (kind === "monteCarlo") return { kind, seed, step, samples };
  return kind === "empirical" ? { kind, targets: targetsOf(batch, outputs) } : { kind };
}

/** Records and submits. */
export function run(manager: PipelineManager, record: (recorder: Recorder) => void): void {
  const recorder = manager.record();
  record(recorder);
  recorder.submit();
}

/** A view to write to, with a stride of its own, in a buffer of poison. */
export function poisonedView(t: TestContext, rows: number, cols: number, stride = padded(cols)): View {
  return { buffer: t.poisoned(Math.ceil((rows * stride) / 4) * 4), offset: 0, rows, cols, stride };
}

export function uploadView(t: TestContext, rows: number, cols: number, data: ArrayLike<number>): View {
  const stride = padded(cols);
  const all = new Float32Array(rows * stride).fill(POISON);
  for (let i = 0; i < rows; i++) {
    for (let j = 0; j < cols; j++) all[i * stride + j] = data[i * cols + j]!;
  }
  return paddedView(t.upload(all), 0, rows, cols);
}

/** The statistics' mean of aa' (or bb'), from its rows or its own sum. */
export async function factorOf(
  t: TestContext,
  manager: PipelineManager,
  statistics: FactorStatistics,
  size: number,
): Promise<Float64Array> {
  const { scale } = statistics;
  if ("gram" in statistics) {
    const into = poisonedView(t, size, size);
    run(manager, (recorder) => statistics.gram(recorder, into));
    return Float64Array.from(await download(t, into), (x) => scale * x);
  }
  const { rows, cols } = statistics.rows;
  const A = matrixOf(await download(t, statistics.rows as View), rows, cols);
  return matmul(A, A, { transposeA: true }).data.map((x) => scale * x);
}

/** Overwrites what the next pass must write: G, derivatives, images; with padding where there is some. */
function poison(t: TestContext, manager: PipelineManager, net: Network, { layers, fisher }: Pass): void {
  const fill = (buffer: GPUBuffer, offset: number, length: number) => {
    const data = Float32Array.from({ length }, (_, k) => (k % 2 === 0 ? Number.NaN : POISON));
    t.device.queue.writeBuffer(buffer, 4 * offset, data);
  };
  fill(net.statistics, 0, 2);
  for (const [l, layer] of net.layers.entries()) {
    const { buffer, offset, rows, cols, stride } = layer.G;
    for (let i = 0; i < rows; i++) fill(buffer, offset + i * stride, cols);
    const { shape, place } = layer.inputs[0]!;
    if (shape) fill(place.storage.rows, 0, place.storage.rows.size / 4);
    if (!fisher) continue;
    const B = columnsOf(manager, layers[l]!).rows.buffer;
    fill(B, 0, B.size / 4);
  }
}

export interface Treatments {
  readonly positions?: "expand" | "reduce";
  readonly groups?: number;
}

/** Runs a batch twice, with poison between, and compares everything that a pass leaves with the reference. */
export async function checkConvPass(
  t: TestContext,
  manager: PipelineManager,
  net: Network,
  modules: readonly Module[],
  shape: Shape,
  batch: Batch,
  fisher: FisherOptions | undefined,
  what: string,
  bound = 2e-5,
): Promise<void> {
  const twin = await convTwin(net, modules);
  poison(t, manager, net, pass(net, manager, batch, fisher));
  const { layers } = pass(net, manager, batch, fisher);
  const X = images(batch, shape);
  const targets = targetsOf(batch, net.outputs);
  const wanted = convLossAndGradients(twin, net.loss.kind, X, targets);
  const [loss] = await t.download(net.statistics, { length: 1 });
  assertClose([loss!], [wanted.loss], bound, `${what}: loss`);
  const blocks = fisher && convCurvature(twin, net.loss.kind, X, fisherOf(fisher, batch, net.outputs));
  const steps = trainableSteps(convForward(twin, X));
  const treatments = modules.filter(({ kind }) => kind === "dense" || kind === "conv2d") as Treatments[];
  for (const [l, layer] of layers.entries()) {
    const of = `${what}, ${layer.name}`;
    assertClose(await download(t, net.layers[l]!.G), wanted.gradients[l]!.data, bound, `${of}: G`);
    await checkProducts(t, manager, layer, steps[l]!, batch.count, of, bound);
    if (!fisher || !blocks) continue;
    await checkRows(t, manager, layer, blocks[l]!, fisher, of, bound);
    if (blocks[l]!.length > 1) continue;
    const { positions = "expand" } = treatments[l]!;
    const factors = (positions === "reduce" ? reduceFactors : expandFactors)(blocks[l]![0]!);
    const A = await factorOf(t, manager, layer.inputs(), layer.in);
    assertClose(A, factors.A.data, bound, `${of}: Ā (${positions})`);
    const B = await factorOf(t, manager, layer.outputs(), layer.out);
    assertClose(B, factors.B.data, bound, `${of}: B̄ (${positions}, ${fisher.kind})`);
  }
}

async function checkRows(
  t: TestContext,
  manager: PipelineManager,
  layer: Curved,
  blocks: readonly PositionBlock[],
  fisher: FisherOptions,
  of: string,
  bound: number,
): Promise<void> {
  const { rows, columns, count, divisor } = columnsOf(manager, layer);
  assertEqual(count, blocks[0]!.B.length, `${of}: examples`);
  assertEqual(columns, blocks[0]!.B[0]!.length, `${of}: columns`);
  assertEqual(divisor, blocks[0]!.divisor, `${of}: divisor`);
  const T = layer.positions;
  const each = layer.out / blocks.length;
  const expected = new Float64Array(columns * count * T * layer.out);
  for (const [group, { B }] of blocks.entries()) {
    for (let i = 0; i < count; i++) {
      for (const [c, b] of B[i]!.entries()) {
        for (let o = 0; o < each; o++) {
          for (let position = 0; position < T; position++) {
            const row = (c * count + i) * T + position;
            expected[row * layer.out + group * each + o] = b.data[o * T + position]!;
          }
        }
      }
    }
  }
  assertClose(await download(t, rows), expected, bound, `${of}: B (${fisher.kind})`);
}

/** `apply` and `pullback` against f64, and as adjoints of each other. */
async function checkProducts(
  t: TestContext,
  manager: PipelineManager,
  layer: Curved,
  step: TrainableStep,
  count: number,
  of: string,
  bound: number,
): Promise<void> {
  const { out, in: inputs, positions: T } = layer;
  const random = t.random(17);
  const V = matrixOf(random.normals(out * inputs), out, inputs);
  const R = matrixOf(random.normals(count * T * out), count * T, out);
  const applied = poisonedView(t, count * T, out);
  const pulled = poisonedView(t, out, inputs);
  const [v, r] = [uploadView(t, out, inputs, V.data), uploadView(t, count * T, out, R.data)];
  run(manager, (recorder) => {
    layer.apply(recorder, v, applied);
    layer.pullback(recorder, r, pulled, 0.5);
  });
  const dz = await download(t, applied);
  const back = await download(t, pulled);
  assertClose(dz, expectedRows(step, V, count, T).data, bound, `${of}: apply`);
  const expected = step.gradient(outputOrder(R, count, T)).data.map((x) => 0.5 * x);
  assertClose(back, expected, bound, `${of}: pullback`);
  const dot = (x: ArrayLike<number>, y: ArrayLike<number>) =>
    Array.from(x).reduce((sum, value, k) => sum + value * y[k]!, 0);
  const size = Math.sqrt(dot(dz, dz) * dot(R.data, R.data));
  const gap = Math.abs(dot(dz, R.data) - 2 * dot(V.data, back)) / size;
  assertClose([1 + gap], [1], bound, `${of}: ⟨apply V, R⟩ − ⟨V, pullback R⟩`);
}

/** V a_t, one row i · T + t. */
function expectedRows(step: TrainableStep, V: Matrix, count: number, T: number): Matrix {
  const out = matrixOf([], count * T, V.rows);
  const each = V.rows / step.groups;
  for (let group = 0; group < step.groups; group++) {
    const own = matrixOf(V.data.subarray(group * each * V.cols, (group + 1) * each * V.cols), each, V.cols);
    for (const [i, a] of step.inputs(group).entries()) {
      const z = matmul(own, a);
      for (let o = 0; o < each; o++) {
        for (let position = 0; position < T; position++) {
          out.data[(i * T + position) * V.rows + group * each + o] = z.data[o * T + position]!;
        }
      }
    }
  }
  return out;
}

/** Rows i · T + t as the reference lays out a layer's output: (i, o, t). */
function outputOrder(R: Matrix, count: number, T: number): Float64Array {
  const data = new Float64Array(R.data.length);
  for (let i = 0; i < count; i++) {
    for (let o = 0; o < R.cols; o++) {
      for (let position = 0; position < T; position++) {
        data[(i * R.cols + o) * T + position] = R.data[(i * T + position) * R.cols + o]!;
      }
    }
  }
  return data;
}
