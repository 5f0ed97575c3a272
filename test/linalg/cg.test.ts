/** Conjugate gradients on the GPU: against f64, its ends, its memory, and what it does not do. */
import { AbortedError, ArgumentError, ShapeError } from "../../src/errors.js";
import {
  type CgOptions,
  type CgResult,
  ConjugateGradients,
  conjugateGradients,
  type LinearOperator,
} from "../../src/linalg/cg.js";
import { sandwich, type Matrix as View } from "../../src/linalg/index.js";
import { conjugateGradients as conjugateGradients64 } from "../../src/reference/cg.js";
import { exactTikhonov } from "../../src/reference/damping.js";
import { gram } from "../../src/reference/gram.js";
import { invert } from "../../src/reference/invert.js";
import { addDiagonal, type Matrix, scale } from "../../src/reference/matrix.js";
import { kroneckerOperator } from "../../src/reference/operator.js";
import { download, normals } from "../curvature/helpers.js";
import { blank, store } from "../curvature/layers.js";
import { calls, dispatches } from "../curvature/spies.js";
import {
  assert,
  assertClose,
  assertEqual,
  assertThrows,
  assertWritten,
  kernelTest,
  type TestContext,
} from "../harness/kernel-test.js";
import { assertSameBits, managerOf, run } from "./helpers.js";

interface System {
  A: Matrix;
  B: Matrix;
  operator: LinearOperator;
  G: Matrix;
  g: View;
}

/** V ↦ B V A with A and B symmetric positive definite; G is random. */
function system(t: TestContext, rows: number, cols: number, size = 1, seed = 1): System {
  const random = t.random(seed);
  const spd = (n: number) => addDiagonal(gram({ A: normals(random, n, n), alpha: 1 / n }), 0.2);
  const [A, B] = [spd(cols), spd(rows)];
  const G = scale(normals(random, rows, cols), size);
  const [a, b] = [store(t, A.data, cols, cols), store(t, B.data, rows, rows)];
  const operator = {
    rows,
    cols,
    apply: (recorder: Parameters<LinearOperator["apply"]>[0], V: View, into: View) =>
      sandwich(recorder, { P: b, G: V, Q: a, into }),
  };
  return { A, B, operator, G, g: store(t, G.data, rows, cols) };
}

async function solve(
  t: TestContext,
  { operator, g }: Pick<System, "operator" | "g">,
  options: CgOptions,
): Promise<{ delta: Float32Array; result: CgResult }> {
  const into = blank(t, operator.rows, operator.cols);
  const result = await conjugateGradients(managerOf(t), operator, { G: g, into }, options);
  const delta = await download(t, into);
  assertWritten(delta, "δ");
  for (const [k, residual] of result.residuals.entries()) {
    assert(Number.isFinite(residual), `residual ${k} is ${residual}`);
  }
  return { delta, result };
}

for (const [rows, cols] of [
  [1, 1],
  [3, 5],
  [17, 9],
  [40, 61],
] as const) {
  kernelTest(`cg: ${rows} × ${cols} against an f64 solution, residuals and certificate`, async (t) => {
    const one = system(t, rows, cols);
    const damping = 0.1;
    const { delta, result } = await solve(t, one, { damping, tolerance: 1e-6, maxIterations: 200 });
    assertEqual(result.status, "converged", "status");
    assertClose(delta, exactTikhonov(one.A, one.G, one.B, damping).data, 2e-5, "δ");
    const twin = conjugateGradients64(kroneckerOperator(one.A, one.B), one.G, { damping, tolerance: 1e-6 });
    // Rounding costs f32 some of its conjugacy.
    const most = 3 + 1.15 * twin.iterations;
    assert(
      result.iterations >= twin.iterations - 2 && result.iterations <= most,
      `${result.iterations} iterations, f64 ${twin.iterations}`,
    );
    assertEqual(result.residuals.length, result.iterations + 1, "residuals");
    const shared = Math.min(result.residuals.length, 6);
    assertClose(result.residuals.slice(0, shared), twin.residuals.slice(0, shared), 1e-3, "first residuals");
    assert(result.residuals.at(-1)! <= 1e-6, `last residual ${result.residuals.at(-1)}`);
    assert(result.certificate! < 3e-6, `certificate ${result.certificate}`);
  });
}

kernelTest("cg: any scale of G gives the same bits, scaled", async (t) => {
  const plain = system(t, 8, 11);
  const expected = await solve(t, plain, { damping: 0.1, maxIterations: 12 });
  for (const exponent of [-100, -60, 60, 100]) {
    const factor = 2 ** exponent;
    const scaled = system(t, 8, 11, factor);
    const { delta, result } = await solve(t, scaled, { damping: 0.1, maxIterations: 12 });
    assertEqual(result.residuals.join(), expected.result.residuals.join(), `residuals at 2^${exponent}`);
    assertSameBits(
      delta,
      expected.delta.map((x) => x * factor),
      `δ at 2^${exponent}`,
    );
  }
});

