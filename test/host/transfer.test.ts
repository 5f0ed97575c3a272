/** Matrices between main memory and padded views: nothing lost, nothing of the padding carried along. */
import type { Engine } from "../../src/engine.js";
import { ArgumentError, DataError, ShapeError } from "../../src/errors.js";
import {
  DeviceMatrices,
  packRows,
  readMatrices,
  readMatrix,
  toF32,
  toF64,
  unpackRows,
} from "../../src/host/index.js";
import { copy } from "../../src/linalg/index.js";
import { matrix } from "../../src/reference/index.js";
import { assert, assertEqual, assertThrows, kernelTest, POISON } from "../harness/kernel-test.js";
import { managerOf } from "../linalg/helpers.js";

const SIZES = [
  [1, 1],
  [3, 4],
  [5, 7],
  [33, 18],
  [2, 129],
] as const;

function assertSame(actual: ArrayLike<number>, expected: ArrayLike<number>, what: string): void {
  assertEqual(actual.length, expected.length, `${what}: length`);
  for (let k = 0; k < expected.length; k++) assertEqual(actual[k], expected[k], `${what}: number ${k}`);
}

kernelTest("transfer: rows go to their places and come back, and what lies between them stays", (t) => {
  const source = t.random(1);
  for (const [rows, cols] of SIZES) {
    for (const [offset, stride] of [
      [0, cols],
      [3, cols],
      [8, cols + 3],
    ] as const) {
      const place = { rows, cols, offset, stride };
      const what = `${rows} × ${cols} at ${offset}, ${stride} apart`;
      const dense = source.normals(rows * cols);
      const all = new Float32Array(offset + rows * stride + 2).fill(POISON);
      packRows(dense, place, all);
      const wanted = all.map((_, k) => {
        const [i, j] = [Math.floor((k - offset) / stride), (k - offset) % stride];
        return k >= offset && i < rows && j < cols ? dense[i * cols + j]! : POISON;
      });
      assertSame(all, wanted, `packRows, ${what}`);
      const back = unpackRows(all, place);
      assertSame(back, dense, `unpackRows, ${what}`);
      all.fill(0);
      assertSame(back, dense, `a copy of its own, ${what}`);
    }
  }
});

kernelTest("transfer: what is uploaded is read back, from padded and from partial views", async (t) => {
  const manager = managerOf(t);
  const source = t.random(2);
  using memory = new DeviceMatrices(manager, "test");
  for (const [rows, cols] of SIZES) {
    const what = `${rows} × ${cols}`;
    const host = { rows, cols, data: source.normals(rows * cols) };
    const view = memory.upload(host);
    assertEqual(view.stride, 4 * Math.ceil(cols / 4), `${what}: stride`);
    const whole = await t.download(view.buffer, { length: rows * view.stride });
    for (let k = 0; k < whole.length; k++) {
      const [i, j] = [Math.floor(k / view.stride), k % view.stride];
      assertEqual(whole[k], j < cols ? host.data[i * cols + j]! : 0, `${what}: number ${k} of the buffer`);
    }
    // A part of a matrix full of poison, with its last number the last of the buffer.
    const place = { offset: 5, stride: cols + 1 };
    const length = place.offset + (rows - 1) * place.stride + cols;
    const part = { buffer: t.poisoned(length), rows, cols, ...place };
    const recorder = manager.record();
    copy(recorder, { source: view, target: part });
    const [first, second] = [readMatrices(recorder, [view, part]), readMatrix(recorder, part)];
    recorder.submit();
    for (const found of [...(await first), await second]) {
      assertEqual(`${found.rows} × ${found.cols}`, what, "shape");
      assertSame(found.data, host.data, what);
    }
  }
});

kernelTest("transfer: f64 is rounded, and a matrix can be written again", async (t) => {
  const manager = managerOf(t);
  using memory = new DeviceMatrices(manager, "test");
  const exact = matrix(
    3,
    5,
    Float64Array.from({ length: 15 }, (_, k) => 0.1 * k - 1 / 3),
  );
  const view = memory.upload(exact);
  const recorder = manager.record();
  const reading = readMatrix(recorder, view);
  recorder.submit();
  const found = await reading;
  assertSame(found.data, exact.data.map(Math.fround), "rounded on the way");
  assertSame(toF32(exact).data, exact.data.map(Math.fround), "toF32");
  assertSame(toF64(found).data, exact.data.map(Math.fround), "toF64");
  assert(toF64(found).data instanceof Float64Array, "toF64 gives f64");
  memory.write(view, { rows: 3, cols: 5, data: Float32Array.from({ length: 15 }, (_, k) => k) });
  const again = manager.record();
  const second = readMatrix(again, view);
  again.submit();
  assertSame(
    (await second).data,
    Array.from({ length: 15 }, (_, k) => k),
    "written again",
  );
});

kernelTest("transfer: bad input is refused by name, and memory given back", async (t) => {
  const manager = managerOf(t);
  const before = manager.counts;
  const memory = new DeviceMatrices(manager, "test");
  const short = { rows: 2, cols: 3, data: new Float32Array(5) };
  assertThrows(() => memory.upload(short, "A"), DataError, /^test: A: has 5 numbers for 2 × 3/);
  const view = memory.matrix(2, 3);
  const other = { rows: 3, cols: 2, data: new Float32Array(6) };
  assertThrows(() => memory.write(view, other), ShapeError, /^test: numbers has shape \[3 × 2\]/);
  assertThrows(() => memory.write(view, short), DataError, /^test: numbers: has 5 numbers/);
  const foreign = { ...view, buffer: t.poisoned(8) };
  const good = { rows: 2, cols: 3, data: new Float32Array(6) };
  assertThrows(
    () => memory.write(foreign, good),
    ArgumentError,
    /^test: view must be a matrix that was made/,
  );
  assert(manager.counts.liveBuffers > before.liveBuffers, "something was made");
  memory.dispose();
  assertEqual(manager.counts.liveBuffers, before.liveBuffers, "live buffers");
  assertEqual(manager.counts.liveBytes, before.liveBytes, "live bytes");
  assertThrows(() => memory.write(view, good), ArgumentError, /made here/);
});

kernelTest("transfer: an operation that refuses its operands keeps no scratch", async (t) => {
  const engine = t.engine as Engine;
  const A = { rows: 3, cols: 5, data: t.random(3).normals(15) };
  const refuse = () => assertThrows(() => engine.sandwich(A, A, A), ShapeError);
  await refuse();
  const before = engine.manager.counts;
  for (let k = 0; k < 3; k++) await refuse();
  assertEqual(engine.manager.counts.buffers - before.buffers, 3 * 4, "operands and result, nothing else");
  assertEqual(engine.manager.counts.liveBuffers, before.liveBuffers, "live buffers");
});
