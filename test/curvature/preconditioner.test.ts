import type {
  LayerStatistics,
  PreconditionedLayer,
  Preconditioner,
  PreconditionerOptions,
} from "../../src/curvature/index.js";
import { ArgumentError, LimitError, ShapeError, UnsupportedLayerError } from "../../src/errors.js";
import type { MatrixView } from "../../src/linalg/index.js";
import { precondition, updateFactors } from "../../src/reference/kfac.js";
import { type Matrix, scale, stackRows, transpose } from "../../src/reference/matrix.js";
import type { Factors as HostFactors } from "../../src/reference/network.js";

import { createEngine } from "../harness/engine.js";
import { assert, assertClose, assertEqual, assertThrows, kernelTest } from "../harness/kernel-test.js";
import {
  download,
  factorsOf,
  normals,
  type Place,
  type Rows,
  target,
  updateBound,
  upload,
} from "./helpers.js";
import {
  accumulate,
  DAMPING,
  dataOf,
  factors,
  LAYERS,
  open,
  refresh,
  rounded,
  statistics,
  update,
} from "./preconditioner-helpers.js";
import { submits } from "./spies.js";

const places: Record<string, Place> = {
  "whole buffers": {},
  "views in larger buffers": { offset: 64, gap: 0, tail: 9 },
  "aligned views with gaps": { offset: 8, gap: 4, tail: 4 },
  "views at odd places": { offset: 5, gap: 3, tail: 7 },
};

for (const layout of ["columns", "rows"] as const) {
  for (const [name, place] of Object.entries(places)) {
    kernelTest(`preconditioner: examples as ${layout}, ${name}`, async (t) => {
      const p = open(t);
      const random = t.random(1);
      const data = LAYERS.map((layer, l) => dataOf(random, layer, 16 + 9 * l, 1 + l));
      for (const [l, layer] of LAYERS.entries()) {
        accumulate(t, p, layer.name, data[l]!, { layout, place });
      }
      refresh(t, p);
      for (const [l, layer] of LAYERS.entries()) {
        const expected = factors(layer, data[l]!);
        assertClose(
          await download(t, p.curvature.factors(l)!.A),
          expected.A.data,
          1e-6,
          `A of ${layer.name}`,
        );
        assertClose(
          await download(t, p.curvature.factors(l)!.B),
          expected.B.data,
          1e-6,
          `B of ${layer.name}`,
        );
        const U = await update(t, p, layer.name, data[l]!.G, { place });
        const wanted = precondition(expected, data[l]!.G, DAMPING).update;
        assertClose(U, wanted.data, updateBound(expected, DAMPING), `U of ${layer.name}`);
      }
      p.dispose();
    });
  }
}

kernelTest("preconditioner: a mean and a sum loss give the same U for the same damping", async (t) => {
  const random = t.random(2);
  const layer = LAYERS[0]!;
  const data = dataOf(random, layer, 24, 3);
  const expected = factors(layer, data);
  const wanted = precondition(expected, data.G, DAMPING).update;
  const bound = updateBound(expected, DAMPING);
  for (const loss of ["mean", "sum"] as const) {
    const p = open(t, { loss });
    accumulate(t, p, layer.name, data, { loss });
    refresh(t, p);
    const G = loss === "mean" ? data.G : rounded(scale(data.G, 24));
    assertClose(await update(t, p, layer.name, G), wanted.data, bound, `U for a ${loss} loss`);
    p.dispose();
  }
});

kernelTest("preconditioner: a batch in two halves, or twice over, is the same as once", async (t) => {
  const random = t.random(3);
  const layer = LAYERS[1]!;
  const whole = dataOf(random, layer, 40);
  const part = (M: Matrix, from: number, to: number): Matrix => {
    return { rows: to - from, cols: M.cols, data: M.data.slice(from * M.cols, to * M.cols) };
  };
  const half = (from: number) => ({ A: part(whole.A, from, from + 20), B: part(whole.B, from, from + 20) });
  const twice = { A: stackRows([whole.A, whole.A]), B: stackRows([whole.B, whole.B]) };
  const feeds: Record<string, Rows[]> = {
    once: [whole],
    "in two halves": [half(0), half(20)],
    duplicated: [twice],
    "the same batch twice": [whole, whole],
  };
  const expected = factors(layer, whole);
  const wanted = precondition(expected, whole.G, DAMPING).update;
  const bound = updateBound(expected, DAMPING);
  for (const loss of ["mean", "sum"] as const) {
    for (const [name, batches] of Object.entries(feeds)) {
      const p = open(t, { loss });
      for (const rows of batches) accumulate(t, p, layer.name, rows, { loss });
      refresh(t, p);
      // G is always of the whole batch.
      const G = loss === "mean" ? whole.G : rounded(scale(whole.G, 40));
      const U = await update(t, p, layer.name, G, { examples: 40 });
      assertClose(U, wanted.data, bound, `${name}, ${loss} loss`);
      p.dispose();
    }
  }
});

