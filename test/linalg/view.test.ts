/** Matrix views: defaults, and what is refused. */
import { ArgumentError, ShapeError } from "../../src/errors.js";
import {
  checkView,
  isAligned,
  type MatrixView,
  padded,
  paddedLength,
  paddedView,
} from "../../src/linalg/index.js";
import { assert, assertEqual, assertThrows, kernelTest } from "../harness/kernel-test.js";

kernelTest("view: defaults are filled in", (t) => {
  const buffer = t.upload(new Float32Array(20));
  const view = checkView("op", "X", { buffer, rows: 4, cols: 5 });
  assertEqual(view.offset, 0, "offset");
  assertEqual(view.stride, 5, "stride");
  assertEqual(view.buffer, buffer, "buffer");
  const placed = checkView("op", "X", { buffer, rows: 2, cols: 3, offset: 9, stride: 8 });
  assertEqual(`${placed.offset} ${placed.stride}`, "9 8", "what was given");
});

kernelTest("view: it may end with its buffer, and not a number later", (t) => {
  const buffer = t.upload(new Float32Array(20));
  // Element (1, 2) is number 9 + 8 + 2 = 19, the last; whole rows of 8 would not fit.
  checkView("op", "X", { buffer, rows: 2, cols: 3, offset: 9, stride: 8 });
  checkView("op", "X", { buffer, rows: 1, cols: 1, offset: 19, stride: 1000 });
  for (const view of [
    { buffer, rows: 2, cols: 3, offset: 10, stride: 8 },
    { buffer, rows: 2, cols: 4, offset: 9, stride: 8 },
    { buffer, rows: 3, cols: 3, offset: 9, stride: 8 },
    { buffer, rows: 2, cols: 3, offset: 9, stride: 9 },
  ]) {
    const end = view.offset + (view.rows - 1) * view.stride + view.cols;
    const pattern = new RegExp(
      `^op: X has shape \\[${view.rows} × ${view.cols}\\], expected at most 20 elements; .* ends at element ${end} `,
    );
    assertThrows(() => checkView("op", "X", view), ShapeError, pattern);
  }
});

kernelTest("view: what is no matrix is refused, and told which and why", (t) => {
  const buffer = t.upload(new Float32Array(20));
  const good = { buffer, rows: 2, cols: 3 };
  const cases: [MatrixView, abstract new (...args: never[]) => Error, RegExp][] = [
    [{ ...good, rows: 0 }, ShapeError, /^op: X has shape \[0 × 3\], expected \[≥ 1 × ≥ 1\]/],
    [{ ...good, cols: 0 }, ShapeError, /^op: X has shape \[2 × 0\]/],
    [{ ...good, rows: -1 }, ArgumentError, /^op: X\.rows must be a whole number, got -1/],
    [{ ...good, cols: 1.5 }, ArgumentError, /^op: X\.cols must be a whole number, got 1\.5/],
    [{ ...good, offset: Number.NaN }, ArgumentError, /^op: X\.offset must be a whole number, got NaN/],
    [{ ...good, stride: 2 }, ArgumentError, /^op: X\.stride must be at least cols = 3, got 2/],
    [
      { ...good, buffer: t.buffer({ size: 80, usage: GPUBufferUsage.COPY_DST | GPUBufferUsage.COPY_SRC }) },
      ArgumentError,
      /^op: X\.buffer needs the usage GPUBufferUsage\.STORAGE/,
    ],
  ];
  for (const [view, error, message] of cases) assertThrows(() => checkView("op", "X", view), error, message);
});

kernelTest("view: rows on a vec4f are told from others", (t) => {
  const [even, odd] = [t.upload(new Float32Array(64)), t.upload(new Float32Array(63))];
  const view = (buffer: GPUBuffer, offset: number, stride: number) => {
    return isAligned(checkView("op", "X", { buffer, offset, rows: 3, cols: 3, stride }));
  };
  assert(view(even, 4, 8), "offset 4, stride 8");
  assert(!view(even, 2, 8), "offset 2");
  assert(!view(even, 4, 6), "stride 6");
  assert(!view(odd, 4, 8), "a buffer that is no whole number of vec4f");
  for (const [cols, stride] of [
    [1, 4],
    [4, 4],
    [5, 8],
  ] as const) {
    assertEqual(padded(cols), stride, `padded(${cols})`);
    assertEqual(paddedLength(3, cols), 3 * stride, `paddedLength(3, ${cols})`);
    assertEqual(paddedView(even, 8, 3, cols).stride, stride, "paddedView");
  }
});
