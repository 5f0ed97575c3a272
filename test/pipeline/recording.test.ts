/** Commands that are recorded once and sent again. */
import type { Recorder } from "../../src/pipeline/index.js";
import { RememberedRecordings } from "../../src/pipeline/remembered.js";
import { calls } from "../curvature/spies.js";
import { assert, assertEqual, assertThrows, kernelTest } from "../harness/kernel-test.js";
import { addKernel, openManager } from "./helpers.js";

kernelTest("recording: dispatches, copies and clears are sent again in their order", async (t) => {
  const manager = await openManager(t);
  const source = t.upload(Uint32Array.of(5, 5, 5, 5));
  const target = t.upload(Uint32Array.of(9, 9, 9, 9));
  const kept = t.upload(new Uint32Array(4));
  const recorder = manager.record();
  const recording = recorder.keep((own) => {
    own.dispatch(addKernel(), { source, target }, 4);
    const inner = own.nested();
    inner.copy(target, 4, kept, 0, 8);
    inner.end();
    own.clear(target, 0, 4);
    own.dispatch(addKernel("twice", 2), { source: target, target: source }, 2);
  });
  assertEqual(recording.dispatches, 2, "dispatches");
  recorder.submit();
  const first = await Promise.all([source, target, kept].map((buffer) => t.downloadWords(buffer)));
  t.device.queue.writeBuffer(source, 0, Uint32Array.of(5, 5, 5, 5));
  t.device.queue.writeBuffer(target, 0, Uint32Array.of(9, 9, 9, 9));
  t.device.queue.writeBuffer(kept, 0, new Uint32Array(4));
  const again = manager.record();
  again.repeat(recording);
  assertEqual(again.dispatches, 2, "dispatches sent again");
  again.submit();
  const second = await Promise.all([source, target, kept].map((buffer) => t.downloadWords(buffer)));
  assertEqual(second.join(" | "), first.join(" | "), "buffers");
  manager.dispose();
});

kernelTest("recording: what was sent again can be kept with what is around it", async (t) => {
  const manager = await openManager(t);
  const [a, b] = [t.upload(new Uint32Array(2)), t.upload(new Uint32Array(2))];
  const recorder = manager.record();
  /** Adds 2 to a[1]. */
  const add = (own: Recorder) => {
    own.dispatch(addKernel(), { source: a, target: b }, 2);
    own.dispatch(addKernel(), { source: b, target: a }, 2);
  };
  const one = recorder.keep(add);
  const three = recorder.keep((own) => {
    add(own);
    recorder.repeat(one);
    add(own);
  });
  assertEqual(three.dispatches, 6, "dispatches kept");
  recorder.repeat(three);
  add(recorder);
  recorder.submit();
  assertEqual((await t.downloadWords(a)).join(), "0,16", "eight additions");
  manager.dispose();
});

kernelTest("recording: it stands as long as the manager's own buffers do", async (t) => {
  const manager = await openManager(t);
  const source = t.upload(Uint32Array.of(1));
  const [target, other] = [manager.createStorage("target", 4), manager.createStorage("other", 4)];
  const recorder = manager.record();
  const recording = recorder.keep((own) => own.dispatch(addKernel(), { source, target }, 1));
  recorder.submit();
  assert(recording.stands, "it stands");
  manager.destroyBuffer(other);
  assert(recording.stands, "it stands when another buffer has gone");
  manager.destroyBuffer(target);
  assert(!recording.stands, "it does not stand without its target");
  assert(!recording.stands, "nor when asked again");
  manager.dispose();
});

kernelTest("recording: what is read back cannot be kept, and a failure keeps nothing", async (t) => {
  const manager = await openManager(t);
  const source = t.upload(Uint32Array.of(1));
  const recorder = manager.record();
  assertThrows(
    () => recorder.keep(() => void recorder.readRanges([{ buffer: source, bytes: 4 }])),
    Error,
    /sent again/,
  );
  const whole = recorder.read(source);
  recorder.submit();
  assertEqual(new Uint32Array(await whole).join(), "1", "what is read outside");
  manager.dispose();
});

kernelTest("recall: the same key is not asked again, with scratch that is free", async (t) => {
  const manager = await openManager(t);
  const source = t.upload(Uint32Array.of(7, 7, 7, 7));
  const target = t.upload(new Uint32Array(4));
  let asked = 0;
  const operation = (recorder: Recorder, number = 1) =>
    recorder.recall(Float64Array.of(number, 3), (own) => {
      asked++;
      const middle = own.scratch(4);
      own.copy(source, 0, middle, 0, 16);
      own.copy(middle, 0, target, 0, 16);
    });
  const run = async (record: (recorder: Recorder) => void) => {
    t.device.queue.writeBuffer(target, 0, new Uint32Array(4));
    const recorder = manager.record();
    record(recorder);
    recorder.submit();
    return (await t.downloadWords(target)).join();
  };
  assertEqual(await run(operation), "7,7,7,7", "first");
  assertEqual(await run(operation), "7,7,7,7", "again");
  assertEqual(asked, 1, "times asked");
  await run((recorder) => operation(recorder, 2));
  assertEqual(asked, 2, "another key is asked");
  await run((recorder) => operation(recorder, Number.NaN));
  await run((recorder) => operation(recorder, Number.NaN));
  assertEqual(asked, 4, "what is no number is always asked");
  // Scratch that somebody still reads must not be written.
  const held = t.upload(new Uint32Array(4));
  await run((recorder) => {
    const mine = recorder.scratch(4);
    recorder.copy(source, 0, mine, 0, 16);
    recorder.clear(mine, 0, 8);
    operation(recorder);
    recorder.copy(mine, 0, held, 0, 16);
  });
  assertEqual((await t.downloadWords(held)).join(), "0,0,7,7", "scratch of another's");
  manager.repeats = false;
  const before = asked;
  await run(operation);
  assertEqual(asked, before + 1, "asked where nothing is to be repeated");
  manager.dispose();
});

