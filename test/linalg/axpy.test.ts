/** Scaled additions against f64. */
import { ArgumentError, ShapeError } from "../../src/errors.js";
import { axpy } from "../../src/linalg/index.js";
import { assertEqual, kernelTest } from "../harness/kernel-test.js";
import { Arena, assertRefused, assertWithin, LARGE, managerOf, run, SMALL } from "./helpers.js";

kernelTest("axpy: all small sizes and some large ones, in one dispatch", async (t) => {
  const random = t.random(1);
  const [xs, ys] = [new Arena(), new Arena()];
  const shapes = [
    ...SMALL.flatMap((rows) => SMALL.map((cols) => [rows, cols] as const)),
    ...LARGE.map((rows, i) => [rows, LARGE[(i + 5) % LARGE.length]!] as const),
  ];
  const problems = shapes.map(([rows, cols], i) => ({
    alpha: [1, -0.3, 0, 1e3][i % 4]!,
    x: xs.add(rows, cols, i % 2 === 0, random.normals(rows * cols)),
    y: ys.add(rows, cols, i % 3 === 0, random.normals(rows * cols)),
  }));
  xs.upload(t, 0);
  ys.upload(t, 0);
  const dispatches = run(managerOf(t), (recorder) => {
    axpy(
      recorder,
      problems.map(({ alpha, x, y }) => ({ alpha, X: x.view, Y: y.view })),
    );
  });
  assertEqual(dispatches, 1, "dispatches");
  const results = await ys.download(t, "axpy");
  for (const { alpha, x, y } of problems) {
    const value = Float64Array.from(y.data, (old, e) => old + alpha * x.data[e]!);
    const size = Float64Array.from(y.data, (old, e) => Math.abs(old) + Math.abs(alpha * x.data[e]!));
    assertWithin(results.get(y)!, value, size, 2.5, `axpy ${y.rows} × ${y.cols}, alpha ${alpha}`);
  }
});

kernelTest("axpy: buffers of their own, and one after another into the same", async (t) => {
  const x = t.upload(Float32Array.of(1, 2, 3, 4));
  const y = [t.upload(Float32Array.of(10, 20, 30, 40)), t.upload(Float32Array.of(-1, -2, -3, -4))] as const;
  const view = (buffer: GPUBuffer) => ({ buffer, rows: 2, cols: 2 });
  run(managerOf(t), (recorder) => {
    axpy(recorder, [
      { alpha: 2, X: view(x), Y: view(y[0]) },
      { alpha: 3, X: view(x), Y: view(y[1]) },
    ]);
    axpy(recorder, [{ alpha: 1, X: view(x), Y: view(y[0]) }]);
  });
  assertEqual((await t.download(y[0])).join(), "13,26,39,52", "the first");
  assertEqual((await t.download(y[1])).join(), "2,4,6,8", "the second");
});

kernelTest("axpy: more workgroups than one dimension takes", async (t) => {
  // An odd number, so that one of the workgroups in two rows is left over: the row that follows must stay as it is.
  const rows = 65535 + 12;
  const [x, y] = [t.random(2), t.random(3)].map((random) => random.uniforms(2 * rows + 2));
  const [X, Y] = [t.upload(x!), t.upload(y!)];
  run(managerOf(t), (recorder) => {
    axpy(recorder, [{ alpha: 1, X: { buffer: X, rows, cols: 2 }, Y: { buffer: Y, rows, cols: 2 } }]);
  });
  const result = await t.download(Y);
  for (let e = 0; e < 2 * rows + 2; e++) {
    const expected = e < 2 * rows ? Math.fround(x![e]! + y![e]!) : y![e]!;
    if (result[e] !== expected) throw new Error(`element ${e} is ${result[e]}`);
  }
});

kernelTest("axpy: bad input is refused before anything is recorded", async (t) => {
  const [xs, ys] = [new Arena(), new Arena()];
  const x = xs.add(3, 5, true, t.random(1).normals(15));
  const y = ys.add(3, 5, true, t.random(2).normals(15));
  xs.upload(t);
  ys.upload(t);
  const [X, Y] = [x.view, y.view];
  const swapped = { ...Y, rows: 5, cols: 3 };
  await assertRefused(
    t,
    [xs, ys],
    [
      [
        (r) =>
          axpy(r, [
            { alpha: 1, X, Y },
            { alpha: 1, X, Y: swapped },
          ]),
        ShapeError,
        /^axpy: Y has shape \[5 × 3\], expected \[3 × 5\]/,
      ],
      [(r) => axpy(r, [{ alpha: 1, X, Y: X }]), ArgumentError, /^axpy: Y .*same buffer as X/],
      [
        (r) => axpy(r, [{ alpha: 1, X: { ...X, rows: 300 }, Y }]),
        ShapeError,
        /^axpy: X has shape \[300 × 5\], expected at most \d+ elements/,
      ],
    ],
  );
});
