/** Networks that are graphs: everything that a pass leaves, against the twin in f64 and its finite differences. */
import { GgnBlock } from "../../src/curvature/index.js";
import { featuresOf, formOfInput, type InputForm } from "../../src/layers/form.js";
import type { Values } from "../../src/layers/values.js";
import type { AnyBatch, BatchInputs, FisherOptions, InputArray, Pass } from "../../src/model/index.js";
import {
  type Graph,
  type Loss,
  type Module,
  Network,
  type NetworkOptions,
  twinOf,
} from "../../src/network/index.js";
import { packWeights } from "../../src/network/weights.js";
import type { PipelineManager } from "../../src/pipeline/index.js";
import { expandFactors } from "../../src/reference/approximations.js";
import type { Fisher } from "../../src/reference/fisher.js";
import {
  type GraphInputs,
  graphForward,
  passCurvature,
  passLossAndGradients,
  type ReferenceGraph,
  type Weights,
} from "../../src/reference/graph.js";
import {
  graphGgnByDifferences,
  graphGradientByDifferences,
  graphTangentByDifferences,
} from "../../src/reference/graph-difference.js";
import { graphTangent, passCurvatureAlong } from "../../src/reference/graph-tangent.js";
import { matmul } from "../../src/reference/matmul.js";
import { type Matrix, matrix, unvec, vec } from "../../src/reference/matrix.js";
import { type PositionBlock, positionOperator } from "../../src/reference/operator.js";
import { isTensor, type Value } from "../../src/reference/tensor.js";
import { assertClose, assertEqual, POISON, type Random, type TestContext } from "../harness/kernel-test.js";
import { factorOf, poisonedView, run, uploadView } from "./conv-helpers.js";
import { columnsOf, download, matrixOf, pass, randomBatch, targetsOf } from "./helpers.js";

export type Description = Graph | readonly Module[];

export interface GraphCheck extends NetworkOptions {
  description: Description;
  loss: Loss;
  what: string;
  counts?: readonly number[];
  fishers?: readonly FisherOptions[];
  /** Layers that reduce positions; others expand. */
  reduced?: readonly string[];
  bound?: number;
  /** Also holds the twin, and the GPU, against differences of the twin's loss; for small networks. */
  differences?: boolean;
  /** Changes the twin, to see that it is noticed. */
  doctor?: (graph: ReferenceGraph) => ReferenceGraph;
}

/** Random arrays of a network's inputs. */
export function randomInputs(
  random: Random,
  forms: Readonly<Record<string, InputForm>>,
  count: number,
): BatchInputs {
  const arrays = Object.entries(forms).map(([name, input]): [string, InputArray] => {
    const form = formOfInput("test", name, input);
    const length = count * featuresOf(form);
    if (form.kind !== "indices") return [name, random.normals(length)];
    return [name, Uint32Array.from({ length }, () => random.integer(form.vocabulary))];
  });
  return arrays.length === 1 ? arrays[0]![1] : Object.fromEntries(arrays);
}

/** Inputs by name of a graph, or of a chain. */
export function formsOf(description: Description, input?: InputForm): Readonly<Record<string, InputForm>> {
  if (!Array.isArray(description)) return (description as Graph).inputs;
  return { input: input ?? (description[0] as { in: number }).in };
}

export function randomGraphBatch(
  random: Random,
  forms: Readonly<Record<string, InputForm>>,
  count: number,
  net: Pick<Network, "outputs" | "loss">,
): AnyBatch {
  const { targets } = randomBatch(random, count, 1, net.outputs, net.loss);
  return { inputs: randomInputs(random, forms, count), targets, count };
}

const FISHERS: readonly FisherOptions[] = [
  { kind: "exact" },
  { kind: "monteCarlo", seed: 7, step: 3, samples: 2 },
  { kind: "empirical" },
];

