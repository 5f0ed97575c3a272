/** Collecting kernels: the ones that a recording compiles, and nothing else happens. */
import { ShapeError } from "../../src/errors.js";
import {
  ConjugateGradients,
  eigh,
  gram,
  invert,
  type LinearOperator,
  type Matrix,
  matmul,
  paddedLength,
  paddedView,
} from "../../src/linalg/index.js";
import { scoped } from "../../src/linalg/layout/scoped.js";
import type { PipelineManager, Recorder } from "../../src/pipeline/index.js";
import { kernelKey } from "../../src/pipeline/kernel.js";
import { assert, assertEqual, assertThrows, kernelTest } from "../harness/kernel-test.js";
import { addKernel, openManager } from "./helpers.js";

const N = 37;

/** Matrices and a solver, and a recording of everything that takes many kernels, scratch and nested recorders. */
function algebra(manager: PipelineManager) {
  const storage = (rows: number, cols: number): Matrix =>
    paddedView(manager.createStorage("test", paddedLength(rows, cols)), 0, rows, cols);
  const [A, S, V, G, X] = [storage(50, N), storage(N, N), storage(N, N), storage(N, 3), storage(N, 3)];
  const status = manager.createStorage("status", 4);
  const values = { buffer: manager.createStorage("values", N) };
  const dampings = manager.createStorage("dampings", 4);
  const operator: LinearOperator = {
    rows: N,
    cols: 3,
    apply: (recorder, D, into) => matmul(recorder, [{ A: S, B: D, into }]),
  };
  const cg = new ConjugateGradients(manager, N, 3, 4);
  return (recorder: Recorder): void => {
    gram(recorder, [{ A, into: S, examples: "rows", alpha: 1 / 50 }]);
    invert(recorder, [{ S, into: V }], { dampings, status });
    matmul(recorder, [{ A: V, B: G, into: X }]);
    eigh(recorder, [{ S, vectors: V, values }], status);
    cg.begin(recorder, operator, { G, into: X }, { preconditioner: operator, warm: true });
    cg.iterate(recorder, 3);
    cg.certify(recorder);
  };
}

kernelTest(
  "collect: the kernels are those that recording compiles, and collecting makes nothing",
  async (t) => {
    const manager = await openManager(t);
    const record = algebra(manager);
    const before = JSON.stringify(manager.counts);
    const kernels = manager.collect(record);
    assertEqual(JSON.stringify(manager.counts), before, "what was made");
    assertEqual(new Set(kernels.map(kernelKey)).size, kernels.length, "kernels, each once");
    const names = new Set(kernels.map(({ name }) => name.replace(/_.*/, "")));
    for (const name of ["gram", "invert", "matmul", "eigh", "cg"])
      assert(names.has(name), `${name} is missing`);

    const recorder = manager.record();
    record(recorder);
    recorder.submit();
    assertEqual(manager.counts.pipelines, kernels.length, "pipelines that recording compiled");
    await manager.prepare(kernels);
    assertEqual(manager.counts.pipelines, kernels.length, "pipelines, the collected ones prepared");
    manager.dispose();
  },
);

kernelTest("collect: what is prepared is not compiled again", async (t) => {
  const manager = await openManager(t);
  const [source, target] = [t.upload(Uint32Array.of(3, 3)), t.upload(new Uint32Array(2))];
  const record = (recorder: Recorder) => {
    recorder.clear(target);
    recorder.dispatch(addKernel("add", 1), { source, target }, 2);
    scoped(recorder, (inner) => inner.dispatch(addKernel("add", 2), { source, target }, 2));
    recorder.dispatch(addKernel("add", 1), { source, target }, 1);
    recorder.dispatch(addKernel("never"), { source, target }, 0);
  };
  const kernels = manager.collect(record);
  assertEqual(kernels.map(kernelKey).join(" "), 'add:main:{"AMOUNT":1} add:main:{"AMOUNT":2}', "kernels");
  await manager.prepare(kernels);
  const { pipelines } = manager.counts;
  const recorder = manager.record();
  record(recorder);
  recorder.submit();
  assertEqual(manager.counts.pipelines, pipelines, "pipelines");
  assertEqual((await t.downloadWords(target)).join(), "3,5", "target");
  manager.dispose();
});

kernelTest("collect: scratch stands in, of any size, also in nested recorders", async (t) => {
  const manager = await openManager(t);
  const huge = 16 * Math.ceil(manager.device.limits.maxBufferSize / 16);
  const before = JSON.stringify(manager.counts);
  manager.collect((recorder) => {
    const buffers = [recorder.scratch(5), recorder.scratch(5), recorder.scratch(huge)];
    scoped(recorder, (inner) => buffers.push(inner.scratch(5)));
    assertEqual(new Set(buffers).size, 4, "buffers");
    assertEqual(buffers.map(({ size }) => size).join(), `32,32,${4 * huge},32`, "sizes");
    recorder.release(buffers[0]!);
    recorder.copy(buffers[0]!, 0, buffers[2]!, 0, 16);
    assertEqual(recorder.dispatches, 0, "dispatches");
  });
  assertEqual(JSON.stringify(manager.counts), before, "what was made");
  manager.dispose();
});

kernelTest("collect: errors reach the caller, and recording goes on as usual", async (t) => {
  const manager = await openManager(t);
  const view = (rows: number, cols: number) =>
    paddedView(manager.createStorage("test", paddedLength(rows, cols)), 0, rows, cols);
  const [A, B, C] = [view(3, 4), view(5, 6), view(3, 6)];
  assertThrows(() => manager.collect((dry) => matmul(dry, [{ A, B, into: C }])), ShapeError, /matmul/);
  const { tables } = manager.counts;
  await assertThrows(() => manager.collect((dry) => void dry.read(C.buffer)), Error, /nothing to read/);
  const range = { buffer: C.buffer, bytes: 4 };
  await assertThrows(() => manager.collect((dry) => void dry.readRanges([range])), Error, /nothing to read/);
  await assertThrows(() => manager.collect((dry) => dry.submit()), Error, /nothing to submit/);
  const fitting = { ...B, rows: 4 };
  const recorder = manager.record();
  matmul(recorder, [{ A, B: fitting, into: C }]);
  recorder.submit();
  assert(manager.counts.tables > tables, "tables are made again");
  manager.dispose();
});
