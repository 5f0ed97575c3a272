import tgpu, { d } from "typegpu";
import code from "../../../shaders/gram.wgsl?raw";
import slicedCode from "../../../shaders/gram_sliced.wgsl?raw";
import subgroup4Code from "../../../shaders/gram_subgroup4.wgsl?raw";
import subgroup8Code from "../../../shaders/gram_subgroup8.wgsl?raw";
import workgroup64Code from "../../../shaders/gram_workgroup64.wgsl?raw";
import workgroup128Code from "../../../shaders/gram_workgroup128.wgsl?raw";
import { must, oneOf, requireNumbers } from "../../arguments.js";
import { ArgumentError, ShapeError } from "../../errors.js";
import { defineKernel, type Kernel, type Recorder } from "../../pipeline/index.js";
import { type Blend, blend } from "../blend.js";
import { copyStrided, type StridedCopy } from "../layout/copy.js";
import { group, partition } from "../layout/group.js";
import { problemsOf } from "../layout/operands.js";
import { packedTarget } from "../layout/pack.js";
import {
  checkView,
  isAligned,
  type Matrix,
  type MatrixView,
  padded,
  paddedLength,
  paddedView,
  requireDistinct,
  requireShape,
} from "../layout/view.js";
import { tileShape } from "./choice.js";
import { HALF_UNIT, inHalf, roundToHalf } from "./half.js";
import { partials, partsOf, rowsInParts } from "./parts.js";
import { PRECISIONS, type Precision, requirePrecision } from "./precision.js";
import { productKernel, tilesOf } from "./tiles.js";

export const GramProblem = d.struct({
  first: d.u32,
  tileCols: d.u32,
  d: d.u32,
  k: d.u32,
  aOffset: d.u32,
  aStride: d.u32,
  sOffset: d.u32,
  sStride: d.u32,
  scale: d.u32,
});

export const gramLayout = tgpu
  .bindGroupLayout({
    problems: { storage: d.arrayOf(GramProblem), access: "readonly", visibility: ["compute"] },
    scales: { storage: d.arrayOf(d.vec2f), access: "readonly", visibility: ["compute"] },
    a: { storage: d.arrayOf(d.vec4f), access: "readonly", visibility: ["compute"] },
    s: { storage: d.arrayOf(d.vec4f), access: "mutable", visibility: ["compute"] },
  })
  .$idx(0);

const forms = {
  registers: defineKernel({ name: "gram", code, layout: gramLayout }),
  subgroup4: defineKernel({ name: "gram_subgroup4", code: subgroup4Code, layout: gramLayout }),
  subgroup8: defineKernel({ name: "gram_subgroup8", code: subgroup8Code, layout: gramLayout }),
  workgroup64: defineKernel({ name: "gram_workgroup64", code: workgroup64Code, layout: gramLayout }),
  workgroup128: defineKernel({ name: "gram_workgroup128", code: workgroup128Code, layout: gramLayout }),
  sliced: defineKernel({ name: "gram_sliced", code: slicedCode, layout: gramLayout }),
};

const Scale = d.struct({ alpha: d.f32, beta: d.f32 });

const LAYOUT = oneOf("columns", "rows");

/** S ← β S + α Σᵢ AᵢAᵢ'. */
export interface GramOperands {
  /** One matrix, or the matrices Aᵢ one by one. */
  A: MatrixView | readonly MatrixView[];
  /** S, d × d. */
  into: MatrixView;
  /**
   * `"columns"` (the default): A is d × k, an example (or position) a column, as in the note.
   * `"rows"`: A is k × d, an example a row; this form needs no packing when its rows start on a `vec4f`.
   */
  examples?: "columns" | "rows";
  /** Defaults to 1. */
  alpha?: number;
  /** Defaults to 0; then the old S is not read. */
  beta?: number;
  /** Appends a constant 1 to every example, for the bias; d is then one more. */
  biasRow?: boolean;
  /** What A is rounded to before it is multiplied; defaults to `"f32"`, as it is. */
  precision?: Precision;
}

/**
 * Records Gram matrices (sums of outer products), one dispatch for all that share their buffers. Only half of each
 * symmetric matrix is computed.
 *
 * @throws ShapeError when the shapes do not fit, ArgumentError when `into` lies in the buffer of A, FeatureError for
 *   `precision: "f16"` on a device without it.
 */
