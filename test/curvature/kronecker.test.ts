import {
  type BlockUpdate,
  Curvature,
  type CurvatureOptions,
  type KroneckerBlock,
} from "../../src/curvature/index.js";
import { ArgumentError } from "../../src/errors.js";
import {
  checkFinite,
  diagonalOf,
  InvertStatus,
  invert,
  padded,
  reduce,
  sandwich,
  type Matrix as View,
} from "../../src/linalg/index.js";
import type { FactorRows, LayerSize } from "../../src/model/index.js";
import type { PipelineManager, Recorder } from "../../src/pipeline/index.js";
import { piDamping } from "../../src/reference/damping.js";
import { invert as invert64 } from "../../src/reference/invert.js";
import { precondition, updateFactors } from "../../src/reference/kfac.js";
import { identity, type Matrix } from "../../src/reference/matrix.js";
import type { Factors as HostFactors } from "../../src/reference/network.js";
import { trace } from "../../src/reference/reduce.js";
import {
  assert,
  assertClose,
  assertEqual,
  assertThrows,
  assertWritten,
  kernelTest,
  type Random,
  type TestContext,
} from "../harness/kernel-test.js";
import { download, factorsOf, normals, type Rows, target, updateBound, upload } from "./helpers.js";

/** Inputs and outputs are all different, odd, and on both sides of a tile's and a sweep's edge. */
const LAYERS: LayerSize[] = [
  { name: "a", in: 7, out: 3 },
  { name: "b", in: 33, out: 18 },
  { name: "c", in: 1, out: 67 },
];

function aligned(t: TestContext, M: Matrix) {
  return upload(t, M, { gap: padded(M.cols) - M.cols }) as View;
}

function updateOf(t: TestContext, layer: number, rows: Rows): BlockUpdate {
  const scale = 1 / rows.A.rows;
  const [A, B] = [aligned(t, rows.A), aligned(t, rows.B)];
  return { layer, statistics: { inputs: () => ({ rows: A, scale }), outputs: () => ({ rows: B, scale }) } };
}

function batch(random: Random, layer: LayerSize, count: number, columns = 2, scale = 1): Rows {
  return {
    A: normals(random, count, layer.in, scale),
    B: normals(random, count * columns, layer.out, 0.3),
  };
}

/** With Kronecker layers alone there is one block, and its numbers are the model's. */
function block({ blocks }: Curvature): KroneckerBlock {
  assertEqual(blocks.length, 1, "blocks");
  return blocks[0] as KroneckerBlock;
}

function accumulate(manager: PipelineManager, factors: Curvature, updates: BlockUpdate[]): void {
  const recorder = manager.record();
  factors.accumulate(recorder, updates);
  recorder.submit();
}

function refresh(manager: PipelineManager, factors: Curvature): void {
  const recorder = manager.record();
  factors.refresh(recorder);
  recorder.submit();
}

async function stateOf(manager: PipelineManager, factors: Curvature) {
  const recorder = manager.record();
  const bytes = recorder.read(factors.state);
  recorder.submit();
  return factors.decode(await bytes);
}

/** U of one layer for G. */
async function update(
  t: TestContext,
  manager: PipelineManager,
  factors: Curvature,
  layer: number,
  G: Matrix,
) {
  const U = target(t, G.rows, G.cols);
  const recorder = manager.record();
  factors.precondition(recorder, [{ layer, G: upload(t, G) as View, into: U as never }]);
  recorder.submit();
  return download(t, U);
}

function open(t: TestContext, layers: readonly LayerSize[], options?: CurvatureOptions) {
  const { manager } = t.engine;
  return { manager, factors: new Curvature(manager, layers, options) };
}