/** Runs batches of several sizes, each over what was poisoned, and compares all that passes leave. */
export async function checkGraph(t: TestContext, manager: PipelineManager, check: GraphCheck): Promise<void> {
  const { description, loss, what, counts = [5, 3, 4], fishers = FISHERS, ...options } = check;
  const net = new Network(manager, description, loss, { batchSize: 5, seed: 3, ...optionsOf(options) });
  const forms = formsOf(description, check.input);
  const random = t.random(2);
  for (const [index, fisher] of fishers.entries()) {
    const batch = randomGraphBatch(random, forms, counts[index % counts.length]!, net);
    pass(net, manager, batch, fisher);
    poison(t, net);
    await comparePass(t, manager, net, check, batch, fisher);
  }
  const count = 11;
  const batch = randomGraphBatch(random, forms, count, net);
  const { graph, weights, inputs } = await twinFor(net, check, batch);
  const bound = check.bound ?? 2e-5;
  const expected = graphForward(graph, weights, inputs);
  const outputs = await net.predict(batch.inputs, count);
  assertClose(outputs, expected.outputs.data, bound, `${what}: predictions`);
  const wanted = passLossAndGradients(expected, loss.kind, targetsOf(batch, net.outputs));
  const evaluation = await net.evaluate(batch);
  assertClose([evaluation.loss], [wanted.loss], bound, `${what}: evaluation`);
  net.dispose();
}

function optionsOf({ input, chunkBytes, batchSize, seed }: NetworkOptions): NetworkOptions {
  return Object.fromEntries(
    Object.entries({ input, chunkBytes, batchSize, seed }).filter(([, value]) => value !== undefined),
  );
}

interface TwinPass {
  graph: ReferenceGraph;
  weights: Weights;
  inputs: GraphInputs;
}

async function twinFor(net: Network, check: GraphCheck, batch: AnyBatch): Promise<TwinPass> {
  const twin = twinOf(check.description, check.input);
  return {
    graph: check.doctor?.(twin.graph) ?? twin.graph,
    weights: twin.weights(await net.weights(), net.layers),
    inputs: twin.inputs(batch.inputs, batch.count),
  };
}

/** Overwrites all that a pass must write, of the layers with weights and their neighbours. */
function poison(t: TestContext, net: Network): void {
  const fill = (buffer: GPUBuffer, offset: number, length: number) => {
    const data = Float32Array.from({ length }, (_, k) => (k % 2 === 0 ? Number.NaN : POISON));
    t.device.queue.writeBuffer(buffer, 4 * offset, data);
  };
  const rows = ({ buffer, offset, rows: count, cols, stride }: ReturnType<Values["rows"]>) => {
    for (let i = 0; i < count; i++) fill(buffer, offset + i * stride, cols);
  };
  fill(net.statistics, 0, 2);
  for (const layer of net.layers) {
    rows(layer.G);
    for (const values of [...layer.inputs, layer.output]) {
      const { place, delta, tangent, positions, columns } = values;
      rows(place.rows(place.storage.capacity, columns));
      if (place.storage.keepsTransposes) rows(place.transposed(net.batchSize, columns));
      if (delta) rows(delta.rows(Math.floor(delta.storage.capacity / positions) * positions, columns));
      if (delta?.storage.keepsTransposes) rows(delta.transposed(delta.storage.capacity, columns));
      // Its memory is made when it is first asked for.
      const capacity = tangent?.storage.capacity ?? 0;
      if (tangent && capacity > 0) rows(tangent.rows(Math.floor(capacity / positions) * positions, columns));
    }
  }
}

async function comparePass(
  t: TestContext,
  manager: PipelineManager,
  net: Network,
  check: GraphCheck,
  batch: AnyBatch,
  fisher: FisherOptions,
): Promise<void> {
  const { loss, bound = 2e-5 } = check;
  const what = `${check.what}, ${batch.count} examples, ${fisher.kind}`;
  const recorded = pass(net, manager, batch, fisher);
  const twin = await twinFor(net, check, batch);
  const { graph, weights, inputs } = twin;
  const forward = graphForward(graph, weights, inputs);
  const targets = targetsOf(batch, net.outputs);
  const wanted = passLossAndGradients(forward, loss.kind, targets);
  const [mean] = await t.download(net.statistics, { length: 1 });
  assertClose([mean!], [wanted.loss], bound, `${what}: loss`);
  await compareForms(t, manager, net, recorded, { ...check, what }, twin);
  const blocks = passCurvature(forward, loss.kind, fisherOf(fisher, batch, net.outputs));
  assertEqual(net.layers.map(({ name }) => name).join(), Object.keys(blocks).join(), `${what}: layers`);
  for (const [l, { name, G }] of net.layers.entries()) {
    const of = `${what}, ${name}`;
    assertClose(await download(t, G), wanted.gradients[name]!.data, bound, `${of}: G`);
    const curved = recorded.layers[l]!;
    assertEqual(curved.name, name, `${of}: its name in the pass`);
    await compareOperator(t, manager, recorded, l, blocks[name]!, of, bound);
    if (blocks[name]!.length > 1) continue;
    const uses = usesOf(twin, name);
    const reduce = check.reduced?.includes(name) ?? false;
    const factors = expandFactors(reduce ? reduced(blocks[name]![0]!, uses) : blocks[name]![0]!);
    const A = await factorOf(t, manager, curved.inputs(), curved.in);
    assertClose(A, factors.A.data, bound, `${of}: Ā`);
    const B = await factorOf(t, manager, curved.outputs(), curved.out);
    assertClose(B, factors.B.data, bound, `${of}: B̄`);
  }
  if (check.differences && fisher.kind === "exact") {
    await compareDifferences(t, manager, net, recorded, { ...check, what }, twin, targets);
  }
}

