/** The pipeline manager: what it keeps, counts, refuses and frees. */
import { d } from "typegpu";
import { createEngine } from "../../src/engine.js";
import { DeviceLostError, LimitError, OutOfMemoryError } from "../../src/errors.js";
import { gram, invert, matmul, sandwich } from "../../src/linalg/index.js";
import type { Recorder } from "../../src/pipeline/index.js";
import { assert, assertEqual, assertThrows, kernelTest } from "../harness/kernel-test.js";
import { addKernel, openManager } from "./helpers.js";

const Row = d.struct({ count: d.u32, factor: d.f32 });
const Other = d.struct({ count: d.u32, factor: d.f32 });

kernelTest("manager: the same rows are the same table", async (t) => {
  const manager = await openManager(t);
  const rows = [
    { count: 3, factor: 0.5 },
    { count: 7, factor: -2 },
  ];
  const table = manager.table(Row, rows);
  assertEqual(manager.table(Row, structuredClone(rows)), table, "equal rows");
  assertEqual(manager.counts.tables, 1, "tables");
  assert(manager.table(Row, rows.slice(0, 1)) !== table, "fewer rows");
  assert(manager.table(Row, [...rows].reverse()) !== table, "another order");
  assert(manager.table(Other, rows) !== table, "another struct");
  assertEqual(manager.counts.tables, 4, "tables");
  manager.dispose();
});

kernelTest(
  "manager: a table holds its rows, and rows that differ in NaN or infinity are other rows",
  async (t) => {
    const manager = await openManager(t);
    const factors = [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 1.5];
    const target = t.upload(new Uint32Array(2));
    for (const factor of factors) {
      const recorder = manager.record();
      recorder.dispatch(
        addKernel("plain", 0),
        { source: manager.table(Row, [{ count: 9, factor }]), target },
        2,
      );
      recorder.submit();
      const words = await t.downloadWords(target);
      assertEqual(words[0], 9, "the first field");
      assertEqual(new Float32Array(words.buffer)[1], factor, "the second field");
    }
    manager.dispose();
  },
);

kernelTest(
  "manager: more tables than are kept do not spoil a recording that used the first ones",
  async (t) => {
    const manager = await openManager(t);
    const target = t.upload(new Uint32Array(2));
    const recorder = manager.record();
    recorder.dispatch(
      addKernel("plain", 0),
      { source: manager.table(Row, [{ count: 9, factor: 1 }]), target },
      2,
    );
    for (let count = 10; count < 10 + 4096; count++) manager.table(Row, [{ count, factor: 1 }]);
    recorder.submit();
    assertEqual((await t.downloadWords(target))[0], 9, "what was recorded with the table that was forgotten");
    assert(manager.counts.liveBuffers <= 4097, "forgotten tables are not counted");
    manager.dispose();
    assertEqual(manager.counts.liveBuffers, 0, "buffers after disposal");
    assertEqual(manager.counts.liveBytes, 0, "bytes after disposal");
  },
);

kernelTest("manager: bind groups are made once for each set of buffers", async (t) => {
  const manager = await openManager(t);
  const [a, b] = [t.upload(new Uint32Array(128)), t.upload(new Uint32Array(128))];
  const group = manager.bindGroup(addKernel(), { source: a, target: b });
  assertEqual(manager.bindGroup(addKernel(), { target: b, source: a }), group, "the same buffers");
  assert(manager.bindGroup(addKernel(), { source: b, target: a }) !== group, "swapped");
  const part = { buffer: a, offset: 256, size: 16 };
  const partial = manager.bindGroup(addKernel(), { source: part, target: b });
  assert(partial !== group, "a part");
  assertEqual(manager.bindGroup(addKernel(), { source: { ...part }, target: b }), partial, "the same part");
  assert(
    manager.bindGroup(addKernel(), { source: { ...part, size: 32 }, target: b }) !== partial,
    "a longer part",
  );
  assertEqual(manager.counts.bindGroups, 4, "bind groups");
  assertThrows(
    () => manager.bindGroup(addKernel(), { source: a } as never),
    Error,
    /^add: nothing bound to target/,
  );
  manager.dispose();
});