kernelTest("factors: moving means follow the f64 twin, each layer at its own pace", async (t) => {
  const emaDecay = 0.7;
  const { manager, factors } = open(t, LAYERS, { emaDecay });
  const random = t.random(1);
  const means: (HostFactors | undefined)[] = LAYERS.map(() => undefined);
  const counts = LAYERS.map(() => 0);
  for (let step = 1; step <= 6; step++) {
    const updates: BlockUpdate[] = [];
    for (const [l, layer] of LAYERS.entries()) {
      // Layer b takes every other batch, in a different order than the layers'.
      if (l === 1 && step % 2 === 0) continue;
      const rows = batch(random, layer, 5 + 9 * ((step + l) % 4), 1 + l);
      means[l] = updateFactors(means[l], factorsOf(rows), ++counts[l]!, emaDecay);
      updates.unshift(updateOf(t, l, rows));
    }
    accumulate(manager, factors, updates);
    for (const [l, mean] of means.entries()) {
      const what = `step ${step}, layer ${l}`;
      assertClose(await download(t, block(factors).A(l)), mean!.A.data, 1e-6, `${what}: A`);
      assertClose(await download(t, block(factors).B(l)), mean!.B.data, 1e-6, `${what}: B`);
    }
  }
  const states = await stateOf(manager, factors);
  for (const [l, { batches, ready, skipped }] of states.entries()) {
    assertEqual(batches.A, counts[l]!, `batches in A of layer ${l}`);
    assertEqual(batches.B, counts[l]!, `batches in B of layer ${l}`);
    assertEqual(ready, false, `layer ${l} is ready before a refresh`);
    assertEqual(skipped, 0, `batches left out of layer ${l}`);
  }
  factors.dispose();
});

kernelTest("factors: the mean forgets at 0.95 unless told otherwise, and not at all early on", async (t) => {
  const { manager, factors } = open(t, [LAYERS[0]!]);
  let mean: HostFactors | undefined;
  const random = t.random(2);
  for (let step = 1; step <= 24; step++) {
    const rows = batch(random, LAYERS[0]!, 4, 1, step);
    mean = updateFactors(mean, factorsOf(rows), step, 0.95);
    accumulate(manager, factors, [updateOf(t, 0, rows)]);
    // 1 − 1/t reaches 0.95 at t = 20.
    if (![1, 2, 19, 20, 21, 24].includes(step)) continue;
    assertClose(await download(t, block(factors).A(0)), mean.A.data, 2e-6, `A after ${step}`);
  }
  factors.dispose();
});

kernelTest("factors: damped inverses and U against the f64 twin", async (t) => {
  const { manager, factors } = open(t, LAYERS);
  const random = t.random(3);
  const means = LAYERS.map((layer, l) => {
    const rows = batch(random, layer, 40, 2, 10 ** (l - 1));
    accumulate(manager, factors, [updateOf(t, l, rows)]);
    return factorsOf(rows);
  });
  for (const damping of [10, 1e-1, 1e-3]) {
    factors.damping = damping;
    refresh(manager, factors);
    const states = await stateOf(manager, factors);
    for (const [l, { A, B }] of means.entries()) {
      const what = `damping ${damping}, layer ${l}`;
      const split = piDamping(trace(A), A.rows, trace(B), B.rows, damping);
      const bound = updateBound({ A, B }, damping);
      const wanted = invert64(A, { damping: split.a }).inverse;
      assertClose(await download(t, block(factors).inverseA(l)), wanted.data, bound, `${what}: inverse of A`);
      const left = invert64(B, { damping: split.b }).inverse;
      assertClose(await download(t, block(factors).inverseB(l)), left.data, bound, `${what}: inverse of B`);
      const G = normals(random, B.rows, A.rows);
      const U = precondition({ A, B }, G, damping).update;
      assertClose(await update(t, manager, factors, l, G), U.data, bound, `${what}: U`);
      const state = states[l]!;
      assertClose([state.pi], [split.pi], 1e-5, `${what}: π`);
      assertClose([state.lambda], [damping], 1e-6, `${what}: λ`);
      assertEqual(state.text, "ok", `${what}: status`);
      assertEqual(state.ready, true, `${what}: ready`);
      assertEqual(state.boost, 1, `${what}: boost`);
    }
  }
  factors.dispose();
});