/** Random directions in all weights of a network: as buffers, and as the twin takes them. */
export function randomDirections(
  t: TestContext,
  net: Network,
  count: number,
): { buffers: GPUBuffer[]; twins: Record<string, Matrix>[] } {
  const arrays = Array.from({ length: count }, (_, k) =>
    net.layers.map(({ in: columns, out }, l) => t.random(1000 + 50 * k + l).normals(out * columns)),
  );
  return {
    buffers: arrays.map((own) => t.upload(packWeights(net.layers, own, net.length))),
    twins: arrays.map((own) =>
      Object.fromEntries(
        net.layers.map(({ name, in: columns, out }, l) => [name, matrixOf(own[l]!, out, columns)]),
      ),
    ),
  };
}

/** Forms along two directions in all weights, against the twin and, where asked, its differences. */
async function compareForms(
  t: TestContext,
  manager: PipelineManager,
  net: Network,
  recorded: Pass,
  { loss, what, bound = 2e-5, differences }: GraphCheck,
  twin: TwinPass,
): Promise<void> {
  const { buffers, twins } = randomDirections(t, net, 2);
  const pass = graphForward(twin.graph, twin.weights, twin.inputs);
  const expected = passCurvatureAlong(pass, loss.kind, twins);
  const into = t.upload(new Float32Array(8).fill(POISON));
  run(manager, (recorder) => recorded.curvatureAlong!(recorder, buffers, { buffer: into, index: 3 }));
  const found = await t.download(into);
  assertEqual(found[4], found[5], `${what}: symmetric`);
  assertClose(found.subarray(3, 7), expected.data, bound, `${what}: forms along directions`);
  for (const place of [0, 1, 2, 7]) assertEqual(found[place], Math.fround(POISON), `${what}: beside`);
  // Over some of the examples alone.
  const examples = Math.ceil(recorded.count / 2);
  const some = { buffer: into, index: 6 };
  run(manager, (recorder) => recorded.curvatureAlong!(recorder, buffers.slice(1), some, { examples }));
  const part = await t.download(into);
  const first = Object.entries(twin.inputs).map(([name, value]): [string, Value] => [
    name,
    head(value, examples),
  ]);
  const few = graphForward(twin.graph, twin.weights, Object.fromEntries(first));
  const form = passCurvatureAlong(few, loss.kind, twins.slice(1));
  assertClose([part[6]!], form.data, bound, `${what}: form of ${examples} examples`);
  if (!differences) return;
  for (const [k, direction] of twins.entries()) {
    const moved = graphTangentByDifferences(twin.graph, twin.weights, direction, twin.inputs);
    assertClose(
      moved.data,
      graphTangent(pass, direction).data,
      1e-6,
      `${what}: direction ${k} by differences`,
    );
  }
}

/** The first examples of a value. */
function head(value: Value, count: number): Value {
  const all = isTensor(value) ? value.shape[0] : value.rows;
  const data = value.data.slice(0, (value.data.length / all) * count);
  if (!isTensor(value)) return { ...value, rows: count, data };
  const [, ...sizes] = value.shape;
  return { shape: [count, ...sizes], data };
}

