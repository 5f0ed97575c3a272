/** The exact curvature of a layer as an operator, against f64, against finite differences, and its properties. */
import { GgnBlock } from "../../src/curvature/exact/ggn.js";
import { denseHessian as denseMatrix } from "../../src/curvature/exact/operator.js";
import { ArgumentError, ShapeError } from "../../src/errors.js";
import type { Pass } from "../../src/model/index.js";
import { dense, halfSquaredError, type Module, softmaxCrossEntropy, tanh } from "../../src/network/index.js";
import { eigh } from "../../src/reference/eigh.js";
import { finiteDifferenceGgn } from "../../src/reference/finite-difference.js";
import { lossHessian } from "../../src/reference/loss.js";
import { type Matrix, matrix } from "../../src/reference/matrix.js";
import { forward, weightsOf, withWeights } from "../../src/reference/network.js";
import {
  blockJacobians,
  denseHessian,
  jacobianOperator,
  positionOperator,
} from "../../src/reference/operator.js";
import {
  assert,
  assertClose,
  assertEqual,
  assertThrows,
  kernelTest,
  type TestContext,
} from "../harness/kernel-test.js";
import { assertSameBits, managerOf, otherTiles } from "../linalg/helpers.js";
import { matrixOf, pass, randomBatch, twin } from "../network/helpers.js";
import { download } from "./helpers.js";
import { blank, type LayerShape, randomData, store, submit, testLayer } from "./layers.js";

const SHAPES: LayerShape[] = [
  { in: 5, out: 3, positions: 1, examples: 1, columns: 1 },
  { in: 7, out: 9, positions: 1, examples: 13, columns: 4 },
  { in: 9, out: 4, positions: 6, examples: 5, columns: 3 },
  { in: 3, out: 17, positions: 9, examples: 4, columns: 1 },
  { in: 33, out: 8, positions: 4, examples: 65, columns: 5 },
];

function named({ in: inputs, out, positions, examples, columns }: LayerShape): string {
  return `${out} × ${inputs}, T = ${positions}, N = ${examples}, C = ${columns}`;
}

for (const shape of SHAPES) {
  kernelTest(`ggn: ${named(shape)}, against f64, on both kinds of tiles`, async (t) => {
    const random = t.random(shape.in);
    const data = randomData(random, shape);
    const { in: cols, out: rows } = shape;
    const v = random.normals(rows * cols);
    for (const kind of ["exact", "monteCarlo"] as const) {
      const layer = testLayer(t, shape, data, kind);
      const expected = positionOperator(layer.block).apply(matrixOf(v, rows, cols)).data;
      const manager = kind === "exact" ? managerOf(t) : otherTiles(t);
      const block = new GgnBlock(manager, layer);
      const H = block.over(layer);
      const into = blank(t, rows, cols);
      submit(manager, (recorder) => H.apply(recorder, store(t, v, rows, cols), into));
      assertClose(await download(t, into), expected, 3e-6, `H V, ${kind}`);
      const again = blank(t, rows, cols);
      submit(manager, (recorder) => H.apply(recorder, store(t, v, rows, cols), again));
      assertSameBits(await download(t, again), await download(t, into), "a second product");
      block.dispose();
      if (manager !== managerOf(t)) manager.dispose();
    }
  });
}

kernelTest("ggn: positions are summed before the square, not after", async (t) => {
  const shape = { in: 4, out: 3, positions: 5, examples: 3, columns: 2 };
  const data = randomData(t.random(2), shape);
  const layer = testLayer(t, shape, data);
  const block = new GgnBlock(managerOf(t), layer);
  const H = await denseMatrix(managerOf(t), block.over(layer));
  assertClose(H.data, denseHessian(positionOperator(layer.block)).data, 3e-6, "H");
  // What it would be were each position an output of its own.
  const parts = layer.block.A.flatMap((A, i) =>
    layer.block.B[i]!.flatMap((B) =>
      Array.from(
        { length: A.cols },
        (_, p) => blockJacobians({ A: [columnOf(A, p)], B: [[columnOf(B, p)]], divisor: 1 })[0]!,
      ),
    ),
  );
  const wrong = denseHessian(jacobianOperator(parts, layer.block.divisor));
  assertThrows(() => assertClose(H.data, wrong.data, 0.1, "H"), Error, /relative error/);
  block.dispose();
});

function columnOf(M: Matrix, p: number): Matrix {
  return matrix(
    M.rows,
    1,
    Array.from({ length: M.rows }, (_, j) => M.data[j * M.cols + p]!),
  );
}

