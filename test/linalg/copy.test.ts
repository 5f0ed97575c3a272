/** Strided copies: bit for bit, in any layout, and nothing else touched. */
import { ArgumentError, ShapeError } from "../../src/errors.js";
import { copy, copyStrided } from "../../src/linalg/index.js";
import { assert, assertEqual, kernelTest, type TestContext } from "../harness/kernel-test.js";
import { Arena, assertRefused, assertSameBits, LARGE, managerOf, run, type Slot, SMALL } from "./helpers.js";

function transposed({ rows, cols, data }: Slot): Float32Array {
  const out = new Float32Array(rows * cols);
  for (let i = 0; i < rows; i++) for (let j = 0; j < cols; j++) out[j * rows + i] = data[i * cols + j]!;
  return out;
}

async function check(t: TestContext, shapes: readonly [number, number][], seed: number): Promise<void> {
  const random = t.random(seed);
  const [sources, targets] = [new Arena(), new Arena()];
  const pairs = shapes.map(([rows, cols], i) => {
    const transpose = i % 2 === 1;
    const source = sources.add(rows, cols, i % 3 > 0, random.normals(rows * cols));
    const target = transpose ? targets.add(cols, rows, i % 4 > 1) : targets.add(rows, cols, i % 4 > 1);
    return { source, target, transpose };
  });
  sources.upload(t, 0);
  targets.upload(t, 0);
  run(managerOf(t), (recorder) => {
    for (const { source, target, transpose } of pairs) {
      copy(recorder, { source: source.view, target: target.view, transpose });
    }
  });
  const results = await targets.download(t, "copy");
  for (const { source, target, transpose } of pairs) {
    const expected = transpose ? transposed(source) : source.data;
    assertSameBits(results.get(target)!, expected, `copy of ${source.rows} × ${source.cols}`);
  }
}

kernelTest("copy: every combination of small sizes, plain and transposed", async (t) => {
  const shapes = SMALL.flatMap((rows) => SMALL.map((cols) => [rows, cols] as [number, number]));
  await check(t, shapes, 1);
  await check(t, shapes.slice(1), 2);
});

kernelTest("copy: sizes round the edges of a workgroup", async (t) => {
  const shapes = LARGE.flatMap((rows, i): [number, number][] => [
    [rows, LARGE[(i + 4) % LARGE.length]!],
    [rows, 1 + (i % 5)],
    [1 + (i % 5), rows],
  ]);
  await check(t, shapes, 3);
  await check(t, shapes.slice(1), 4);
});

kernelTest(
  "copyStrided: a batch with strides of its own on both sides, in one dispatch with a fill",
  async (t) => {
    // source (b, i, j) at 100 + 50 b + 3 i + 7 j; target at 5 + 2 b + 40 i + 6 j.
    const [batch, rows, cols] = [3, 4, 5];
    const numbers = t.random(5).normals(400);
    const source = t.upload(numbers);
    const target = t.poisoned(250);
    const before = await t.downloadWords(target);
    const dispatches = run(managerOf(t), (recorder) => {
      copyStrided(recorder, [
        {
          source: { buffer: source, offset: 100, batch: 50, row: 3, col: 7 },
          target: { buffer: target, offset: 5, batch: 2, row: 40, col: 6 },
          batch,
          rows,
          cols,
        },
        {
          source: { buffer: source, offset: 9, row: 1, col: 2 },
          target: { buffer: target, offset: 200, row: 2, col: 1 },
          rows: 11,
          cols: 2,
        },
      ]);
      copyStrided(recorder, [{ target: { buffer: target, offset: 230, row: 5, col: 2 }, rows: 3, cols: 2 }]);
    });
    assertEqual(dispatches, 2, "dispatches");
    const expected = new Float32Array(before.buffer.slice(0));
    for (let b = 0; b < batch; b++) {
      for (let i = 0; i < rows; i++) {
        for (let j = 0; j < cols; j++)
          expected[5 + 2 * b + 40 * i + 6 * j] = numbers[100 + 50 * b + 3 * i + 7 * j]!;
      }
    }
    for (let i = 0; i < 11; i++) for (const j of [0, 1]) expected[200 + 2 * i + j] = numbers[9 + i + 2 * j]!;
    for (let i = 0; i < 3; i++) for (const j of [0, 1]) expected[230 + 5 * i + 2 * j] = 1;
    assertSameBits(await t.download(target), expected, "target");
  },
);

