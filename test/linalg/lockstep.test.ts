/** Several pieces of work side by side: what they share, and in which order it is recorded. */
import { asked, copyStrided, inLockstep, type Room, type Steps } from "../../src/linalg/index.js";
import type { Recorder } from "../../src/pipeline/index.js";
import { assertEqual, kernelTest } from "../harness/kernel-test.js";
import { managerOf } from "./helpers.js";

/** Copies `length` numbers through so many rooms into `into`, a step for each copy. */
function* through(source: GPUBuffer, length: number, rooms: number, into: GPUBuffer, at: number): Steps {
  const vector = (buffer: GPUBuffer, offset: number) => ({ buffer, offset, row: length, col: 1 });
  let from = vector(source, 0);
  for (let index = 0; index < rooms; index++) {
    const { buffer, offset } = yield length;
    const to = vector(buffer, offset);
    yield asked(copyStrided, [{ source: from, target: to, rows: 1, cols: length }]);
    from = to;
  }
  yield asked(copyStrided, [{ source: from, target: vector(into, at), rows: 1, cols: length }]);
}

kernelTest("in lockstep: pieces of different lengths share rooms and dispatches", async (t) => {
  const manager = managerOf(t);
  const source = t.upload([1, 2, 3, 4, 5, 6, 7]);
  const into = t.poisoned(18);
  const recorder = manager.record();
  const done: string[] = [];
  function* nothing(): Steps {
    done.push("nothing");
    if (done.length > 1) yield 4;
  }
  inLockstep(recorder, [
    through(source, 7, 2, into, 0),
    nothing(),
    through(source, 3, 2, into, 7),
    through(source, 5, 1, into, 10),
  ]);
  // Three for the longer pieces, and one where the shortest is a step ahead; alone they take eight.
  assertEqual(recorder.dispatches, 4, "dispatches");
  recorder.submit();
  const found = await t.download(into);
  assertEqual([...found.subarray(0, 15)].join(" "), "1 2 3 4 5 6 7 1 2 3 1 2 3 4 5", "numbers");
  assertEqual(done.join(), "nothing", "a piece without steps");
});

kernelTest("in lockstep: rooms fill buffers that may be bound, and begin at multiples of four", () => {
  const buffers: number[] = [];
  const recorder = {
    manager: { device: { limits: { maxStorageBufferBindingSize: 4 * 16 } } },
    scratch: (length: number) => ({ number: buffers.push(length) - 1 }),
  } as unknown as Recorder;
  const rooms: string[] = [];
  function* ask(length: number): Steps {
    const { buffer, offset }: Room = yield length;
    rooms.push(`${(buffer as unknown as { number: number }).number}:${offset}`);
  }
  inLockstep(recorder, [ask(5), ask(8), ask(1), ask(16), ask(3)]);
  assertEqual(rooms.join(" "), "0:0 0:8 1:0 2:0 3:0", "rooms");
  assertEqual(buffers.join(" "), "16 4 16 4", "lengths");
});