kernelTest("factors: no data, no update: a refresh before the first batch leaves U zero", async (t) => {
  const { manager, factors } = open(t, LAYERS);
  const random = t.random(4);
  accumulate(manager, factors, [updateOf(t, 1, batch(random, LAYERS[1]!, 50))]);
  const G = LAYERS.map((layer) => normals(random, layer.out, layer.in));
  for (const l of LAYERS.keys()) {
    const U = await update(t, manager, factors, l, G[l]!);
    assertClose(U, new Float32Array(U.length), 0, `U of layer ${l} before any refresh`);
  }
  for (let time = 0; time < 3; time++) refresh(manager, factors);
  const states = await stateOf(manager, factors);
  for (const l of [0, 2]) {
    const U = await update(t, manager, factors, l, G[l]!);
    assertClose(U, new Float32Array(U.length), 0, `U of layer ${l} after a refresh without data`);
    assertEqual(states[l]!.ready, false, `layer ${l} ready`);
    assertEqual(states[l]!.text, "no inverse yet", `status of layer ${l}`);
    assertEqual(states[l]!.boost, 1, `boost of layer ${l}: nothing has failed`);
    assertEqual(states[l]!.failures, 0, `failures of layer ${l}`);
  }
  assertEqual(states[1]!.ready, true, "the layer with data is ready");
  assert(
    (await update(t, manager, factors, 1, G[1]!)).some((u) => u !== 0),
    "U of the layer with data",
  );
  factors.dispose();
});

const poisons: [string, number][] = [
  ["NaN", Number.NaN],
  ["infinity", Number.POSITIVE_INFINITY],
  ["−infinity", Number.NEGATIVE_INFINITY],
];

for (const [name, bad] of poisons) {
  for (const side of ["A", "B"] as const) {
    kernelTest(`factors: a batch with ${name} in ${side} is left out and counted`, async (t) => {
      const { manager, factors } = open(t, LAYERS, { emaDecay: 0.5 });
      const random = t.random(5);
      const good = LAYERS.map((layer) => batch(random, layer, 20));
      accumulate(
        manager,
        factors,
        good.map((rows, l) => updateOf(t, l, rows)),
      );
      const next = LAYERS.map((layer) => batch(random, layer, 20));
      const data = next[1]![side].data;
      data[data.length - 2] = bad;
      accumulate(
        manager,
        factors,
        next.map((rows, l) => updateOf(t, l, rows)),
      );
      const states = await stateOf(manager, factors);
      for (const l of LAYERS.keys()) {
        const first = factorsOf(good[l]!);
        const mean = l === 1 ? first : updateFactors(first, factorsOf(next[l]!), 2, 0.5);
        assertClose(await download(t, block(factors).A(l)), mean.A.data, 1e-6, `A of layer ${l}`);
        assertClose(await download(t, block(factors).B(l)), mean.B.data, 1e-6, `B of layer ${l}`);
        assertEqual(states[l]!.skipped, l === 1 ? 1 : 0, `batches left out of layer ${l}`);
        assertEqual(states[l]!.batches.A, l === 1 ? 1 : 2, `batches in layer ${l}`);
      }
      // The next good batch counts as the second.
      const last = batch(random, LAYERS[1]!, 20);
      accumulate(manager, factors, [updateOf(t, 1, last)]);
      const mean = updateFactors(factorsOf(good[1]!), factorsOf(last), 2, 0.5);
      assertClose(await download(t, block(factors).A(1)), mean.A.data, 1e-6, "A after a good batch");
      assertClose(await download(t, block(factors).B(1)), mean.B.data, 1e-6, "B after a good batch");
      factors.dispose();
    });
  }
}