kernelTest("cg: a budget too small, and a warm start that goes on from there", async (t) => {
  const one = system(t, 12, 15, 1, 7);
  const { operator, g: G } = one;
  const into = blank(t, 12, 15);
  const options = { damping: 0.01, maxIterations: 5, tolerance: 1e-6 };
  const first = await conjugateGradients(managerOf(t), operator, { G, into }, options);
  assertEqual(first.status, "budget", "status");
  assertEqual(first.iterations, 5, "iterations");
  assertEqual(first.residuals.length, 6, "residuals");
  assert(first.certificate! > 1e-3, `certificate ${first.certificate}`);
  const more = { ...options, warm: true, maxIterations: 200 };
  const second = await conjugateGradients(managerOf(t), operator, { G, into }, more);
  assertEqual(second.status, "converged", "status of the second");
  assertClose([second.residuals[0]!], [first.certificate!], 1e-5, "where the second begins");
  assertClose(await download(t, into), exactTikhonov(one.A, one.G, one.B, 0.01).data, 1e-4, "δ");
  // From the solution itself there is nothing to do.
  const third = await conjugateGradients(managerOf(t), operator, { G, into }, { ...more, tolerance: 1e-4 });
  assertEqual(third.iterations, 0, "iterations of the third");
});

kernelTest(
  "cg: a preconditioner that is the inverse needs one step, a poor one more than none",
  async (t) => {
    const one = system(t, 14, 10, 1, 3);
    const inverse = (M: Matrix) => invert(M).inverse;
    const [a, b] = [inverse(one.A), inverse(one.B)].map((M) => store(t, M.data, M.rows, M.cols));
    const precondition = (P: View, Q: View) => ({
      apply: (recorder: Parameters<LinearOperator["apply"]>[0], R: View, into: View) =>
        sandwich(recorder, { P, G: R, Q, into }),
    });
    const exact = await solve(t, one, { preconditioner: precondition(b!, a!), tolerance: 1e-4 });
    assertEqual(exact.result.status, "converged", "status");
    assertEqual(exact.result.iterations, 1, "iterations with H⁻¹");
    const none = await solve(t, one, { tolerance: 1e-4 });
    assert(none.result.iterations > 8, `iterations without: ${none.result.iterations}`);
    assertClose(exact.delta, none.delta, 1e-3, "δ");
    const [A, B] = [store(t, one.A.data, 10, 10), store(t, one.B.data, 14, 14)];
    const poor = await solve(t, one, { preconditioner: precondition(B, A), tolerance: 1e-4 });
    assert(poor.result.iterations > none.result.iterations, `with H itself: ${poor.result.iterations}`);
  },
);

kernelTest("cg: not positive is a breakdown, not finite a status, and δ stays finite", async (t) => {
  const one = system(t, 6, 7);
  const negative = scale(one.B, -1);
  const [P, Q] = [store(t, negative.data, 6, 6), store(t, one.A.data, 7, 7)];
  const apply: LinearOperator["apply"] = (recorder, V, into) => sandwich(recorder, { P, G: V, Q, into });
  const operator = { rows: 6, cols: 7, apply };
  const broken = await solve(t, { operator, g: one.g }, {});
  assertEqual(broken.result.status, "breakdown", "status of a negative H");
  assertEqual(broken.result.iterations, 0, "iterations");
  const wrong = await solve(t, one, { preconditioner: { apply } });
  assertEqual(wrong.result.status, "breakdown", "status of a negative M");
  // λ makes up for it.
  assertEqual((await solve(t, { operator, g: one.g }, { damping: 50 })).result.status, "converged", "with λ");

  for (const value of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]) {
    const data = Float32Array.from(one.G.data);
    data[11] = value;
    const { delta, result } = await solve(t, { ...one, g: store(t, data, 6, 7) }, {});
    assertEqual(result.status, "nonFinite", `status with ${value} in G`);
    assertEqual(result.residuals.length, 0, "residuals");
    assert(
      delta.every((x) => x === 0),
      "δ is not zero",
    );
    const bad = Float32Array.from(one.B.data);
    bad[3] = value;
    const sick = { operator: { ...operator }, g: one.g };
    const p = store(t, bad, 6, 6);
    sick.operator.apply = (recorder, V, into) => sandwich(recorder, { P: p, G: V, Q, into });
    assertEqual((await solve(t, sick, {})).result.status, "nonFinite", `status with ${value} in H`);
    const preconditioned = await solve(t, one, { preconditioner: sick.operator });
    assertEqual(preconditioned.result.status, "nonFinite", `status with ${value} in M`);
  }
  const zero = await solve(t, { ...one, g: store(t, new Float32Array(42), 6, 7) }, {});
  assertEqual(zero.result.status, "converged", "status with G = 0");
  assertEqual(zero.result.iterations, 0, "iterations with G = 0");
});

kernelTest("cg: a start that is not finite counts as zero", async (t) => {
  const one = system(t, 5, 6);
  const cold = await solve(t, one, { damping: 0.1 });
  const warm = await solve(t, one, { damping: 0.1, warm: true });
  assertEqual(warm.result.status, "converged", "status");
  assertSameBits(warm.delta, cold.delta, "δ");
});