kernelTest("preconditioner: positions: A is a mean over them, B a sum", async (t) => {
  // 6 examples with 5 positions each; B holds 2 columns for every position.
  const layer = LAYERS[2]!;
  const random = t.random(4);
  const rows = { A: normals(random, 30, 13), B: normals(random, 60, 6) };
  const G = normals(random, 6, 13);
  const expected = factorsOf(rows);
  expected.B = scale(expected.B, 30 / 6);
  const wanted = precondition(expected, G, DAMPING).update;
  for (const loss of ["mean", "sum"] as const) {
    const p = open(t, { loss });
    accumulate(t, p, layer.name, rows, { loss, examples: 6, layout: "rows" });
    refresh(t, p);
    const U = await update(t, p, layer.name, loss === "mean" ? G : rounded(scale(G, 6)));
    assertClose(await download(t, p.curvature.factors(2)!.B), expected.B.data, 1e-6, `B, ${loss} loss`);
    assertClose(U, wanted.data, updateBound(expected, DAMPING), `U, ${loss} loss`);
    p.dispose();
  }
});

kernelTest(
  "preconditioner: everything goes into the caller's encoder, and nothing new is made after warm-up",
  async (t) => {
    const engine = await createEngine(t.device);
    const p = engine.preconditioner(LAYERS, { damping: DAMPING, emaDecay: 0.8 });
    const random = t.random(5);
    const place = { offset: 3, gap: 1 };
    const buffers = LAYERS.map((layer) => {
      const data = dataOf(random, layer, 20);
      return {
        layer,
        ...statistics(t, data, { place }),
        G: upload(t, data.G, place),
        U: target(t, layer.out, layer.in, place),
      };
    });
    const means: (HostFactors | undefined)[] = LAYERS.map(() => undefined);
    const refill = (view: MatrixView, M: Matrix) => {
      const { buffer, offset = 0, stride = view.cols } = view;
      for (let i = 0; i < M.rows; i++) {
        const row = Float32Array.from(M.data.subarray(i * M.cols, (i + 1) * M.cols));
        t.device.queue.writeBuffer(buffer, 4 * (offset + i * stride), row);
      }
    };
    let warm = engine.manager.counts;
    for (let step = 1; step <= 8; step++) {
      const data = LAYERS.map((layer) => dataOf(random, layer, 20));
      for (const [l, { A, B, G }] of buffers.entries()) {
        refill(A, transpose(data[l]!.A));
        refill(B, transpose(rounded(scale(data[l]!.B, 1 / 20))));
        refill(G, data[l]!.G);
        means[l] = updateFactors(means[l], factors(LAYERS[l]!, data[l]!), step, 0.8);
      }
      let returned: unknown;
      const count = await submits(t.device, () => {
        const encoder = t.device.createCommandEncoder();
        for (const { layer, A, B } of buffers) returned ??= p.accumulate(encoder, layer.name, { A, B });
        returned ??= p.refresh(encoder);
        for (const { layer, G, U } of buffers)
          returned ??= p.precondition(encoder, layer.name, { G, into: U });
        t.device.queue.submit([encoder.finish()]);
      });
      assertEqual(count, 1, `submits of step ${step}`);
      assertEqual(returned, undefined, "there is nothing to await");
      if (step === 2) warm = engine.manager.counts;
      if (step < 2 || step % 3 !== 2) continue;
      for (const [l, { U }] of buffers.entries()) {
        const wanted = precondition(means[l]!, data[l]!.G, DAMPING).update.data;
        const bound = updateBound(means[l]!, DAMPING);
        assertClose(await download(t, U), wanted, bound, `U of ${LAYERS[l]!.name} in step ${step}`);
      }
    }
    for (const [name, count] of Object.entries(engine.manager.counts)) {
      assertEqual(count, warm[name as keyof typeof warm], name);
    }
    engine.dispose();
  },
);

