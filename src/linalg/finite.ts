import tgpu, { d } from "typegpu";
import code from "../../shaders/finite.wgsl?raw";
import { defineKernel, type Recorder } from "../pipeline/index.js";
import { group, partition } from "./layout/group.js";
import { problemsOf } from "./layout/operands.js";
import { checkView, type MatrixView, requireDistinct } from "./layout/view.js";

export const FiniteProblem = d.struct({
  first: d.u32,
  rows: d.u32,
  cols: d.u32,
  offset: d.u32,
  stride: d.u32,
  flag: d.u32,
  bit: d.u32,
  source: d.u32,
});

export const finiteLayout = tgpu
  .bindGroupLayout({
    problems: { storage: d.arrayOf(FiniteProblem), access: "readonly", visibility: ["compute"] },
    x: { storage: d.arrayOf(d.f32), access: "readonly", visibility: ["compute"] },
    y: { storage: d.arrayOf(d.f32), access: "readonly", visibility: ["compute"] },
    z: { storage: d.arrayOf(d.f32), access: "readonly", visibility: ["compute"] },
    flags: { storage: d.arrayOf(d.atomic(d.u32)), access: "mutable", visibility: ["compute"] },
  })
  .$idx(0);

export const finiteKernel = defineKernel({ name: "finite", code, layout: finiteLayout, rowwise: true });

/** Rows a workgroup looks at; the shader's ROWS. */
const ROWS = 16;
/** Buffers that a dispatch reads. */
const SOURCES = 3;

export interface FiniteCheck {
  x: MatrixView;
  /** Word of the flags, and the bit of it that is set when x holds a number that is not finite. */
  flag: number;
  bit: number;
}

/**
 * Records checks for numbers that are not finite, one dispatch for every three buffers. Bits are only ever added to `flags` (u32).
 *
 * @throws ShapeError when x does not fit its buffer or a flag lies beyond the end of `flags`, ArgumentError when x lies
 *   in the buffer of the flags.
 */
export function checkFinite(recorder: Recorder, flags: GPUBuffer, checks: readonly FiniteCheck[]): void {
  const list = problemsOf("checkFinite", recorder, "checks", checks).map((check) => {
    const x = checkView("checkFinite", "x", check.x);
    const word = checkView("checkFinite", "flags", { buffer: flags, offset: check.flag, rows: 1, cols: 1 });
    requireDistinct("checkFinite", ["flags", word], [["x", x]]);
    return { ...check, x };
  });
  const parts = partition(list, ({ x }) => [x.buffer]);
  for (let first = 0; first < parts.length; first += SOURCES) {
    const own = parts.slice(first, first + SOURCES);
    const { rows, groups } = group(
      own.flatMap((part, source) =>
        part.map(({ x: { rows, cols, offset, stride }, flag, bit }) => {
          return { rows, cols, offset, stride, flag, bit, source };
        }),
      ),
      (problem) => Math.ceil(problem.rows / ROWS),
    );
    const problems = recorder.manager.table(FiniteProblem, rows);
    const [x, y = x, z = x] = own.map((part) => part[0]!.x.buffer);
    recorder.dispatch(finiteKernel, { problems, x: x!, y: y!, z: z!, flags }, groups);
  }
}
