/** The gather kernel, its formats and orders, against the same on the CPU. */
import { Permutation } from "../../src/random/index.js";
import { halfOf } from "../../src/resident/halves.js";
import {
  type GpuBatch,
  GpuDataset,
  type GpuDatasetOptions,
  gather,
  type StoredArray,
} from "../../src/resident/index.js";
import { assertEqual, kernelTest, POISON, type TestContext } from "../harness/kernel-test.js";
import { openManager } from "../network/helpers.js";
import { assertSame } from "../optimizers/helpers.js";

/** The number that an f16 stands for. */
function numberOf(half: number): number {
  const [sign, exponent, mantissa] = [half & 0x8000 ? -1 : 1, (half >> 10) & 31, half & 1023];
  return sign * (exponent === 0 ? mantissa * 2 ** -24 : (1 + mantissa / 1024) * 2 ** (exponent - 15));
}

interface Case {
  readonly count: number;
  readonly width: number;
  /** Numbers of a row of what is gathered. */
  readonly cols: number;
  readonly options: (t: TestContext, length: number) => Omit<GpuDatasetOptions, "targets" | "count">;
  readonly twin: (inputs: ArrayLike<number>) => Float32Array;
}

const f32 = (inputs: ArrayLike<number>) => Float32Array.from(inputs);
const bytes = (t: TestContext, length: number) => {
  const random = t.random(2);
  return Uint8Array.from({ length }, () => random.integer(256));
};

const cases: Record<string, Case> = {
  "f32 in parts": {
    count: 1000,
    width: 6,
    cols: 3,
    options: (t, length) => ({ inputs: t.random(1).normals(length), partBytes: 24 * 77 + 5 }),
    twin: f32,
  },
  "f32 beyond a power of two": {
    count: 65537,
    width: 1,
    cols: 1,
    options: (t, length) => ({ inputs: t.random(1).normals(length) }),
    twin: f32,
  },
  "bytes, no whole words": {
    count: 333,
    width: 7,
    cols: 7,
    options: (t, length) => ({ inputs: bytes(t, length), partBytes: 100, scale: 1 / 3, offset: 7 }),
    twin: (inputs) => Float32Array.from(inputs, (byte) => 7 + byte / 3),
  },
  "f16, no whole words": {
    count: 97,
    width: 5,
    cols: 1,
    options: (t, length) => ({ inputs: t.random(1).normals(length, 30), storage: "f16", partBytes: 50 }),
    twin: (inputs) => Float32Array.from(inputs, (x) => numberOf(halfOf(x))),
  },
  "one example": {
    count: 1,
    width: 150,
    cols: 50,
    options: (t, length) => ({ inputs: t.random(1).normals(length) }),
    twin: f32,
  },
};

for (const [name, { count, width, cols, options, twin }] of Object.entries(cases)) {
  kernelTest(`gather: ${name}, in every order`, async (t) => {
    const manager = await openManager(t);
    const given = options(t, count * width);
    const data = new GpuDataset(manager, { ...given, targets: new Uint8Array(count), count });
    const numbers = twin(given.inputs as Float32Array);
    const size = Math.min(count, 61);
    const start = Math.floor((count - size) / 2);
    const random = t.random(8);
    const listed = Uint32Array.from({ length: 45 }, () => random.integer(count));
    const shuffled = new Permutation(count, 0xdeadbeef, 4);
    const order = manager.createStorage("order", 29);
    const list = manager.createStorage("listed", 61);
    const [offset, stride] = [4, cols + 2];
    for (const [batch, indices] of [
      [data.range(start, start + size), Array.from({ length: size }, (_, i) => start + i)],
      [data.range(start, start + size, { seed: 0xdeadbeef, epoch: 4 }), shuffled.slice(start, start + size)],
      [data.batch(listed), listed],
      [data.batch(listed).part(5, 40), listed.subarray(5, 40)],
    ] as const) {
      const rows = (batch.count * width) / cols;
      const length = offset + rows * stride;
      const buffer = manager.createStorage("gathered", length);
      t.device.queue.writeBuffer(buffer, 0, new Float32Array(length).fill(POISON));
      const own = batch as GpuBatch;
      assertEqual([...own.indices].join(), [...indices].join(), "numbers of the examples");
      own.write(t.device.queue, { order, listed: list });
      const recorder = manager.record();
      const into = { buffer, offset, stride, cols };
      gather(recorder, data.inputs as StoredArray, { order, listed: list }, batch.count, into);
      const reading = recorder.read(buffer, 0, 4 * length);
      recorder.submit();
      const expected = new Float32Array(length).fill(POISON);
      for (const [r, example] of [...indices].entries()) {
        for (let k = 0; k < width; k++) {
          const row = (r * width) / cols + Math.floor(k / cols);
          expected[offset + row * stride + (k % cols)] = numbers[example * width + k]!;
        }
      }
      assertSame([new Float32Array(await reading)], [expected], "gathered");
    }
    manager.dispose();
  });
}

kernelTest("gather: f32 become the nearest f16, of two as near the even one", () => {
  for (let half = 0; half < 0x7c00; half++) {
    assertEqual(halfOf(numberOf(half)), half, "an f16");
    assertEqual(halfOf(-numberOf(half)), half | 0x8000, "a negative one");
    if (half === 0x7bff) continue;
    const [low, high] = [numberOf(half), numberOf(half + 1)];
    const middle = (low + high) / 2;
    assertEqual(halfOf(middle), half % 2 === 0 ? half : half + 1, "in the middle");
    assertEqual(halfOf(low + 0.51 * (high - low)), half + 1, "nearer to the next");
    assertEqual(halfOf(low + 0.49 * (high - low)), half, "nearer to itself");
  }
});

kernelTest("gather: bytes stand for what divisions by 255 give", async (t) => {
  const manager = await openManager(t);
  const all = Uint8Array.from({ length: 256 }, (_, byte) => byte);
  const data = new GpuDataset(manager, { inputs: all, targets: new Uint8Array(1), count: 1 });
  const levels = (data.inputs as StoredArray).levels!;
  const recorder = manager.record();
  const reading = recorder.read(levels, 0, 1024);
  recorder.submit();
  const expected = Float32Array.from(all, (byte) => byte / 255);
  assertSame([new Float32Array(await reading)], [expected], "levels");
  manager.dispose();
});