kernelTest("preconditioner: damping is λ of the next refresh, whatever the batch size", async (t) => {
  const p = open(t);
  const layer = LAYERS[0]!;
  const random = t.random(6);
  const data = dataOf(random, layer, 12);
  accumulate(t, p, layer.name, data);
  refresh(t, p);
  p.damping = 3;
  const check = async (damping: number, what: string) => {
    const expected = factors(layer, data);
    const wanted = precondition(expected, data.G, damping).update;
    const U = await update(t, p, layer.name, data.G);
    assertClose(U, wanted.data, updateBound(expected, damping), what);
  };
  await check(DAMPING, "before the refresh");
  refresh(t, p);
  await check(3, "after the refresh");
  assertEqual(p.damping, 3, "damping");
  p.dispose();
});

for (const bad of [Number.NaN, Number.POSITIVE_INFINITY]) {
  for (const operand of ["A", "B", "G"] as const) {
    for (const layout of ["columns", "rows"] as const) {
      kernelTest(
        `preconditioner: ${bad} in ${operand} goes no further (examples as ${layout})`,
        async (t) => {
          const p = open(t);
          const random = t.random(7);
          const layer = LAYERS[2]!;
          const data = dataOf(random, layer, 20);
          accumulate(t, p, layer.name, data, { layout });
          const worse = dataOf(random, layer, 20);
          worse[operand].data[worse[operand].data.length - 3] = bad;
          accumulate(t, p, layer.name, worse, { layout });
          refresh(t, p);
          let expected = factors(layer, data);
          if (operand === "G") expected = updateFactors(expected, factors(layer, worse), 2, 0.95);
          const bound = updateBound(expected, DAMPING);
          const U = await update(t, p, layer.name, worse.G);
          const wanted = precondition(expected, worse.G, DAMPING).update.data;
          if (operand === "G") assertClose(U, new Float32Array(U.length), 0, "U of a bad G");
          else assertClose(U, wanted, bound, "U after a bad batch");
          const good = precondition(expected, data.G, DAMPING).update.data;
          assertClose(await update(t, p, layer.name, data.G), good, bound, "U of a good G");
          const status = (await p.status()).find(({ name }) => name === layer.name)!;
          assertEqual(status.skipped, operand === "G" ? 0 : 1, "batches left out");
          assertEqual(status.batches.A, operand === "G" ? 2 : 1, "batches taken");
          assertEqual(status.text, "ok", "status");
          p.dispose();
        },
      );
    }
  }
}

kernelTest("preconditioner: λ is that of the call that recorded, whenever it is submitted", async (t) => {
  const layer = LAYERS[0]!;
  const data = dataOf(t.random(5), layer, 16);
  const p = open(t, {}, [layer]);
  accumulate(t, p, layer.name, data);
  const [first, second] = [0, 1].map(() => t.device.createCommandEncoder());
  p.refresh(first!);
  p.damping = 5;
  p.refresh(second!);
  p.damping = 0.3;
  const expected = factors(layer, data);
  for (const [encoder, damping] of [
    [first!, DAMPING],
    [second!, 5],
  ] as const) {
    t.device.queue.submit([encoder.finish()]);
    const U = await update(t, p, layer.name, data.G);
    const wanted = precondition(expected, data.G, damping).update;
    assertClose(U, wanted.data, updateBound(expected, damping), `λ = ${damping}`);
  }
  p.dispose();
});

kernelTest("preconditioner: once disposed of, it refuses everything", async (t) => {
  const layer = LAYERS[0]!;
  const p = open(t, {}, [layer]);
  const rows = statistics(t, dataOf(t.random(5), layer, 16));
  const G = target(t, layer.out, layer.in);
  p.dispose();
  p.dispose();
  const gone = /^preconditioner\.\w+: preconditioner is disposed of; make another/;
  const encoder = t.device.createCommandEncoder();
  assertThrows(() => p.accumulate(encoder, layer.name, rows), ArgumentError, gone);
  assertThrows(() => p.refresh(encoder), ArgumentError, gone);
  assertThrows(() => p.precondition(encoder, layer.name, { G, into: G }), ArgumentError, gone);
  assertThrows(
    () => {
      p.damping = 1;
    },
    ArgumentError,
    gone,
  );
  await assertThrows(() => p.status(), ArgumentError, gone);
});