kernelTest("recall: a recording that holds one can itself be sent again", async (t) => {
  const manager = await openManager(t);
  const source = t.upload(Uint32Array.of(3, 3));
  const target = t.upload(new Uint32Array(2));
  const operation = (recorder: Recorder) =>
    recorder.recall(Float64Array.of(1), (own) => own.copy(source, 0, target, 0, 8));
  for (const what of ["made", "recalled"]) {
    const recorder = manager.record();
    const recording = recorder.keep(operation);
    recorder.submit();
    t.device.queue.writeBuffer(target, 0, new Uint32Array(2));
    const again = manager.record();
    again.repeat(recording);
    again.submit();
    assertEqual((await t.downloadWords(target)).join(), "3,3", what);
  }
  manager.dispose();
});

kernelTest("recall: keys are told apart to the last number, and the oldest are forgotten", async (t) => {
  const manager = await openManager(t);
  const recorder = manager.record();
  const value = () => ({ recording: recorder.keep(() => {}), scratch: [] });
  const kept = new RememberedRecordings(3, 100);
  const keys = [
    [1, 2],
    [1, 3],
    [2, 1],
  ].map((numbers) => Float64Array.from(numbers));
  const values = keys.map(value);
  keys.forEach((key, k) => {
    kept.set(key, values[k]!);
  });
  const found = () => keys.map((key) => values.indexOf(kept.get(key) as (typeof values)[number])).join();
  assertEqual(found(), "0,1,2", "each its own");
  keys[0]![1] = 9;
  assertEqual(found(), "-1,1,2", "a key is copied");
  keys[0]![1] = 2;
  kept.get(keys[0]!);
  kept.set(Float64Array.of(8), value());
  assertEqual(found(), "0,-1,2", "the one used longest ago is forgotten");
  kept.set(new Float64Array(99), value());
  assertEqual(kept.size, 1, "long keys leave room for few");
  kept.set(new Float64Array(101), value());
  assertEqual(kept.size, 1, "a key that is too long is not kept");
  recorder.end();
  manager.dispose();
});

kernelTest("inversion: the same matrices are laid out once, changed ones are checked", async (t) => {
  const { invert } = await import("../../src/linalg/index.js");
  const manager = await openManager(t);
  const n = 5;
  const S = t.upload(
    Float32Array.from({ length: 3 * n * n }, (_, k) => ((k % (n * n)) % (n + 1) === 0 ? 2 : 0)),
  );
  const into = t.upload(new Float32Array(3 * n * n));
  const dampings = t.upload(new Float32Array(4));
  const status = t.upload(new Uint32Array(4));
  const view = (buffer: GPUBuffer, k: number) => ({ buffer, offset: k * n * n, rows: n, cols: n });
  const list = [0, 1, 2].map((k) => ({ S: view(S, k), into: view(into, k) }));
  const run = async () => {
    t.device.queue.writeBuffer(into, 0, new Float32Array(3 * n * n));
    const recorder = manager.record();
    invert(recorder, list, { dampings, status });
    recorder.submit();
    return (await t.download(into)).join();
  };
  const first = await run();
  assert(first.split(",").filter((x) => Math.abs(Number(x) - 0.5) < 1e-6).length === 3 * n, "inverses");
  assertEqual(await calls(manager, "table", run), 0, "tables asked for again");
  assertEqual(await run(), first, "inverses");
  // What a caller changes in place is seen.
  (list[2]!.S as { rows: unknown }).rows = "5";
  const recorder = manager.record();
  assertThrows(() => invert(recorder, list, { dampings, status }), Error, /S\.rows must be a whole number/);
  recorder.end();
  (list[2]!.S as { rows: unknown }).rows = n;
  list.pop();
  const two = await run();
  assertEqual(
    two
      .split(",")
      .slice(0, 2 * n * n)
      .join(),
    first
      .split(",")
      .slice(0, 2 * n * n)
      .join(),
    "two of them",
  );
  assert(
    /^(0,)*0$/.test(
      two
        .split(",")
        .slice(2 * n * n)
        .join(),
    ),
    "the third is left alone",
  );
  manager.dispose();
});
