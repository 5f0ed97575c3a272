import tgpu, { d } from "typegpu";
import code from "../../../shaders/matmul.wgsl?raw";
import slicedCode from "../../../shaders/matmul_sliced.wgsl?raw";
import subgroup4Code from "../../../shaders/matmul_subgroup4.wgsl?raw";
import subgroup8Code from "../../../shaders/matmul_subgroup8.wgsl?raw";
import workgroup64Code from "../../../shaders/matmul_workgroup64.wgsl?raw";
import workgroup128Code from "../../../shaders/matmul_workgroup128.wgsl?raw";
import { requireNumbers } from "../../arguments.js";
import { ShapeError } from "../../errors.js";
import { defineKernel, type Kernel, type Recorder } from "../../pipeline/index.js";
import { blend } from "../blend.js";
import { group, partition } from "../layout/group.js";
import { problemsOf } from "../layout/operands.js";
import { packed, packedTarget } from "../layout/pack.js";
import {
  checkView,
  type Matrix,
  type MatrixView,
  paddedLength,
  paddedView,
  requireDistinct,
  requireShape,
} from "../layout/view.js";
import { type Forms, tileShape } from "./choice.js";
import { HALF_UNIT, inHalf, roundToHalf } from "./half.js";
import { type Precision, requirePrecision } from "./precision.js";
import { productKernel, tilesOf } from "./tiles.js";

export const MatmulProblem = d.struct({
  first: d.u32,
  tileCols: d.u32,
  m: d.u32,
  n: d.u32,
  k: d.u32,
  aOffset: d.u32,
  aStride: d.u32,
  bOffset: d.u32,
  bStride: d.u32,
  cOffset: d.u32,
  cStride: d.u32,
  transposed: d.u32,
  alpha: d.f32,
  beta: d.f32,
});

export const matmulLayout = tgpu
  .bindGroupLayout({
    problems: { storage: d.arrayOf(MatmulProblem), access: "readonly", visibility: ["compute"] },
    a: { storage: d.arrayOf(d.vec4f), access: "readonly", visibility: ["compute"] },
    b: { storage: d.arrayOf(d.vec4f), access: "readonly", visibility: ["compute"] },
    c: { storage: d.arrayOf(d.vec4f), access: "mutable", visibility: ["compute"] },
  })
  .$idx(0);

const forms = {
  registers: defineKernel({ name: "matmul", code, layout: matmulLayout }),
  subgroup4: defineKernel({ name: "matmul_subgroup4", code: subgroup4Code, layout: matmulLayout }),
  subgroup8: defineKernel({ name: "matmul_subgroup8", code: subgroup8Code, layout: matmulLayout }),
  workgroup64: defineKernel({ name: "matmul_workgroup64", code: workgroup64Code, layout: matmulLayout }),
  workgroup128: defineKernel({ name: "matmul_workgroup128", code: workgroup128Code, layout: matmulLayout }),
  sliced: defineKernel({ name: "matmul_sliced", code: slicedCode, layout: matmulLayout }),
};

/** C ← α op(A) op(B) + β C, with op(A) m × k, op(B) k × n and C m × n. */
export interface MatmulOperands {
  A: MatrixView;
  B: MatrixView;
  into: MatrixView;
  /** op(A) = A': A is stored k × m. This form needs no packing. */
  transposeA?: boolean;
  /** op(B) = B': B is stored n × k. */
  transposeB?: boolean;
  /** Defaults to 1. */
  alpha?: number;
  /** Defaults to 0; then the old C is not read. */
  beta?: number;
  /** What A and B are rounded to before they are multiplied; defaults to `"f32"`, as they are. */
  precision?: Precision;
}

/**
 * Records general matrix products, one dispatch for all that share their buffers.
 *
 * @throws ShapeError when the shapes do not fit, ArgumentError when `into` lies in the buffer of A or B, FeatureError for
 *   `precision: "f16"` on a device without it.
 */
export function matmul(recorder: Recorder, problems: MatmulOperands | readonly MatmulOperands[]): void {
  const list = problemsOf("matmul", recorder, "problems", problems, true);
  const after: (() => void)[] = [];
  // All are checked before the first is packed: a bad one must leave nothing recorded.
  const checked = list.map((operands) => checkOperands(recorder, operands));
  const ready = list.map((operands, index) => {
    const { alpha = 1, beta = 0, precision = "f32" } = operands;
    const { A, B, C } = checked[index]!;
    const { target, unpack } = packedTarget(recorder, C, beta !== 0);
    after.push(unpack);
    return {
      A: packed(recorder, A, !operands.transposeA),
      B: packed(recorder, B, operands.transposeB === true),
      C: target,
      transposed: false,
      alpha,
      beta,
      precision,
    };
  });
  const isHalf = ({ precision }: { precision: Precision }) => precision === "f16";
  multiplyPacked(
    recorder,
    ready.filter((product) => !isHalf(product)),
  );
  multiplyHalf(recorder, ready.filter(isHalf));
  for (const unpack of after) unpack();
}