for (const side of ["A", "B"] as const) {
  kernelTest(`factors: ${side} overflows, keeps its inverse, and recovers`, async (t) => {
    const damping = 0.01;
    const { manager, factors } = open(t, LAYERS, { damping, emaDecay: 0.9 });
    const random = t.random(6);
    const good = LAYERS.map((layer) => batch(random, layer, 30, 2, 20));
    accumulate(
      manager,
      factors,
      good.map((rows, l) => updateOf(t, l, rows)),
    );
    refresh(manager, factors);
    const before = await download(t, side === "A" ? block(factors).inverseA(1) : block(factors).inverseB(1));
    const other = side === "A" ? "B" : "A";

    const huge = batch(random, LAYERS[1]!, 30);
    for (let k = 0; k < huge[side].data.length; k++) huge[side].data[k] = Math.fround(1e30 * (1 + (k % 3)));
    accumulate(manager, factors, [updateOf(t, 1, huge)]);
    refresh(manager, factors);
    let [, state] = await stateOf(manager, factors);
    assert(state!.status[side] & InvertStatus.nonFinite, `status of ${side}: ${state!.status[side]}`);
    assert(state!.text.startsWith("numbers that are not finite"), `status in words: ${state!.text}`);
    assertEqual(state!.failures, 1, "failures");
    assertEqual(state!.boost, 10, "boost after the failure");
    assertEqual(state!.ready, true, "still ready");
    assertEqual(state!.batches[side], 0, `the mean of ${side} starts afresh`);
    assertEqual(state!.batches[other], 2, `the mean of ${other} goes on`);
    const kept = await download(t, side === "A" ? block(factors).inverseA(1) : block(factors).inverseB(1));
    assertClose(kept, before, 0, `inverse of ${side} is the old one`);
    // What goes with the old inverse must be split by the old π: see that U stays on its scale.
    const G = normals(random, LAYERS[1]!.out, LAYERS[1]!.in);
    const U = await update(t, manager, factors, 1, G);
    assertWritten(U, "U while a mean holds infinities");
    const wanted = precondition(factorsOf(good[1]!), G, damping).update;
    const size = (x: ArrayLike<number>) => Math.hypot(...Array.from(x));
    const ratio = size(U) / size(wanted.data);
    assert(ratio < 2 && ratio > 0.05, `U is ${ratio} times as long as before the overflow`);

    // A refresh without new data changes nothing.
    refresh(manager, factors);
    [, state] = await stateOf(manager, factors);
    assertEqual(state!.failures, 1, "failures after a refresh without data");
    assertEqual(state!.boost, 10, "boost after a refresh without data");

    const fresh = batch(random, LAYERS[1]!, 30);
    accumulate(manager, factors, [updateOf(t, 1, fresh)]);
    const mean = side === "A" ? block(factors).A(1) : block(factors).B(1);
    assertClose(await download(t, mean), factorsOf(fresh)[side].data, 1e-6, `${side} afresh`);
    for (const boost of [10, 10 ** 0.5, 1, 1]) {
      refresh(manager, factors);
      [, state] = await stateOf(manager, factors);
      assertEqual(state!.text, "ok", `status at boost ${boost}`);
      assertClose([state!.lambda], [damping * boost], 1e-5, `λ at boost ${boost}`);
    }
    assertEqual(state!.boost, 1, "boost in the end");
    assertEqual(state!.failures, 1, "failures in the end");
    const [first] = await stateOf(manager, factors);
    assertEqual(first!.failures, 0, "failures of another layer");
    assertEqual(first!.boost, 1, "boost of another layer");
    factors.dispose();
  });
}