kernelTest("ggn: symmetric and positive semi-definite", async (t) => {
  const shape = { in: 6, out: 5, positions: 3, examples: 4, columns: 2 };
  const layer = testLayer(t, shape, randomData(t.random(3), shape));
  const block = new GgnBlock(managerOf(t), layer);
  const { data, rows: n } = await denseMatrix(managerOf(t), block.over(layer));
  const transposed = Float32Array.from(data, (_, k) => data[(k % n) * n + Math.floor(k / n)]!);
  assertClose(data, transposed, 1e-6, "H and H'");
  const { values } = eigh(matrix(n, n, data));
  const [smallest, largest] = [values[0]!, values[n - 1]!];
  assert(smallest > -1e-5 * largest, `smallest eigenvalue ${smallest} of largest ${largest}`);
  // Of rank N·C at most.
  assert(values[n - 9]! < 1e-5 * largest, `eigenvalue 9 is ${values[n - 9]}`);
  assert(values[n - 8]! > 1e-4 * largest, `eigenvalue 8 is ${values[n - 8]}`);
  block.dispose();
});

for (const [name, modules, loss] of [
  ["squared error behind tanh", [dense(4, 3), tanh(), dense(3, 2)], halfSquaredError()],
  ["softmax", [dense(3, 4, { bias: false }), tanh(), dense(4, 3)], softmaxCrossEntropy()],
] as [string, Module[], ReturnType<typeof halfSquaredError>][]) {
  kernelTest(`ggn: every layer of a network against finite differences, ${name}`, async (t) => {
    await againstDifferences(t, modules, loss);
  });
}

async function againstDifferences(
  t: TestContext,
  modules: Module[],
  loss: ReturnType<typeof halfSquaredError>,
): Promise<void> {
  const net = t.engine.network(modules, loss, { batchSize: 8, seed: 4 });
  const manager = managerOf(t);
  const batch = randomBatch(t.random(5), 7, net.features, net.outputs, loss);
  const { layers } = pass(net, manager, batch, { kind: "exact" });
  const reference = await twin(net, modules);
  const X = matrixOf(batch.inputs, batch.count, net.features);
  const outputs = (weights: Matrix[]) => forward(withWeights(reference, weights), X).outputs;
  for (const [l, layer] of layers.entries()) {
    const weights = weightsOf(reference);
    const f = (W: Matrix) => outputs(weights.map((own, k) => (k === l ? W : own)));
    const Z = f(weights[l]!);
    const hessians = Array.from({ length: Z.rows }, (_, i) => lossHessian(loss.kind, Z, i));
    const expected = finiteDifferenceGgn(f, weights[l]!, hessians);
    const block = new GgnBlock(manager, layer);
    const H = await denseMatrix(manager, block.over(layer));
    assertClose(H.data, expected.data, 1e-5, `H of ${layer.name}`);
    block.dispose();
  }
  net.dispose();
}

kernelTest("ggn: refuses other shapes, passes without columns and old ones, keeps its memory", (t) => {
  const manager = managerOf(t);
  const before = manager.counts.liveBytes;
  const loss = softmaxCrossEntropy();
  const net = t.engine.network([dense(6, 4), tanh(), dense(4, 3)], loss, { batchSize: 10 });
  const batch = randomBatch(t.random(1), 10, 6, 3, loss);
  const bare = pass(net, manager, batch);
  const block = new GgnBlock(manager, net.layers[0]!);
  const recorder = manager.record();
  const [V, into] = [store(t, new Float32Array(28), 4, 7), blank(t, 4, 7)];
  const over = ({ layers }: Pass) => block.over(layers[0]!);
  assertThrows(() => block.over(bare.layers[1]!), ShapeError, /the layer/);
  assertThrows(() => over(bare).apply(recorder, V, into), ArgumentError, /has no columns/);
  assertThrows(() => over(bare).apply(recorder, { ...V, cols: 6 }, into), ShapeError, /V/);
  assertThrows(() => over(bare).apply(recorder, V, { ...into, rows: 3 }), ShapeError, /into/);
  const old = over(pass(net, manager, batch, { kind: "exact" }));
  assertThrows(() => over(bare).apply(recorder, V, into), ArgumentError, /is over/);
  const current = over(pass(net, manager, batch, { kind: "exact" }));
  assertThrows(() => old.apply(recorder, V, into), ArgumentError, /is over/);
  assertEqual(recorder.dispatches, 0, "dispatches");
  recorder.submit();
  const product = () => submit(manager, (next) => current.apply(next, V, into));
  for (let k = 0; k < 3; k++) product();
  const counts = manager.counts;
  for (let k = 0; k < 5; k++) product();
  for (const key of ["buffers", "bindGroups", "tables", "pipelines"] as const) {
    assertEqual(manager.counts[key], counts[key], `${key} after warm-up`);
  }
  block.dispose();
  net.dispose();
  assert(manager.counts.liveBytes - before < 1e6, "memory is not given back");
});