/** A product of packed operands: A stored k × m, B stored k × n, C stored m × n, or n × m when `transposed`. */
export interface PackedProduct {
  A: Matrix;
  B: Matrix;
  C: Matrix;
  transposed: boolean;
  alpha: number;
  beta: number;
}

const Scale = d.struct({ alpha: d.f32, beta: d.f32 });

/** Products of numbers rounded to f16, which then come into C by pairs (α, β) that know of the powers of two. */
function multiplyHalf(recorder: Recorder, products: readonly Omit<PackedProduct, "transposed">[]): void {
  if (products.length === 0) return;
  const scales = products.map(({ alpha, beta }) => ({ alpha, beta }));
  const { halves, pairs } = roundToHalf(
    recorder,
    products.map(({ A, B }, scale) => ({ A, B, scale })),
    recorder.manager.table(Scale, scales),
  );
  let length = 0;
  const offsets = products.map(({ C }) => {
    const offset = length;
    length += paddedLength(C.rows, C.cols);
    return offset;
  });
  const scratch = recorder.scratch(length);
  const rounded = products.map(({ C }, index) => {
    const T = paddedView(scratch, offsets[index]!, C.rows, C.cols);
    return { ...halves[index]!, C: T, transposed: false, alpha: HALF_UNIT, beta: 0 };
  });
  recordProducts(recorder, rounded, { form: inHalf });
  blend(
    recorder,
    products.map(({ C }, scale) => ({ T: rounded[scale]!.C, S: C, scale })),
    pairs,
  );
  recorder.release(pairs, scratch, halves[0]!.A.buffer);
}

/**
 * Records products whose operands are aligned and laid out for the kernel already; checks nothing.
 *
 * @param among the forms to choose from, by default all
 */
export function multiplyPacked(recorder: Recorder, products: readonly PackedProduct[], among?: Forms): void {
  recordProducts(recorder, products, { among });
}

/** @param how `among` as above, and which form of the kernels, by default their own */
function recordProducts(
  recorder: Recorder,
  products: readonly PackedProduct[],
  { among, form = (kernel) => kernel }: { among?: Forms | undefined; form?: (kernel: Kernel) => Kernel },
): void {
  const { manager } = recorder;
  const { capabilities } = manager.handle;
  for (const part of partition(products, ({ A, B, C }) => [A.buffer, B.buffer, C.buffer])) {
    const tile = tileShape(
      capabilities,
      part.map(({ A, B }) => ({ m: A.cols, n: B.cols, k: A.rows })),
      among,
    );
    const { rows, groups } = group(
      part.map(({ A, B, C, transposed, alpha, beta }) => ({
        tileCols: Math.ceil(B.cols / tile.cols),
        m: A.cols,
        n: B.cols,
        k: A.rows,
        aOffset: A.offset / 4,
        aStride: A.stride / 4,
        bOffset: B.offset / 4,
        bStride: B.stride / 4,
        cOffset: C.offset / 4,
        cStride: C.stride / 4,
        transposed: transposed ? 1 : 0,
        alpha,
        beta,
      })),
      (problem) => tilesOf(tile, problem.m, problem.n),
    );
    const { A, B, C } = part[0]!;
    recorder.dispatch(
      form(productKernel(forms, tile)),
      { problems: manager.table(MatmulProblem, rows), a: A.buffer, b: B.buffer, c: C.buffer },
      groups,
    );
  }
}

function checkOperands(recorder: Recorder, operands: MatmulOperands): { A: Matrix; B: Matrix; C: Matrix } {
  requireNumbers("matmul", { alpha: operands.alpha, beta: operands.beta });
  requirePrecision("matmul", recorder.manager, operands.precision);
  const A = checkView("matmul", "A", operands.A);
  const B = checkView("matmul", "B", operands.B);
  const C = checkView("matmul", "into", operands.into);
  const [m, k] = operands.transposeA ? [A.cols, A.rows] : [A.rows, A.cols];
  const [inner, n] = operands.transposeB ? [B.cols, B.rows] : [B.rows, B.cols];
  if (inner !== k) {
    const expected = operands.transposeB ? [B.rows, k] : [k, B.cols];
    throw new ShapeError("matmul", "B", [B.rows, B.cols], expected, `A is [${A.rows} × ${A.cols}]`);
  }
  requireShape("matmul", "into", C, m, n);
  requireDistinct(
    "matmul",
    ["into", C],
    [
      ["A", A],
      ["B", B],
    ],
  );
  return { A, B, C };
}