kernelTest(
  "factors: an indefinite matrix keeps its inverse and is damped harder until it inverts",
  async (t) => {
    const damping = 1e-4;
    const layer = { name: "a", in: 6, out: 4 };
    const { manager, factors } = open(t, [layer], { damping });
    const random = t.random(7);
    const rows = batch(random, layer, 30);
    accumulate(manager, factors, [updateOf(t, 0, rows)]);
    refresh(manager, factors);
    const before = await download(t, block(factors).inverseA(0));
    // No Gram matrix is indefinite by more than rounding, so this one is put there by hand: eigenvalues 1 and −0.5.
    const stride = block(factors).A(0).stride;
    const bad = new Float32Array(6 * stride);
    for (let i = 0; i < 6; i++) bad[i * stride + i] = i === 2 ? -0.5 : 1;
    t.device.queue.writeBuffer(block(factors).A(0).buffer, 4 * block(factors).A(0).offset, bad);
    let boost = 1;
    for (let failures = 1; ; failures++) {
      assert(failures < 9, "the boost never suffices");
      refresh(manager, factors);
      const [state] = await stateOf(manager, factors);
      assertClose([state!.lambda], [damping * boost], 1e-5, `λ of refresh ${failures}`);
      if (state!.text === "ok") {
        assert(failures > 2, "inverted at once");
        break;
      }
      boost *= 10;
      assertEqual(state!.text, "not positive definite", "status in words");
      assertEqual(state!.boost, boost, `boost after ${failures} failures`);
      assertEqual(state!.failures, failures, "failures");
      assertEqual(state!.batches.A, 1, "the mean is not forgotten");
      assertClose(await download(t, block(factors).inverseA(0)), before, 0, "the inverse is the old one");
    }
    assertWritten(await download(t, block(factors).inverseA(0)), "the new inverse");
    assert(
      (await download(t, block(factors).inverseA(0))).some((x, k) => x !== before[k]),
      "the inverse is new",
    );
    factors.dispose();
  },
);

kernelTest("factors: a zero factor is damped by √λ alone, and one far out of scale by its own", async (t) => {
  const layer = { name: "a", in: 5, out: 3 };
  const { manager, factors } = open(t, [layer], { damping: 0.04 });
  const random = t.random(8);
  const rows = batch(random, layer, 20);
  rows.A.data.fill(0);
  accumulate(manager, factors, [updateOf(t, 0, rows)]);
  refresh(manager, factors);
  const [state] = await stateOf(manager, factors);
  assertEqual(state!.pi, 1, "π of a zero factor");
  assertClose(await download(t, block(factors).inverseA(0)), identity(5, 5).data, 1e-6, "inverse of √λ I");
  factors.reset();
  const small = batch(random, layer, 20, 1, 1e-12);
  for (let k = 0; k < small.B.data.length; k++) small.B.data[k]! *= 1e9;
  accumulate(manager, factors, [updateOf(t, 0, small)]);
  refresh(manager, factors);
  const mean = factorsOf(small);
  const G = normals(random, 3, 5);
  const bound = updateBound(mean, 0.04);
  const wanted = precondition(mean, G, 0.04).update.data;
  assertClose(await update(t, manager, factors, 0, G), wanted, bound, "U with factors 1e-24 and 1e17");
  factors.dispose();
});

kernelTest("factors: reset() forgets everything, dispose() frees everything", async (t) => {
  const { manager } = t.engine;
  const before = manager.counts;
  const factors = new Curvature(manager, LAYERS, { damping: 0.1 });
  assert(manager.counts.liveBuffers > before.liveBuffers, "no buffers are made");
  const random = t.random(9);
  const rows = batch(random, LAYERS[0]!, 20);
  for (let time = 0; time < 2; time++) {
    accumulate(manager, factors, [updateOf(t, 0, rows)]);
    refresh(manager, factors);
    assertClose(await download(t, block(factors).A(0)), factorsOf(rows).A.data, 1e-6, `A, time ${time}`);
    factors.reset();
    const [state] = await stateOf(manager, factors);
    assertEqual(state!.batches.A, 0, "batches after reset");
    assertEqual(state!.ready, false, "ready after reset");
    assertEqual(state!.boost, 1, "boost after reset");
    const G = normals(random, 3, 7);
    assertClose(await update(t, manager, factors, 0, G), new Float32Array(21), 0, "U after reset");
  }
  const used = manager.counts;
  factors.dispose();
  const own = new Curvature(manager, LAYERS);
  assertEqual(manager.counts.liveBuffers, used.liveBuffers, "buffers after dispose and anew");
  assertEqual(manager.counts.liveBytes, used.liveBytes, "bytes after dispose and anew");
  own.dispose();
});

