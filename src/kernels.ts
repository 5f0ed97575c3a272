/**
 * What operations are made of, for those who write one: kernels and their compilation, recorders, padded views, packing,
 * grouped dispatches, and the parts of the library's own operations. `kfac-webgpu` has what programs otherwise name.
 *
 * @packageDocumentation
 */

// The state of layers' curvature
export { LAYER_STATE_BYTES, LayerState, statusText } from "./curvature/index.js";
export { HostOperations, packRows, type RowLayout, unpackRows } from "./host/index.js";
// Views, and the way between them and main memory
// Operations on packed operands, and the checks between a step and the weights
// Kernels
export {
  asked,
  axpyKernel,
  checkFinite,
  checkView,
  copyKernel,
  copyStrided,
  type FiniteCheck,
  finiteKernel,
  type Grouped,
  type GuardedCopy,
  gramPacked,
  group,
  guard,
  guardKernel,
  inLockstep,
  isAligned,
  multiplyPacked,
  type PackedGram,
  type PackedProduct,
  packExamples,
  packed,
  packedTarget,
  padded,
  paddedLength,
  paddedView,
  partition,
  type Room,
  requireShape,
  type Steps,
  type StridedCopy,
  type Strides,
} from "./linalg/index.js";
// Kinds of layers
export {
  type Activation,
  activationBackwardKernel,
  activationKernel,
  exampleRows,
  type Form,
  type ImageForm,
  type IndicesForm,
  type Layer,
  type LayerKind,
  type LayerModule,
  type LayerProduct,
  layerKinds,
  lossKernel,
  type Neighbours,
  type OutputPlaces,
  type ParameterPlace,
  type RecordedPass,
  registerLayer,
  type SequenceForm,
  type Site,
  type Traits,
  type Twin,
  twinOf,
  Values,
  type VectorForm,
  type Workspace,
} from "./network/index.js";
// Compiling and recording
export {
  type Binding,
  defineKernel,
  type Kernel,
  type ManagerCounts,
  PipelineManager,
  type ReadRange,
  type Recorder,
  type Resources,
  withConstants,
} from "./pipeline/index.js";