kernelTest(
  "copyStrided: two pairs of buffers at a time, unless one reads what the other writes",
  async (t) => {
    const [a, b] = [t.random(8).normals(300), t.random(9).normals(300)];
    const [A, B] = [t.upload(a), t.upload(b)];
    const line = (buffer: GPUBuffer, offset: number) => ({ buffer, offset, row: 70, col: 1 });
    const size = { rows: 2, cols: 70 };
    const move = (from: GPUBuffer, into: GPUBuffer, offset = 0) => ({
      source: line(from, 7),
      target: line(into, offset),
      ...size,
    });
    const copied = async (copies: (P: GPUBuffer, Q: GPUBuffer) => Parameters<typeof copyStrided>[1]) => {
      const [P, Q] = [t.poisoned(300), t.poisoned(300)];
      const dispatches = run(managerOf(t), (recorder) => copyStrided(recorder, copies(P, Q)));
      return { dispatches, P: await t.download(P), Q: await t.download(Q) };
    };
    const check = (found: Float32Array, offset: number, numbers: Float32Array, what: string) =>
      assertSameBits(found.subarray(offset, offset + 140), numbers.subarray(7, 147), what);
    const apart = await copied((P, Q) => [move(A, P), move(B, Q, 20)]);
    assertEqual(apart.dispatches, 1, "dispatches, apart");
    check(apart.P, 0, a, "P from A");
    check(apart.Q, 20, b, "Q from B");
    const together = await copied((P) => [move(A, P), move(B, P, 150)]);
    assertEqual(together.dispatches, 1, "dispatches, into one");
    check(together.P, 0, a, "P's start from A");
    check(together.P, 150, b, "P's end from B");
    const twice = await copied((P, Q) => [move(A, P), move(A, Q), { target: line(Q, 160), ...size }]);
    assertEqual(twice.dispatches, 2, "dispatches, three pairs");
    check(twice.P, 0, a, "P from A, and Q");
    check(twice.Q, 0, a, "Q from A, and P");
    assert(
      twice.Q.subarray(160).every((one) => one === 1),
      "Q's end",
    );
    const chained = await copied((P, Q) => [move(A, P), move(P, Q)]);
    assertEqual(chained.dispatches, 2, "dispatches, one after the other");
    assertSameBits(chained.Q.subarray(0, 133), a.subarray(14, 147), "Q from P");
  },
);

kernelTest("copyStrided: the longer index may be the first, the target batched", async (t) => {
  const numbers = t.random(6).normals(600);
  const source = t.upload(numbers);
  const target = t.poisoned(603);
  run(managerOf(t), (recorder) => {
    copyStrided(recorder, [
      {
        source: { buffer: source, offset: 0, batch: 300, row: 3, col: 1 },
        target: { buffer: target, offset: 3, batch: 300, row: 1, col: 100 },
        batch: 2,
        rows: 100,
        cols: 3,
      },
    ]);
  });
  const result = await t.download(target);
  for (let b = 0; b < 2; b++) {
    for (let i = 0; i < 100; i++) {
      for (let j = 0; j < 3; j++) {
        assertEqual(result[3 + 300 * b + i + 100 * j], numbers[300 * b + 3 * i + j], `(${b}, ${i}, ${j})`);
      }
    }
  }
  assert(Number.isNaN(result[0]!) && result[1] === Math.fround(1e30), "the start is left alone");
});

kernelTest("copy: more workgroups than one dimension takes", async (t) => {
  // Spread over three rows of workgroups, one of which is left over: it must not copy the line that follows.
  const batch = 2 * 65535 + 17;
  const numbers = t.random(7).uniforms(3 * batch + 3);
  const source = t.upload(numbers);
  const target = t.poisoned(3 * batch + 3);
  const strides = { offset: 0, batch: 3, row: 3, col: 1 };
  run(managerOf(t), (recorder) => {
    copyStrided(recorder, [
      {
        source: { buffer: source, ...strides },
        target: { buffer: target, ...strides },
        batch,
        rows: 1,
        cols: 3,
      },
    ]);
  });
  const result = await t.download(target);
  assertSameBits(result.subarray(0, 3 * batch), numbers.subarray(0, 3 * batch), "lines");
  assertSameBits(
    result.subarray(3 * batch),
    (await t.download(t.poisoned(4))).subarray(1),
    "beyond the last line",
  );
});

kernelTest("copy: bad input is refused before anything is recorded", async (t) => {
  const [input, output] = [new Arena(), new Arena()];
  const source = input.add(3, 5, true, t.random(1).normals(15));
  const target = output.add(3, 5, true);
  input.upload(t);
  output.upload(t);
  const [from, to] = [source.view, target.view];
  const strides = { buffer: output.buffer, offset: 0, row: 1, col: 1 };
  await assertRefused(
    t,
    [input, output],
    [
      [
        (r) => copy(r, { source: from, target: { ...to, rows: 2 } }),
        ShapeError,
        /^copy: target has shape \[2 × 5\], expected \[3 × 5\]/,
      ],
      [
        (r) => copy(r, { source: from, target: to, transpose: true }),
        ShapeError,
        /^copy: target has shape \[3 × 5\], expected \[5 × 3\]/,
      ],
      [
        (r) => copy(r, { source: from, target: from }),
        ArgumentError,
        /^copy: target .*same buffer as source/,
      ],
      [
        (r) => copyStrided(r, [{ target: strides, batch: 2, rows: 1, cols: 1 }]),
        ArgumentError,
        /^copy: target\.batch is missing/,
      ],
    ],
  );
});