kernelTest("factors: bad options and layers are refused and leave no buffer", (t) => {
  const { manager } = t.engine;
  const before = manager.counts.liveBuffers;
  const make = (options: CurvatureOptions, layers: LayerSize[] = LAYERS) => {
    return () => new Curvature(manager, layers, options);
  };
  for (const damping of [-1e-9, Number.NaN, Number.POSITIVE_INFINITY]) {
    assertThrows(make({ damping }), ArgumentError, /damping must be .* not negative, got/);
  }
  for (const emaDecay of [-0.1, 1]) {
    assertThrows(make({ emaDecay }), ArgumentError, /emaDecay must lie in \[0, 1\), got/);
  }
  assertThrows(make({ emaDecay: Number.NaN }), ArgumentError, /emaDecay must be a finite number, got NaN/);
  assertThrows(make({}, []), ArgumentError, /layers must be at least one/);
  const factors = new Curvature(manager, LAYERS);
  assertThrows(() => block(factors).A(3), ArgumentError, /layer must be below 3, got 3/);
  assertThrows(
    () => {
      factors.damping = -1;
    },
    ArgumentError,
    /damping/,
  );
  assertEqual(factors.damping, 1e-3, "damping is unchanged");
  factors.dispose();
  assertEqual(manager.counts.liveBuffers, before, "buffers");
});

kernelTest("factors: grouped over all layers, and no dispatch beside the operations themselves", (t) => {
  const { manager, factors } = open(t, LAYERS);
  const random = t.random(10);
  const updates = LAYERS.map((layer, l) => updateOf(t, l, batch(random, layer, 20)));
  const items = LAYERS.map(({ out, in: inputs }, layer) => {
    const [G, into] = [0, 1].map(() => aligned(t, normals(random, out, inputs)));
    return { layer, G: G!, into: into! };
  });
  const count = (record: (recorder: Recorder) => void) => {
    const recorder = manager.record();
    record(recorder);
    recorder.submit();
    return recorder.dispatches;
  };
  const rows = updates.flatMap(({ statistics }) => [statistics.inputs(), statistics.outputs()]);
  const { A, B, inverseA, inverseB } = pick(block(factors));
  // Two decisions of a refresh and one of a batch are what the state costs.
  const squares = LAYERS.flatMap((_, l) => [A(l), B(l)]);
  const spare = manager.createStorage("spare", 64);
  const status = manager.createStorage("status", 64);
  const refreshed = count((recorder) => {
    reduce(
      recorder,
      spare,
      squares.map((S, index) => ({ x: diagonalOf(S), index })),
    );
    invert(
      recorder,
      LAYERS.flatMap((_, l) => [
        { S: A(l), into: inverseA(l) },
        { S: B(l), into: inverseB(l) },
      ]),
      { dampings: spare, status },
    );
  });
  assertEqual(
    count((recorder) => factors.refresh(recorder)),
    refreshed + 2,
    "dispatches of a refresh",
  );
  const checked = count((recorder) => {
    checkFinite(
      recorder,
      status,
      rows.map((side, flag) => ({ x: (side as FactorRows).rows, flag, bit: 1 })),
    );
  });
  // Each side of this test's layers lies in a buffer of its own, so its Gram matrix is a dispatch.
  const accumulated = count((recorder) => factors.accumulate(recorder, updates));
  assertEqual(accumulated, checked + 1 + rows.length, "dispatches of a batch");
  const products = count((recorder) =>
    sandwich(
      recorder,
      items.map(({ layer, G, into }) => ({ P: inverseB(layer), G, Q: inverseA(layer), into })),
    ),
  );
  assertEqual(
    count((recorder) => factors.precondition(recorder, items)),
    products,
    "dispatches of a step",
  );
  factors.dispose();
  for (const buffer of [spare, status]) manager.destroyBuffer(buffer);
});

/** The block's matrices, as functions on their own. */
function pick(own: KroneckerBlock) {
  return {
    A: (l: number) => own.A(l),
    B: (l: number) => own.B(l),
    inverseA: (l: number) => own.inverseA(l),
    inverseB: (l: number) => own.inverseB(l),
  };
}