kernelTest("manager: a part of a buffer is bound as such", async (t) => {
  const manager = await openManager(t);
  const source = t.upload(Uint32Array.from({ length: 128 }, (_, i) => i));
  const target = t.upload(new Uint32Array(128));
  const recorder = manager.record();
  recorder.dispatch(
    addKernel(),
    { source: { buffer: source, offset: 256, size: 16 }, target: { buffer: target, offset: 256, size: 12 } },
    4,
  );
  recorder.submit();
  const words = await t.downloadWords(target);
  assertEqual(words.subarray(62, 69).join(), "0,0,64,66,68,0,0", "target");
  manager.dispose();
});

kernelTest("manager: after the first time, recording the same makes nothing new", async (t) => {
  const manager = await openManager(t);
  const square = (n: number) => {
    const data = t.random(n).normals(n * n, 0.01);
    for (let i = 0; i < n; i++) {
      for (let j = 0; j < i; j++) data[j * n + i] = data[i * n + j]!;
      data[i * n + i] = 2;
    }
    return { buffer: t.upload(data), rows: n, cols: n };
  };
  const [P, Q] = [square(5), square(33)];
  const G = { buffer: t.upload(t.random(1).normals(165)), rows: 5, cols: 33 };
  const into = [P, Q, G].map(({ rows, cols }) => ({ buffer: t.poisoned(rows * cols), rows, cols }));
  const buffers = { dampings: t.upload(new Float32Array(2)), status: t.upload(new Uint32Array(2)) };
  const record = (recorder: Recorder) => {
    invert(
      recorder,
      [
        { S: P, into: into[0]! },
        { S: Q, into: into[1]! },
      ],
      buffers,
    );
    sandwich(recorder, { P: into[0]!, G, Q: into[1]!, into: into[2]! });
    gram(recorder, { A: G, into: into[0]!, biasRow: false, beta: 0.5 });
    matmul(recorder, { A: P, B: G, into: into[2]! });
  };
  const step = async () => {
    const recorder = manager.record();
    record(recorder);
    const bytes = recorder.read(into[2]!.buffer);
    recorder.submit();
    await bytes;
  };
  await step();
  const warm = JSON.stringify(manager.counts);
  for (let i = 0; i < 4; i++) await step();
  assertEqual(JSON.stringify(manager.counts), warm, "counts");
  // Nor on the caller's encoder.
  for (let i = 0; i < 3; i++) {
    t.submit((encoder) => {
      const recorder = manager.record(encoder);
      record(recorder);
      recorder.end();
    });
  }
  assertEqual(JSON.stringify(manager.counts), warm, "counts, on the caller's encoder");
  manager.dispose();
});

kernelTest("manager: a buffer beyond the device's limits is refused, and not counted", async (t) => {
  const manager = await openManager(t);
  const { maxBufferSize, maxStorageBufferBindingSize } = t.device.limits;
  const before = JSON.stringify(manager.counts);
  const error = assertThrows(
    () => manager.createBuffer("huge", maxBufferSize + 4, GPUBufferUsage.COPY_DST),
    LimitError,
    /maxBufferSize/,
  ) as LimitError;
  assertEqual(error.needed, maxBufferSize + 4, "needed");
  assertEqual(error.available, maxBufferSize, "available");
  assertThrows(
    () => manager.createStorage("huge", Math.min(maxBufferSize, maxStorageBufferBindingSize) / 4 + 4),
    LimitError,
    /max(Storage)?Buffer(Binding)?Size/,
  );
  assertEqual(JSON.stringify(manager.counts), before, "counts");
  manager.dispose();
});