/** Columns, products and the exact operator of a layer. */
async function compareOperator(
  t: TestContext,
  manager: PipelineManager,
  { layers }: Pass,
  l: number,
  blocks: readonly PositionBlock[],
  of: string,
  bound: number,
): Promise<void> {
  const curved = layers[l]!;
  const { out, in: columns, positions: T, count } = curved;
  const H = positionOperator(blocks);
  const V = matrixOf(t.random(17 + l).normals(out * columns), out, columns);
  assertClose(await applyBlock(t, manager, { layers }, l, V), H.apply(V).data, 5 * bound, `${of}: H V`);
  const found = columnsOf(manager, curved);
  assertEqual(found.divisor, blocks[0]!.divisor, `${of}: divisor`);
  assertEqual(T, blocks[0]!.A[0]!.cols, `${of}: positions`);
  const rows = new Float64Array(found.columns * count * T * out);
  const each = out / blocks.length;
  for (const [group, { B }] of blocks.entries()) {
    for (const [i, ofExample] of B.entries()) {
      for (const [c, b] of ofExample.entries()) {
        for (let o = 0; o < each; o++) {
          for (let position = 0; position < T; position++) {
            const row = (c * count + i) * T + position;
            rows[row * out + group * each + o] = b.data[o * T + position]!;
          }
        }
      }
    }
  }
  assertClose(await download(t, found.rows), rows, bound, `${of}: columns`);
}

/** H V of one layer by the exact operator on the GPU. */
async function applyBlock(
  t: TestContext,
  manager: PipelineManager,
  { layers }: Pick<Pass, "layers">,
  l: number,
  V: Matrix,
): Promise<Float32Array> {
  const curved = layers[l]!;
  const block = new GgnBlock(manager, curved);
  const into = poisonedView(t, curved.out, curved.in);
  const view = uploadView(t, V.rows, V.cols, V.data);
  run(manager, (recorder) => block.over(curved).apply(recorder, view, into));
  const product = await download(t, into);
  block.dispose();
  return product;
}

async function compareDifferences(
  t: TestContext,
  manager: PipelineManager,
  net: Network,
  recorded: Pass,
  { loss, what }: GraphCheck,
  { graph, weights, inputs }: TwinPass,
  targets: ReturnType<typeof targetsOf>,
): Promise<void> {
  for (const [l, { name, G, out, in: columns }] of net.layers.entries()) {
    const gradient = graphGradientByDifferences(graph, weights, name, loss.kind, inputs, targets);
    assertClose(await download(t, G), gradient.data, 1e-4, `${what}, ${name}: G by differences`);
    const H = graphGgnByDifferences(graph, weights, name, loss.kind, inputs);
    const V = matrixOf(t.random(90 + l).normals(out * columns), out, columns);
    const expected = unvec(matmul(H, vec(V)), out, columns);
    const product = await applyBlock(t, manager, recorded, l, V);
    assertClose(product, expected.data, 1e-4, `${what}, ${name}: H V by differences`);
  }
}

function fisherOf(fisher: FisherOptions, batch: AnyBatch, outputs: number): Fisher {
  const { kind, seed = 0, step = 0, samples = 1 } = fisher;
  if (kind === "monteCarlo") return { kind, seed, step, samples };
  return kind === "empirical" ? { kind, targets: targetsOf(batch, outputs) } : { kind };
}

/** Positions of each place where the weights are used. */
function usesOf({ graph, weights, inputs }: TwinPass, key: string): number[] {
  const { steps } = graphForward(graph, weights, inputs);
  return graph.nodes
    .filter((node) => node.weights === key)
    .map(({ name }) => steps.get(name)!.trainable!.inputs(0)[0]!.cols);
}

/** A block with one position for each use: inputs as means over the use's positions, derivatives as sums. */
function reduced({ A, B, divisor }: PositionBlock, uses: readonly number[]): PositionBlock {
  const collapse = (m: Matrix, mean: boolean) => {
    const out = matrix(m.rows, uses.length);
    let first = 0;
    for (const [u, T] of uses.entries()) {
      for (let r = 0; r < m.rows; r++) {
        let sum = 0;
        for (let position = first; position < first + T; position++) sum += m.data[r * m.cols + position]!;
        out.data[r * uses.length + u] = mean ? sum / T : sum;
      }
      first += T;
    }
    return out;
  };
  return {
    A: A.map((a) => collapse(a, true)),
    B: B.map((row) => row.map((b) => collapse(b, false))),
    divisor,
  };
}
