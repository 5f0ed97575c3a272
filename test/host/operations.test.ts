/** Operations on matrices in main memory: the same results, typed errors, and no memory left behind. */
import type { Engine } from "../../src/engine.js";
import { ArgumentError, DataError, ShapeError } from "../../src/errors.js";
import type { HostMatrix } from "../../src/host/index.js";
import * as exact from "../../src/reference/index.js";
import {
  assert,
  assertClose,
  assertEqual,
  assertThrows,
  kernelTest,
  type Random,
} from "../harness/kernel-test.js";
import { managerOf } from "../linalg/helpers.js";

function random(source: Random, rows: number, cols: number): HostMatrix {
  return { rows, cols, data: source.normals(rows * cols) };
}

function f64({ rows, cols, data }: HostMatrix): exact.Matrix {
  return exact.matrix(rows, cols, data);
}

function spd(source: Random, n: number): HostMatrix {
  const gram = exact.gram({ A: f64(random(source, n, 2 * n + 3)), alpha: 1 / (2 * n + 3) });
  return { rows: n, cols: n, data: Float32Array.from(gram.data) };
}

function assertMatrix(actual: HostMatrix, expected: exact.Matrix, what: string): void {
  assertEqual(`${actual.rows} × ${actual.cols}`, `${expected.rows} × ${expected.cols}`, `${what}: shape`);
  assertClose(actual.data, expected.data, 1e-5, what);
}

kernelTest("host: every operation agrees with the reference", async (t) => {
  const engine = t.engine as Engine;
  const source = t.random(1);
  const [A, B] = [random(source, 5, 9), random(source, 9, 3)];
  assertMatrix(await engine.matmul(A, B), exact.matmul(f64(A), f64(B)), "matmul");
  const C = random(source, 4, 9);
  const swapped = { transposeB: true, alpha: -2 };
  assertMatrix(await engine.matmul(A, C, swapped), exact.matmul(f64(A), f64(C), swapped), "matmul, B'");
  const D = random(source, 5, 2);
  const both = { transposeA: true };
  assertMatrix(await engine.matmul(A, D, both), exact.matmul(f64(A), f64(D), both), "matmul, A'");
  assertMatrix(await engine.gram({ A }), exact.gram({ A: f64(A) }), "gram");
  assertMatrix(
    await engine.gram({ A: [A, D], alpha: 0.5, biasRow: true }),
    exact.gram({ A: [f64(A), f64(D)], alpha: 0.5, biasRow: true }),
    "gram of a list",
  );
  const [P, G, Q] = [spd(source, 6), random(source, 6, 11), spd(source, 11)];
  assertMatrix(await engine.sandwich(P, G, Q), exact.sandwich(f64(P), f64(G), f64(Q)), "sandwich");
  const list = [1, 6, 33].map((n) => spd(source, n));
  const inverses = await engine.invertAll(list, { damping: 0.1 });
  for (const [i, S] of list.entries()) {
    assertEqual(inverses[i]!.status, 0, "status");
    assertMatrix(inverses[i]!.inverse, exact.invert(f64(S), { damping: 0.1 }).inverse, `inverse ${i}`);
  }
  const { inverse, status } = await engine.invert(list[2]!, { damping: 0.5 });
  assertEqual(status, 0, "status");
  assertMatrix(inverse, exact.invert(f64(list[2]!), { damping: 0.5 }).inverse, "one inverse");
  const plain = await engine.invert(list[1]!);
  assertMatrix(plain.inverse, exact.invert(f64(list[1]!)).inverse, "an inverse without damping");
});

kernelTest("host: a failed inversion is a value", async (t) => {
  const engine = t.engine as Engine;
  const bad = { rows: 2, cols: 2, data: Float32Array.of(1, 2, 2, 1) };
  const good = { rows: 1, cols: 1, data: Float32Array.of(4) };
  const nan = { rows: 1, cols: 1, data: Float32Array.of(Number.NaN) };
  const [first, second, third] = await engine.invertAll([bad, good, nan], { damping: 1e-3 });
  assertEqual(first!.status & 3, 1, "status of an indefinite matrix");
  assert(
    first!.inverse.data.every((value) => value === 0),
    "its inverse is zero",
  );
  assertEqual(second!.status, 0, "status of the good one");
  assertClose(second!.inverse.data, [1 / 4.001], 1e-6, "its inverse");
  assertEqual(third!.status & 2, 2, "status of NaN");
  assertEqual(third!.inverse.data[0], 0, "its inverse");
});

kernelTest("host: bad input is refused, memory is given back, the engine goes on", async (t) => {
  const engine = t.engine as Engine;
  const source = t.random(2);
  const [A, B] = [random(source, 3, 5), random(source, 4, 2)];
  const empty = { rows: 0, cols: 5, data: new Float32Array() };
  const short = { rows: 3, cols: 5, data: new Float32Array(14) };
  const calls = async () => {
    await assertThrows(
      () => engine.matmul(A, B),
      ShapeError,
      /^matmul: B has shape \[4 × 2\], expected \[5 × 2\]/,
    );
    await assertThrows(() => engine.matmul(A, short), DataError, /^matmul: B: has 14 numbers for 3 × 5/);
    await assertThrows(() => engine.gram({ A: [] }), ArgumentError, /^gram: A must be at least one matrix/);
    await assertThrows(() => engine.gram({ A: [A, B] }), ShapeError, /^gram: A\[1\] has shape \[4 × 2\]/);
    await assertThrows(() => engine.sandwich(A, A, A), ShapeError, /^sandwich: P has shape \[3 × 5\]/);
    await assertThrows(
      () => engine.invert(A),
      ShapeError,
      /^invert: S has shape \[3 × 5\], expected \[3 × 3\]/,
    );
    await assertThrows(
      () => engine.invert({ ...short, rows: 5 }),
      DataError,
      /^invert: S: has 14 numbers for 5 × 5/,
    );
    await assertThrows(
      () => engine.invertAll([]),
      ArgumentError,
      /^invert: list must be at least one matrix/,
    );
    await assertThrows(() => engine.matmul(empty, empty), ShapeError, /^matmul: A has shape \[0 × 5\]/);
    await assertThrows(() => engine.gram({ A: empty }), ShapeError, /^gram: A has shape \[0 × 5\]/);
    await assertThrows(
      () => engine.invert({ ...empty, cols: 0 }),
      ShapeError,
      /^invert: S has shape \[0 × 0\]/,
    );
    await engine.gram({ A, biasRow: true });
    await engine.invert({ rows: 1, cols: 1, data: Float32Array.of(2) });
  };
  await calls();
  const before = managerOf(t).counts;
  for (let i = 0; i < 5; i++) await calls();
  const after = managerOf(t).counts;
  assertEqual(after.liveBuffers, before.liveBuffers, "live buffers");
  assertEqual(after.liveBytes, before.liveBytes, "live bytes");
  assertMatrix(await engine.gram({ A }), exact.gram({ A: f64(A) }), "gram afterwards");
});