kernelTest("preconditioner: the first batch is bad: U is zero until a good one comes", async (t) => {
  const p = open(t);
  const random = t.random(8);
  const layer = LAYERS[0]!;
  const data = dataOf(random, layer, 20);
  const zero = new Float32Array(layer.out * layer.in);
  assertClose(await update(t, p, layer.name, data.G), zero, 0, "U before everything");
  const worse = dataOf(random, layer, 20);
  worse.A.data[0] = Number.NaN;
  accumulate(t, p, layer.name, worse);
  refresh(t, p);
  assertClose(await update(t, p, layer.name, data.G), zero, 0, "U after a bad batch");
  accumulate(t, p, layer.name, data);
  assertClose(await update(t, p, layer.name, data.G), zero, 0, "U before the refresh");
  refresh(t, p);
  const expected = factors(layer, data);
  const wanted = precondition(expected, data.G, DAMPING).update.data;
  const U = await update(t, p, layer.name, data.G);
  assertClose(U, wanted, updateBound(expected, DAMPING), "U in the end");
  // The other layers have never seen data.
  for (const other of LAYERS.slice(1)) {
    const G = normals(random, other.out, other.in);
    const idle = await update(t, p, other.name, G);
    assertClose(idle, new Float32Array(idle.length), 0, `U of ${other.name}`);
  }
  p.dispose();
});

kernelTest("preconditioner: wrong operands are refused by name, and nothing is recorded", async (t) => {
  const p = open(t);
  const random = t.random(9);
  const data = dataOf(random, LAYERS[0]!, 20);
  const { A, B } = statistics(t, data);
  const rowwise = statistics(t, data, { layout: "rows" });
  const G = upload(t, data.G);
  const into = target(t, 35, 9);
  const encoder = t.device.createCommandEncoder();
  const refuse = (name: string, operands: LayerStatistics, kind: typeof ShapeError, text: RegExp) =>
    assertThrows(() => p.accumulate(encoder, name, operands), kind, text);
  refuse("fc2", { A, B }, ShapeError, /accumulate: A of fc2 has shape \[8 × 20\], expected \[35 × 20\]/);
  refuse("fc1", { A, B: A }, ShapeError, /accumulate: B of fc1 has shape \[8 × 20\], expected \[35 × 20\]/);
  refuse("fc1", { A: B, B }, ShapeError, /A of fc1 has shape \[35 × 20\], expected \[8 × 20\]/);
  refuse(
    "fc1",
    rowwise.layout ? { ...rowwise, layout: undefined } : rowwise,
    ShapeError,
    /A of fc1 .*\[20 × 8\]/,
  );
  refuse("fc1", { A, B, layout: "rows" }, ShapeError, /A of fc1 has shape \[8 × 20\], expected \[8 × 8\]/);
  refuse("fc1", { A: { ...A, cols: 21, stride: 21 }, B }, ShapeError, /A of fc1 has shape \[8 × 21\].*160/);
  const argument = ArgumentError as unknown as typeof ShapeError;
  for (const examples of [0, 1.5, Number.NaN])
    refuse("fc1", { A, B, examples }, argument, /examples must be/);
  const unknown = UnsupportedLayerError as unknown as typeof ShapeError;
  refuse("fc9", { A, B }, unknown, /Layer fc9 \(not registered\).*fc1, fc2, plain/);

  const reject = (
    name: string,
    operands: { G: MatrixView; into: MatrixView },
    kind: typeof ShapeError,
    text: RegExp,
  ) => assertThrows(() => p.precondition(encoder, name, operands), kind, text);
  reject("fc2", { G, into }, ShapeError, /precondition: G of fc2 has shape \[35 × 9\], expected \[5 × 36\]/);
  reject(
    "fc1",
    { G, into: { ...into, rows: 9, cols: 35, stride: 35 } },
    ShapeError,
    /into of fc1 has shape \[9 × 35\], expected \[35 × 9\]/,
  );
  reject("fc1", { G, into: G }, argument, /into of fc1 must not lie in the same buffer as G/);
  reject("fc9", { G, into }, unknown, /fc9/);
  const unreadable = { ...into, buffer: t.buffer({ size: 4 * 35 * 9, usage: 0x08 | 0x04 }) };
  reject(
    "fc1",
    { G, into: unreadable },
    argument,
    /into of fc1\.buffer needs the usage GPUBufferUsage\.STORAGE/,
  );
  t.device.queue.submit([encoder.finish()]);
  const status = await p.status();
  for (const { name, batches, skipped } of status) {
    assertEqual(batches.A + batches.B + skipped, 0, `batches of ${name}`);
  }
  p.dispose();
});

