/** Copies that a raised flag turns into zeros. */
import { ArgumentError, ShapeError } from "../../src/errors.js";
import { checkFinite, guard } from "../../src/linalg/index.js";
import { assert, assertEqual, kernelTest, POISON } from "../harness/kernel-test.js";
import { Arena, assertRefused, assertSameBits, LARGE, managerOf, run, SMALL } from "./helpers.js";

kernelTest("guard: flagged matrices become zero, the others are copied, in one dispatch", async (t) => {
  const random = t.random(1);
  const [sources, targets] = [new Arena(), new Arena()];
  const shapes = [
    ...SMALL.flatMap((rows) => SMALL.map((cols) => [rows, cols] as const)),
    ...LARGE.map((rows, i) => [rows, LARGE[(i + 5) % LARGE.length]!] as const),
  ];
  const copies = shapes.map(([rows, cols], i) => {
    const data = random.normals(rows * cols);
    const flagged = i % 3 === 0;
    if (flagged) data[i % data.length] = [Number.NaN, Number.POSITIVE_INFINITY][i % 2]!;
    const source = sources.add(rows, cols, i % 2 === 0, data);
    return { source, target: targets.add(rows, cols, i % 4 < 2), flagged };
  });
  sources.upload(t, 0);
  targets.upload(t, 0);
  const flags = t.upload(new Uint32Array(copies.length));
  const dispatches = run(managerOf(t), (recorder) => {
    checkFinite(
      recorder,
      flags,
      copies.map(({ source }, flag) => ({ x: source.view, flag, bit: 1 << (flag % 32) })),
    );
    guard(
      recorder,
      flags,
      copies.map(({ source, target }, flag) => ({ source: source.view, target: target.view, flag })),
    );
  });
  assertEqual(dispatches, 2, "dispatches");
  const results = await targets.download(t, "guard");
  for (const { source, target, flagged } of copies) {
    const result = results.get(target)!;
    const what = `guarded ${source.rows} × ${source.cols}`;
    if (flagged)
      assert(
        result.every((value) => value === 0),
        `${what} is not zero`,
      );
    else assertSameBits(result, source.data, what);
  }
});

kernelTest("guard: buffers of their own, more workgroups than one dimension takes", async (t) => {
  // An odd number, so that one of the workgroups in two rows is left over: the row that follows must stay as it is.
  const rows = 65535 + 10;
  const numbers = t.random(2).normals(rows);
  const [source, first, second] = [t.upload([...numbers, 7]), t.poisoned(rows + 1), t.poisoned(rows + 1)];
  const flags = t.upload(Uint32Array.of(0, 8));
  const view = (buffer: GPUBuffer) => ({ buffer, rows, cols: 1 });
  run(managerOf(t), (recorder) => {
    guard(recorder, flags, [
      { source: view(source), target: view(first), flag: 0 },
      { source: view(source), target: view(second), flag: 1 },
    ]);
  });
  const [copied, zeroed] = [await t.download(first), await t.download(second)];
  assertSameBits(copied.subarray(0, rows), numbers, "without a flag");
  assertSameBits(zeroed.subarray(0, rows), new Float32Array(rows), "with a flag");
  for (const result of [copied, zeroed]) assertEqual(result[rows], POISON, "beyond the last row");
});

kernelTest("guard: bad input is refused before anything is recorded", async (t) => {
  const [sources, targets, words] = [new Arena(), new Arena(), new Arena()];
  const from = sources.add(3, 5, true, t.random(1).normals(15));
  const to = targets.add(3, 5, true);
  words.add(1, 4, false, [0, 0, 0, 0]);
  sources.upload(t);
  targets.upload(t);
  const flags = words.upload(t, 0).buffer;
  const [source, target] = [from.view, to.view];
  const scalar = { rows: 1, cols: 1 };
  await assertRefused(
    t,
    [sources, targets, words],
    [
      [
        (r) => guard(r, flags, [{ source, target: { ...target, cols: 4 }, flag: 0 }]),
        ShapeError,
        /^guard: target has shape \[3 × 4\], expected \[3 × 5\]/,
      ],
      [
        (r) => guard(r, flags, [{ source, target: source, flag: 0 }]),
        ArgumentError,
        /^guard: target .*same buffer as source/,
      ],
      [
        (r) => guard(r, flags, [{ source, target, flag: 4 }]),
        ShapeError,
        /^guard: flags .*at most 4 elements/,
      ],
      [
        (r) =>
          guard(r, flags, [
            { source: { ...source, ...scalar }, target: { buffer: flags, ...scalar }, flag: 0 },
          ]),
        ArgumentError,
        /^guard: target .*same buffer as flags/,
      ],
    ],
  );
});