kernelTest("cg: one look at the GPU for each submit, none for an iteration; done is done", async (t) => {
  const one = system(t, 9, 12);
  const options = { damping: 0.01, tolerance: 0, maxIterations: 48, chunk: 48 };
  const staging = t.device.createBuffer({ size: 16, usage: GPUBufferUsage.MAP_READ });
  const looks = (chunk: number) => calls(staging, "mapAsync", () => solveOnly(t, one, { ...options, chunk }));
  assertEqual(await looks(48), 1, "read-backs in one submit");
  assertEqual(await looks(16), 3, "read-backs in three");
  staging.destroy();
  const whole = await solve(t, one, { ...options, tolerance: 1e-3, chunk: 48 });
  const pieces = await solve(t, one, { ...options, tolerance: 1e-3, chunk: 1 });
  assertEqual(whole.result.status, "converged", "status");
  assert(whole.result.iterations < 40, `${whole.result.iterations} iterations`);
  assertEqual(
    pieces.result.residuals.join(),
    whole.result.residuals.join(),
    "residuals, however they are sent",
  );
  assertSameBits(pieces.delta, whole.delta, "δ, however it is sent");
});

/** The solver's own calls only. */
async function solveOnly(t: TestContext, { operator, g: G }: System, options: CgOptions): Promise<void> {
  await conjugateGradients(managerOf(t), operator, { G, into: blank(t, G.rows, G.cols) }, options);
}

kernelTest("cg: no growth after warm-up, scratch of one iteration, memory given back", async (t) => {
  const manager = managerOf(t);
  const one = system(t, 16, 20);
  const { operator, g: G } = one;
  const into = blank(t, 16, 20);
  const before = manager.counts.liveBuffers;
  const solver = new ConjugateGradients(manager, 16, 20, 40);
  const once = () =>
    run(manager, (recorder) => {
      solver.begin(recorder, operator, { G, into }, { damping: 0.1 });
      solver.iterate(recorder, 40);
    });
  for (let k = 0; k < 4; k++) once();
  const counts = manager.counts;
  const perSolve = await dispatches(t.device, once);
  for (let k = 0; k < 4; k++) once();
  for (const key of ["buffers", "bindGroups", "tables", "pipelines"] as const) {
    assertEqual(manager.counts[key], counts[key], `${key} after warm-up`);
  }
  // Six of its own and two of the operator's in an iteration.
  assertEqual(perSolve, 5 + 40 * 8, "dispatches");
  solver.dispose();
  // An iteration's scratch is the product's, whatever the number of iterations.
  assert(manager.counts.liveBuffers - before < 12, `${manager.counts.liveBuffers - before} buffers are left`);
});

kernelTest("cg: stops between submits", async (t) => {
  const one = system(t, 9, 12);
  const controller = new AbortController();
  // Two products are asked for to see which kernels they take, and not recorded.
  let products = -2;
  const operator = { ...one.operator };
  operator.apply = (recorder, V, into) => {
    if (++products === 6) controller.abort("enough");
    one.operator.apply(recorder, V, into);
  };
  const into = blank(t, 9, 12);
  const options = { tolerance: 0, maxIterations: 100, chunk: 4, signal: controller.signal };
  const running = () => conjugateGradients(managerOf(t), operator, { G: one.g, into }, options);
  await assertThrows(running, AbortedError, /cg was stopped/);
  assertEqual(products, 8, "iterations recorded");
  const expected = await solve(t, one, { tolerance: 0, maxIterations: 8 });
  assertSameBits(await download(t, into), expected.delta, "δ so far");
  await assertThrows(running, AbortedError);
  assertEqual(products, 8, "iterations recorded after the abort");
});

kernelTest("cg: refuses bad arguments before anything is recorded", async (t) => {
  const { operator, g: G } = system(t, 3, 4);
  const manager = managerOf(t);
  const into = blank(t, 3, 4);
  const bad: [
    Parameters<typeof conjugateGradients>[2],
    CgOptions,
    typeof ShapeError | typeof ArgumentError,
    RegExp,
  ][] = [
    [{ G, into }, { damping: -1 }, ArgumentError, /damping must be a finite number/],
    [{ G, into }, { damping: Number.NaN }, ArgumentError, /damping/],
    [{ G, into }, { tolerance: -1 }, ArgumentError, /tolerance/],
    [{ G, into }, { maxIterations: 0 }, ArgumentError, /maxIterations/],
    [{ G, into }, { chunk: 1.5 }, ArgumentError, /chunk/],
    [{ G, into: { ...into, cols: 3 } }, {}, ShapeError, /into/],
    [{ G: { ...G, rows: 2 }, into }, {}, ShapeError, /G/],
    [{ G, into: G }, {}, ArgumentError, /same buffer/],
  ];
  const before = manager.counts.liveBuffers;
  for (const [operands, options, error, text] of bad) {
    await assertThrows(() => conjugateGradients(manager, operator, operands, options), error, text);
  }
  assertEqual(manager.counts.liveBuffers, before, "buffers");
});