kernelTest("preconditioner: bad layers and options are refused and leave no buffer", (t) => {
  const { manager } = t.engine;
  const before = manager.counts.liveBuffers;
  const make = (layers: PreconditionedLayer[], options?: PreconditionerOptions) => () =>
    t.engine.preconditioner(layers, options);
  assertThrows(make([...LAYERS, { name: "fc2", in: 3, out: 4 }]), ArgumentError, /layers name fc2 twice/);
  assertThrows(make([]), ArgumentError, /layers must be at least one/);
  for (const size of [0, -3, 2.5, Number.NaN]) {
    assertThrows(make([{ name: "x", in: size, out: 3 }]), ArgumentError, /layer x needs whole sizes/);
    assertThrows(make([{ name: "x", in: 3, out: size }]), ArgumentError, /layer x needs whole sizes/);
  }
  assertThrows(make(LAYERS, { damping: -1 }), ArgumentError, /damping must be .* not negative, got -1/);
  assertThrows(make(LAYERS, { emaDecay: 1 }), ArgumentError, /emaDecay must lie in \[0, 1\), got 1/);
  assertThrows(
    make([{ name: "x", in: 1_000_000, out: 3 }]),
    LimitError,
    /Device limit max\w+ is \d+ and \d+ is needed/,
  );
  assertEqual(manager.counts.liveBuffers, before, "buffers");
});

kernelTest("preconditioner: dispose() frees all of its own and nothing of the caller's", async (t) => {
  const device = await t.freshDevice();
  const names = Object.getOwnPropertyNames(device).sort().join();
  const engine = await createEngine(device);
  const random = t.random(10);
  const round = (p: Preconditioner, views: MatrixView[]) => {
    const [A, B, G, U] = views as [MatrixView, MatrixView, MatrixView, MatrixView];
    const encoder = device.createCommandEncoder();
    p.accumulate(encoder, "plain", { A, B });
    p.refresh(encoder);
    p.precondition(encoder, "plain", { G, into: U });
    device.queue.submit([encoder.finish()]);
  };
  const make = (rows: number, cols: number): MatrixView => {
    const buffer = device.createBuffer({ size: 4 * rows * cols, usage: 0x80 | 0x08 | 0x04 });
    device.queue.writeBuffer(buffer, 0, random.normals(rows * cols));
    return { buffer, rows, cols };
  };
  const views = [make(13, 20), make(6, 20), make(6, 13), make(6, 13)];
  const before = engine.manager.counts;
  const first = engine.preconditioner(LAYERS);
  first.dispose();
  assertEqual(engine.manager.counts.liveBuffers, before.liveBuffers, "buffers after an unused one");
  assertEqual(engine.manager.counts.liveBytes, before.liveBytes, "bytes after an unused one");
  const second = engine.preconditioner(LAYERS);
  round(second, views);
  second.dispose();
  const used = engine.manager.counts;
  const third = engine.preconditioner(LAYERS);
  round(third, views);
  third[Symbol.dispose]();
  assertEqual(engine.manager.counts.liveBuffers, used.liveBuffers, "buffers after one more");
  assertEqual(engine.manager.counts.liveBytes, used.liveBytes, "bytes after one more");
  const fourth = engine.preconditioner(LAYERS);
  round(fourth, views);
  engine.dispose();
  assertEqual(engine.manager.counts.liveBuffers, 0, "buffers after the engine");
  assertEqual(engine.manager.counts.liveBytes, 0, "bytes after the engine");
  // Device and buffers are the caller's, and work as before.
  const staging = device.createBuffer({ size: 4 * 78, usage: 0x01 | 0x08 });
  const encoder = device.createCommandEncoder();
  encoder.copyBufferToBuffer(views[3]!.buffer, 0, staging, 0, 4 * 78);
  device.queue.submit([encoder.finish()]);
  await staging.mapAsync(1);
  const U = new Float32Array(staging.getMappedRange());
  assert(U.every(Number.isFinite) && U.some((u) => u !== 0), "U is still there");
  assertEqual(device.onuncapturederror, null, "onuncapturederror");
  assertEqual(Object.getOwnPropertyNames(device).sort().join(), names, "properties of the device");
});
