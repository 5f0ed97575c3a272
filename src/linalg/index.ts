export { type AxpyOperands, axpy, axpyKernel } from "./axpy.js";
export {
  type CgOptions,
  type CgProblemOptions,
  type CgResult,
  ConjugateGradients,
  conjugateGradients,
  type LinearOperator,
} from "./cg.js";
export { type EigenProblem, type EighOptions, EighStatus, eigh } from "./eigh.js";
export { checkFinite, type FiniteCheck, finiteKernel } from "./finite.js";
export { type GuardedCopy, guard, guardKernel } from "./guard.js";
export { type Inversion, type InvertBuffers, InvertStatus, invert } from "./invert.js";
export { copy, copyKernel, copyStrided, type StridedCopy, type Strides } from "./layout/copy.js";
export { type Grouped, group, partition } from "./layout/group.js";
export { packed, packedTarget } from "./layout/pack.js";
export {
  checkView,
  isAligned,
  type Matrix,
  type MatrixView,
  padded,
  paddedLength,
  paddedView,
  requireShape,
} from "./layout/view.js";
export { asked, inLockstep, type Room, type Steps } from "./lockstep.js";
export {
  type AutotuneOptions,
  autotune,
  type TunedProducts,
  type TuningStorage,
} from "./products/autotune.js";
export type { ProductSize } from "./products/cost.js";
export {
  type GramOperands,
  gram,
  gramPacked,
  type PackedGram,
  packExamples,
} from "./products/gram.js";
export {
  type MatmulOperands,
  matmul,
  multiplyPacked,
  type PackedProduct,
} from "./products/matmul.js";
export { PRECISION, type Precision, requirePrecision } from "./products/precision.js";
export { type SandwichOperands, sandwich } from "./products/sandwich.js";
export { diagonalOf, type Reduction, reduce } from "./reduce.js";