kernelTest(
  "manager: an allocation that fails half-way leaves nothing behind, and spares what is not its own",
  async (t) => {
    const manager = await openManager(t);
    const older = manager.createStorage("older", 64);
    const before = manager.counts;
    const failing = manager.allocating("test", () => {
      manager.createStorage("first", 1000);
      manager.createStorage("second", 1000);
      throw new RangeError("half-way");
    });
    // Made by someone else while the failure is still being looked into.
    const bystander = manager.createStorage("bystander", 16);
    await assertThrows(() => failing, RangeError, /half-way/);
    assertEqual(manager.counts.liveBuffers, before.liveBuffers + 1, "live buffers");
    assertEqual(manager.counts.liveBytes, before.liveBytes + bystander.size, "live bytes");
    for (const buffer of [older, bystander]) t.device.queue.writeBuffer(buffer, 0, Uint32Array.of(1));
    manager.dispose();
  },
);

kernelTest("manager: out of memory is a typed error, and leaves nothing behind", async (t) => {
  const device = await t.freshDevice();
  const manager = await openManager(t, device);
  const pop = device.popErrorScope.bind(device);
  let short = true;
  // The device says that it has no memory left, as far as the manager can see.
  device.popErrorScope = async () => {
    const error = await pop();
    return short ? ({ message: "out of memory" } as GPUOutOfMemoryError) : error;
  };
  const failing = manager.allocating("network", () => manager.createStorage("weights", 1000));
  const bystander = manager.createStorage("bystander", 16);
  const error = (await assertThrows(
    () => failing,
    OutOfMemoryError,
    /^network: .*4000 bytes/,
  )) as OutOfMemoryError;
  assertEqual(error.bytes, 4000, "bytes");
  assertEqual(manager.counts.liveBuffers, 1, "live buffers");
  assertEqual(manager.counts.liveBytes, bystander.size, "live bytes");
  short = false;
  const kept = await manager.allocating("network", () => manager.createStorage("weights", 1000));
  assertEqual(kept.size, 4000, "an allocation that succeeds is kept");
  assertEqual(manager.counts.liveBuffers, 2, "live buffers");
  manager.dispose();
});

kernelTest("manager: dispose frees every buffer, in use or idle, and may come twice", async (t) => {
  const manager = await openManager(t);
  const owned = manager.createStorage("owned", 10);
  manager.table(Row, [{ count: 1, factor: 1 }]);
  const recorder = manager.record();
  recorder.scratch(100);
  const bytes = recorder.read(owned);
  recorder.submit();
  assertEqual((await bytes).byteLength, owned.size, "bytes");
  assert(manager.counts.liveBuffers >= 4, "owned, table, scratch and staging");
  manager.destroyBuffer(t.upload([1]));
  manager.dispose();
  assertEqual(manager.counts.liveBuffers, 0, "live buffers");
  assertEqual(manager.counts.liveBytes, 0, "live bytes");
  manager.dispose();
  // A destroyed buffer cannot be written any more.
  t.device.pushErrorScope("validation");
  t.submit((encoder) => encoder.clearBuffer(owned));
  assert(await t.device.popErrorScope(), "the buffer is destroyed");
});

kernelTest("manager: an engine on a borrowed device leaves it as it found it", async (t) => {
  const device = await t.freshDevice();
  const handler = () => {};
  device.onuncapturederror = handler;
  const engine = await createEngine({ device });
  const A = { rows: 2, cols: 2, data: Float32Array.of(1, 2, 3, 4) };
  assertEqual((await engine.matmul(A, A)).data.join(), "7,10,15,22", "product");
  assertEqual(device.onuncapturederror, handler, "onuncapturederror while in use");
  engine[Symbol.dispose]();
  assertEqual(engine.manager.counts.liveBuffers, 0, "live buffers");
  assertEqual(device.onuncapturederror, handler, "onuncapturederror afterwards");
  const still = await Promise.race([
    device.lost,
    new Promise((resolve) => setTimeout(() => resolve("alive"), 20)),
  ]);
  assertEqual(still, "alive", "the device");
  assertThrows(() => engine.manager.record(), DeviceLostError, /disposed/);
  await assertThrows(() => engine.matmul(A, A), DeviceLostError, /disposed/);
  // Another engine on the same device works.
  const second = await createEngine({ device });
  assertEqual((await second.matmul(A, A)).data.join(), "7,10,15,22", "product of a second engine");
  second.dispose();
});
