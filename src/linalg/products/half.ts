import tgpu, { d } from "typegpu";
import code from "../../../shaders/half.wgsl?raw";
import { defineKernel, type Kernel, type Recorder } from "../../pipeline/index.js";
import { group, partition } from "../layout/group.js";
import { type Matrix, paddedLength, paddedView } from "../layout/view.js";

export const HalfProblem = d.struct({
  first: d.u32,
  rows: d.u32,
  cols: d.u32,
  xOffset: d.u32,
  xStride: d.u32,
  halfOffset: d.u32,
  halfStride: d.u32,
  peak: d.u32,
  other: d.u32,
  given: d.u32,
  into: d.u32,
});

export const halfLayout = tgpu
  .bindGroupLayout({
    problems: { storage: d.arrayOf(HalfProblem), access: "readonly", visibility: ["compute"] },
    scales: { storage: d.arrayOf(d.vec2f), access: "readonly", visibility: ["compute"] },
    x: { storage: d.arrayOf(d.vec4f), access: "readonly", visibility: ["compute"] },
    largests: { storage: d.arrayOf(d.atomic(d.u32)), access: "mutable", visibility: ["compute"] },
    halves: { storage: d.arrayOf(d.vec2u), access: "mutable", visibility: ["compute"] },
    pairs: { storage: d.arrayOf(d.vec2f), access: "mutable", visibility: ["compute"] },
  })
  .$idx(0);

const peaks = defineKernel({ name: "half", code, layout: halfLayout, entryPoint: "peaks", rowwise: true });
const rounding = defineKernel({ name: "half", code, layout: halfLayout, rowwise: true });

/** Rows a workgroup takes; the shader's ROWS. */
const ROWS = 16;
/** The shader's NONE. */
const NONE = 0xffffffff;

/** What the products of rounded numbers are to be multiplied by where they are made: f16 is used up to 2¹⁵. */
export const HALF_UNIT = 2 ** -28;

/** A product of aligned matrices with their summed index as the row, and where its (α, β) is among the scales. */
export interface HalfOperands {
  readonly A: Matrix;
  /** Defaults to A, for a Gram matrix. */
  readonly B?: Matrix;
  readonly scale: number;
}

/** The same in f16, two to an f32's place: offsets and strides count f16. */
export interface Halves {
  readonly A: Matrix;
  readonly B: Matrix;
}

/**
 * Records the operands of products rounded to f16, each matrix times a power of two of its own, in scratch.
 *
 * @param scales pairs (α, β) of f32, which may be written on the GPU
 * @returns the rounded operands, all in one buffer, and for each product the (α, β) by which `HALF_UNIT` times the product of the rounded ones
 *   becomes what α times that of the given ones is; not finite where they are not, unless α is 0
 */
export function roundToHalf(
  recorder: Recorder,
  products: readonly HalfOperands[],
  scales: GPUBuffer,
): { halves: Halves[]; pairs: GPUBuffer } {
  let [length, count] = [0, 0];
  const place = (x: Matrix) => {
    const offset = length;
    length += paddedLength(x.rows, x.cols);
    return { x, offset, peak: count++ };
  };
  const places = products.map(({ A, B }) => {
    const left = place(A);
    return { left, right: B ? place(B) : left };
  });
  const buffer = recorder.scratch(Math.ceil(length / 2));
  const largests = recorder.scratch(count);
  const pairs = recorder.scratch(2 * products.length);
  recorder.clear(largests);
  const rows = places.flatMap(({ left, right }, into) => {
    const own = { ...left, other: right.peak, given: products[into]!.scale, into };
    return right === left ? [own] : [own, { ...right, other: left.peak, given: 0, into: NONE }];
  });
  const parts = partition(rows, ({ x }) => [x.buffer]).map((part) => {
    const { rows, groups } = group(
      part.map(({ x, offset, ...places }) => ({
        rows: x.rows,
        cols: x.cols,
        xOffset: x.offset / 4,
        xStride: x.stride / 4,
        halfOffset: offset / 4,
        halfStride: paddedLength(1, x.cols) / 4,
        ...places,
      })),
      (problem) => Math.ceil(problem.rows / ROWS),
    );
    const problems = recorder.manager.table(HalfProblem, rows);
    return { bindings: { problems, scales, x: part[0]!.x.buffer, largests, halves: buffer, pairs }, groups };
  });
  for (const kernel of [peaks, rounding]) {
    for (const { bindings, groups } of parts) recorder.dispatch(kernel, bindings, groups);
  }
  recorder.release(largests);
  const half = ({ x, offset }: { x: Matrix; offset: number }) => paddedView(buffer, offset, x.rows, x.cols);
  return { halves: places.map(({ left, right }) => ({ A: half(left), B: half(right) })), pairs };
}

/** What operands are stored as, in the text of a product kernel. */
const STORED = "alias Operand = vec4f;";
const texts = new Map<string, string>();

/** The form of a product kernel for operands in f16: its text, but for what that says they are stored as. */
export function inHalf(kernel: Kernel): Kernel {
  let text = texts.get(kernel.name);
  if (text === undefined) {
    // On the first line, which is a comment, so that errors name the lines of the file.
    text = `enable f16; ${kernel.code.replace(STORED, "alias Operand = vec4h;")}`;
    texts.set(kernel.name, text);
  }
  return { ...kernel, name: `${kernel.name}_f16`, code: text };
}