export function gram(recorder: Recorder, problems: GramOperands | readonly GramOperands[]): void {
  const list = problemsOf("gram", recorder, "problems", problems, true);
  const after: (() => void)[] = [];
  // All are checked before the first is packed: a bad one must leave nothing recorded.
  const checked = list.map((operands) => checkOperands(recorder, operands));
  const ready = list.map((operands, index) => {
    const { alpha = 1, beta = 0, precision = "f32" } = operands;
    const { parts, S } = checked[index]!;
    const { target, unpack } = packedTarget(recorder, S, beta !== 0);
    after.push(unpack);
    return { A: packExamples(recorder, parts, operands), S: target, pair: { alpha, beta }, precision };
  });
  for (const precision of PRECISIONS) {
    const own = ready.filter((product) => product.precision === precision);
    const products = own.map(({ A, S }, scale) => ({ A, S, scale }));
    const scales = own.map(({ pair }) => pair);
    if (own.length > 0) gramInParts(recorder, products, scales, precision);
  }
  for (const unpack of after) unpack();
}

/**
 * Where the results are too small to keep a GPU busy while the sums are long, parts of the examples are summed side by
 * side, and then the parts in their order.
 */
function gramInParts(
  recorder: Recorder,
  products: readonly PackedGram[],
  scales: readonly { alpha: number; beta: number }[],
  precision: Precision,
): void {
  const { manager } = recorder;
  const { capabilities } = manager.handle;
  const counts = capabilities.software ? undefined : partsOf(capabilities, products.map(sizeOf));
  if (precision === "f16") {
    halfGrams(recorder, products, manager.table(Scale, scales), counts);
    return;
  }
  const pairs = manager.table(Scale, [...scales, { alpha: 1, beta: 0 }]);
  const { summands, sums } = inParts(recorder, products, { counts, scale: scales.length, least: 2 });
  recordGrams(recorder, summands, pairs);
  blend(recorder, sums, pairs);
}

/** Sums of numbers rounded to f16, which then come into S by pairs (α, β) that know of the powers of two. */
function halfGrams(
  recorder: Recorder,
  products: readonly PackedGram[],
  scales: GPUBuffer,
  counts?: readonly number[],
): void {
  if (products.length === 0) return;
  const { halves, pairs } = roundToHalf(recorder, products, scales);
  const rounded = products.map(({ S }, scale) => ({ A: halves[scale]!.A, S, scale }));
  const { summands, sums } = inParts(recorder, rounded, { counts, scale: 0, least: 1 });
  recordGrams(recorder, summands, recorder.manager.table(Scale, [{ alpha: HALF_UNIT, beta: 0 }]), inHalf);
  blend(recorder, sums, pairs);
  recorder.release(pairs, halves[0]!.A.buffer, sums[0]!.T.buffer);
}

/**
 * Sums that are taken in at least so many parts as Gram matrices in scratch, and the blends that make S of them.
 *
 * @param scale of the parts among the scales
 */
function inParts(
  recorder: Recorder,
  products: readonly PackedGram[],
  { counts, scale: own, least }: { counts: readonly number[] | undefined; scale: number; least: number },
): { summands: readonly PackedGram[]; sums: readonly Blend[] } {
  let length = 0;
  const plans = products.map((product, index) => {
    const { rows, cols } = product.S;
    const parts = counts?.[index] ?? 1;
    const offset = length;
    length += parts >= least ? parts * paddedLength(rows, cols) : 0;
    return { ...product, parts, offset };
  });
  if (length === 0) return { summands: products, sums: [] };
  const scratch = recorder.scratch(length);
  const sums: Blend[] = [];
  const summands = plans.flatMap(({ A, S, scale, parts, offset }) => {
    if (parts < least) return [{ A, S, scale }];
    const T = paddedView(scratch, offset, S.rows, S.cols);
    sums.push({ T, parts, partLength: T.rows * T.stride, S, scale });
    const rows = rowsInParts(A, parts);
    return partials(T, parts).map((into, part) => ({ A: rows[part]!, S: into, scale: own }));
  });
  return { summands, sums };
}

/** A Gram matrix of packed operands: A stored k × d with aligned rows, S d × d, (α, β) at `scale` in the scales. */
export interface PackedGram {
  A: Matrix;
  S: Matrix;
  scale: number;
}

/**
 * Records Gram matrices over packed operands; `scales` holds pairs (α, β) of f32, which may be written on the GPU. Checks nothing.
 *
 * @param precision `"f16"` on devices with `shader-f16` only
 */
