export { type AxpyOperands, axpy, axpyKernel } from "./axpy.js";
export {
  type CgOptions,
  type CgProblemOptions,
  type CgResult,
  ConjugateGradients,
  cgKernels,
  conjugateGradients,
  type LinearOperator,
} from "./cg.js";
export { copy, copyKernel, copyStrided, type StridedCopy } from "./copy.js";
export { type EigenProblem, type EighOptions, EighStatus, eigh, eighKernels } from "./eigh.js";
export { checkFinite, type FiniteCheck, finiteKernel } from "./finite.js";
export { type GramOperands, gram, gramKernels, gramPacked, type PackedGram, packExamples } from "./gram.js";
export { group, partition } from "./group.js";
export { type GuardedCopy, guard, guardKernel } from "./guard.js";
export { type HostEigh, type HostInverse, type HostMatrix, HostOperations } from "./host.js";
export { type Inversion, type InvertBuffers, InvertStatus, invert } from "./invert.js";
export { invertKernels } from "./invert-kernels.js";
export { type MatmulOperands, matmul, matmulKernels, multiplyPacked, type PackedProduct } from "./matmul.js";
export { packed, packedTarget } from "./pack.js";
export { diagonalOf, type Reduction, reduce, reduceKernels } from "./reduce.js";
export { type SandwichOperands, sandwich } from "./sandwich.js";
export {
  checkView,
  isAligned,
  type Matrix,
  type MatrixView,
  padded,
  paddedLength,
  paddedView,
  requireShape,
} from "./view.js";
