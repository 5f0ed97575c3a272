/** The buffer pool: what it reuses, and how much it keeps. */
import { BufferPool } from "../../src/pipeline/pool.js";
import { assert, assertEqual, kernelTest } from "../harness/kernel-test.js";

/** A pool over buffers that are plain objects. */
function fakePool(cap?: number) {
  const made: GPUBuffer[] = [];
  const destroyed: GPUBuffer[] = [];
  const create = (_label: string, size: number, usage: number) => {
    const buffer = { size, usage } as GPUBuffer;
    made.push(buffer);
    return buffer;
  };
  const pool = new BufferPool(create, (buffer) => destroyed.push(buffer), cap);
  return { pool, made, destroyed };
}

kernelTest("pool: equal sizes and usages share a buffer, others do not", () => {
  const { pool, made, destroyed } = fakePool();
  const first = pool.take(1000, 1);
  assert(pool.take(1000, 1) !== first, "a buffer that is out is not given twice");
  pool.give(first);
  assertEqual(pool.take(1020, 1), first, "the same rounded size");
  pool.give(first);
  assert(pool.take(1000, 2) !== first, "another usage");
  assert(pool.take(1025, 1) !== first, "another rounded size");
  assertEqual(pool.take(1000, 1), first, "still there");
  assertEqual(made.length, 4, "buffers made");
  assertEqual(destroyed.length, 0, "buffers destroyed");
});

kernelTest("pool: a buffer is large enough, and not much larger", () => {
  const { pool } = fakePool();
  for (const size of [
    1,
    4,
    255,
    256,
    257,
    65535,
    65536,
    65537,
    100_000,
    1_000_000,
    2 ** 24,
    2 ** 24 + 4,
    123_456_789,
  ]) {
    const got = pool.take(size, 1).size;
    assert(got >= size, `${size} bytes: only ${got}`);
    assert(got <= Math.max(size + 256, size * 1.13), `${size} bytes: as many as ${got}`);
    assertEqual(got % 256, 0, `${size} bytes: rounding`);
  }
});

kernelTest("pool: what lies idle is capped", () => {
  const { pool, made, destroyed } = fakePool(1024);
  const buffers = [256, 512, 256, 256].map((size) => pool.take(size, 1));
  for (const buffer of buffers) pool.give(buffer);
  assertEqual(pool.idleBytes, 1024, "idle bytes");
  assertEqual(destroyed.length, 1, "buffers beyond the cap");
  assertEqual(destroyed[0], buffers[3], "the one that did not fit");
  const big = pool.take(4096, 1);
  pool.give(big);
  assert(destroyed.includes(big), "one larger than the cap is not kept");
  pool.take(512, 1);
  assertEqual(pool.idleBytes, 512, "idle bytes after taking one");
  assertEqual(made.length, 5, "the last was reused");
  pool.dispose();
  assertEqual(pool.idleBytes, 0, "idle bytes after dispose");
  assertEqual(destroyed.length, 4, "all that was idle is destroyed");
});