export function gramPacked(
  recorder: Recorder,
  products: readonly PackedGram[],
  scales: GPUBuffer,
  precision: Precision = "f32",
): void {
  if (precision === "f16") halfGrams(recorder, products, scales);
  else recordGrams(recorder, products, scales);
}

/** @param form of the kernels, by default their own */
function recordGrams(
  recorder: Recorder,
  products: readonly PackedGram[],
  scales: GPUBuffer,
  form = (kernel: Kernel) => kernel,
): void {
  const { manager } = recorder;
  const { capabilities } = manager.handle;
  for (const part of partition(products, ({ A, S }) => [A.buffer, S.buffer])) {
    const tile = tileShape(capabilities, part.map(sizeOf));
    const { rows, groups } = group(
      part.map(({ A, S, scale }) => ({
        tileCols: Math.ceil(A.cols / tile.cols),
        d: A.cols,
        k: A.rows,
        aOffset: A.offset / 4,
        aStride: A.stride / 4,
        sOffset: S.offset / 4,
        sStride: S.stride / 4,
        scale,
      })),
      (problem) => tilesOf(tile, problem.d, problem.d),
    );
    const { A, S } = part[0]!;
    recorder.dispatch(
      form(productKernel(forms, tile)),
      { problems: manager.table(GramProblem, rows), scales, a: A.buffer, s: S.buffer },
      groups,
    );
  }
}

function sizeOf({ A }: Pick<PackedGram, "A">) {
  return { m: A.cols, n: A.cols, k: A.rows, lower: true };
}

function checkOperands(recorder: Recorder, operands: GramOperands): { parts: Matrix[]; S: Matrix } {
  requireNumbers("gram", { alpha: operands.alpha, beta: operands.beta });
  requirePrecision("gram", recorder.manager, operands.precision);
  const list = (Array.isArray(operands.A) ? operands.A : [operands.A]) as readonly MatrixView[];
  if (operands.examples !== undefined) must("gram", "examples", operands.examples, LAYOUT);
  if (list.length === 0) throw new ArgumentError("gram", "A", "must be at least one matrix");
  const parts = list.map((view, index) => checkView("gram", list.length > 1 ? `A[${index}]` : "A", view));
  const S = checkView("gram", "into", operands.into);
  const features = (view: Matrix) => (operands.examples === "rows" ? view.cols : view.rows);
  const d = features(parts[0]!);
  for (const [index, part] of parts.entries()) {
    if (features(part) !== d) {
      const expected = operands.examples === "rows" ? [part.rows, d] : [d, part.cols];
      throw new ShapeError("gram", `A[${index}]`, [part.rows, part.cols], expected);
    }
    requireDistinct("gram", ["into", S], [["A", part]]);
  }
  const size = d + (operands.biasRow ? 1 : 0);
  requireShape("gram", "into", S, size, size);
  return { parts, S };
}

/** All examples as rows of one aligned matrix, with the constant 1 appended where asked; scratch unless it is so already. */
export function packExamples(
  recorder: Recorder,
  parts: readonly Matrix[],
  operands: Pick<GramOperands, "examples" | "biasRow">,
): Matrix {
  const rowwise = operands.examples === "rows";
  const first = parts[0]!;
  if (rowwise && parts.length === 1 && !operands.biasRow && isAligned(first)) return first;
  const counts = parts.map((part) => (rowwise ? part.rows : part.cols));
  const k = counts.reduce((sum, count) => sum + count, 0);
  const features = rowwise ? first.cols : first.rows;
  const d = features + (operands.biasRow ? 1 : 0);
  const all = paddedView(recorder.scratch(k * padded(d)), 0, k, d);
  let row = 0;
  const copies = parts.map((part, index): StridedCopy => {
    const rows = counts[index]!;
    const target = { buffer: all.buffer, offset: row * all.stride, row: all.stride, col: 1 };
    row += rows;
    const [from, to] = rowwise ? [part.stride, 1] : [1, part.stride];
    return {
      source: { buffer: part.buffer, offset: part.offset, row: from, col: to },
      target,
      rows,
      cols: features,
    };
  });
  if (operands.biasRow) {
    const target = { buffer: all.buffer, offset: features, row: all.stride, col: 1 };
    copies.push({ target, rows: k, cols: 1 });
  }
  copyStrided(recorder, copies);
  return all;
}
