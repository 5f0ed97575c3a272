/**
 * The f64 reference: every operation of the package on plain `Float64Array` matrices, under the GPU operations' names.
 * It imports nothing of the GPU side and runs anywhere JavaScript does.
 */

export {
  normalPair,
  RandomStream,
  STREAM_DOMAINS,
  shuffle,
  threefry2x32,
  uniform,
} from "../random/index.js";
export { type ActivationLayer, activate, activation, activationSlope } from "./activation.js";
export { type AdamOptions, type AdamState, type AdamStepResult, adamStep, initialAdamState } from "./adam.js";
export {
  type Approximation,
  centred,
  eigenbasisApproximation,
  ekfac,
  expandFactors,
  type KfocOptions,
  kfocFactors,
  kroneckerApproximation,
  reduceFactors,
  rowMeans,
} from "./approximations.js";
export { averageWeights } from "./average.js";
export { type CgOptions, type CgResult, conjugateGradients } from "./cg.js";
export { CHAIN_INPUT, type ChainGraph, type ChainLayer, chainGraph } from "./chain.js";
export {
  type CholeskyOptions,
  type CholeskyResult,
  cholesky,
  STATUS_DAMPING_BELOW_FLOOR,
  STATUS_NON_FINITE,
  STATUS_NOT_POSITIVE_DEFINITE,
  STATUS_OK,
  solveLower,
  solveLowerTransposed,
} from "./cholesky.js";
export {
  type ControlLayer,
  type ControlState,
  type ControlStepSettings,
  initialControlState,
  judgeBatch,
  lookAtRatio,
  type PlannedStep,
  planStep,
} from "./control.js";
export {
  type ConvGeometry,
  type ConvOptions,
  conv2d,
  conv2dInputGradient,
  conv2dWeightGradient,
  convGeometry,
  foldPatches,
  groupRows,
  patches,
  visitPatches,
} from "./conv.js";
export {
  type ConvForwardPass,
  type ConvLayer,
  type ConvNetwork,
  type ConvNetworkLayer,
  conv,
  convBackward,
  convCurvature,
  convForward,
  convLossAndGradients,
  convNetworkGraph,
  convWeightsOf,
  type PoolLayer,
  pool,
  trainableSteps,
  withConvWeights,
} from "./conv-network.js";
export { exactTikhonov, type PiDamping, piDamping, requireDamping } from "./damping.js";
export { type Eigh, eigh } from "./eigh.js";
export type { Factors } from "./factors.js";
export {
  finiteDifferenceGgn,
  finiteDifferenceGradient,
  finiteDifferenceHessian,
  finiteDifferenceHessianOfGradient,
  finiteDifferenceJacobians,
} from "./finite-difference.js";
export { curvatureStarts, type Fisher } from "./fisher.js";
export { type GramOptions, gram } from "./gram.js";
export {
  type ForwardStep,
  type GraphInputs,
  type GraphLossAndGradients,
  type GraphPass,
  graphBackward,
  graphCurvature,
  graphForward,
  graphLossAndGradients,
  passCurvature,
  passLossAndGradients,
  type ReferenceGraph,
  type ReferenceNode,
  type ReferenceOp,
  type TrainableStep,
  weightKeys,
} from "./graph.js";
export {
  graphGgnByDifferences,
  graphGradientByDifferences,
  graphTangentByDifferences,
  type OpCheckOptions,
  type OpErrors,
  opErrors,
} from "./graph-difference.js";
export { graphTangent, passCurvatureAlong } from "./graph-tangent.js";
export {
  dampingFloor,
  F32_DAMPING_FLOOR,
  type InvertOptions,
  type InvertResult,
  invert,
  largestEigenvalue,
} from "./invert.js";
export {
  type DampingMethod,
  dampedInverses,
  emaWeight,
  initialKfacState,
  type KfacOptions,
  type KfacState,
  type KfacStepResult,
  kfacStep,
  klClipFactor,
  type Preconditioned,
  precondition,
  STATUS_FATAL,
  updateFactors,
} from "./kfac.js";
export {
  initialKfacTrainingState,
  inverts,
  type KfacGraphOptions,
  type KfacLayerState,
  type KfacTrainingOptions,
  type KfacTrainingResult,
  type KfacTrainingState,
  kfacGraphStep,
  kfacTrainingStep,
  takesFactors,
} from "./kfac-training.js";
export {
  type LossKind,
  lossGradient,
  lossHessian,
  lossSquareRootColumn,
  lossValues,
  type Reduction,
  type SampleKey,
  sampledGradient,
  sigmoid,
  softmax,
  type Targets,
} from "./loss.js";
export { type MatmulOptions, matmul } from "./matmul.js";
export {
  add,
  addDiagonal,
  appendOnesColumn,
  at,
  copy,
  diagonal,
  dropLastColumn,
  fromRows,
  hadamard,
  identity,
  kronecker,
  type Matrix,
  matrix,
  requireShape,
  requireSquare,
  rowOf,
  scale,
  shapeOf,
  stackColumns,
  stackRows,
  subtract,
  symmetrize,
  toRows,
  transpose,
  unvec,
  vec,
} from "./matrix.js";
export {
  type FluctuationScale,
  fluctuationFactors,
  type JointDiagonal,
  jointDiagonal,
  kroneckerPair,
  meanFluctuation,
} from "./mean-fluctuation.js";
export { exactStep, measure, type Quality } from "./measures.js";
export {
  applyGgnBlock,
  backward,
  batchFactors,
  curvatureRows,
  type ForwardPass,
  forward,
  initialWeights,
  type Layer,
  type LinearLayer,
  type LossAndGradients,
  linear,
  lossAndGradients,
  type Network,
  networkGraph,
  weightsOf,
  withWeights,
} from "./network.js";
export {
  type NewtonExample,
  type NewtonOptions,
  type NewtonResult,
  newtonError,
  newtonHessian,
  newtonStep,
} from "./newton.js";
export {
  APPROXIMATIONS,
  type ApproximationName,
  type ConvNewtonOptions,
  type ConvNewtonResult,
  convNewtonStep,
  type ExactNewtonResult,
  exactNewtonStep,
  leftTilingStep,
  type SolverOptions,
} from "./newton-exact.js";
export {
  blockJacobians,
  blockShape,
  type CurvatureOperator,
  type CurvatureRows,
  dampedOperator,
  denseBlock,
  denseHessian,
  jacobianOperator,
  kroneckerOperator,
  kroneckerSumOperator,
  type MatrixExample,
  type PositionBlock,
  perPositionBlock,
  positionOperator,
} from "./operator.js";
export {
  activationOp,
  addOp,
  averagePoolOp,
  concatOp,
  conv2dOp,
  type DenseOpOptions,
  denseOp,
  flattenOp,
  globalAveragePoolOp,
  maxPoolOp,
  oneHotOp,
  onlyInput,
  tensorInput,
  weightsOfNode,
} from "./ops.js";
export {
  averagePool,
  averagePoolBackward,
  globalAveragePool,
  globalAveragePoolBackward,
  type MaxPoolResult,
  maxPool,
  maxPoolBackward,
  type PoolOptions,
} from "./pooling.js";
export { type PinvResult, pinv, rank, rankTolerance } from "./rank.js";
export { countNonFinite, dot, isFiniteMatrix, maxAbs, norm, relativeError, sum, trace } from "./reduce.js";
export { sandwich } from "./sandwich.js";
export { initialSgdState, type SgdOptions, type SgdState, type SgdStepResult, sgdStep } from "./sgd.js";
export { solve } from "./solve.js";
export {
  channelsOf,
  flatten,
  isTensor,
  type Pair,
  requireTensor,
  type Tensor,
  tensor,
  toPair,
  unflatten,
  type Value,
} from "./tensor.js";
export {
  foldWeights,
  leftTilingFactors,
  outputSelectors,
  patchSelectors,
  tiledHessian,
  tiledHessianByTerms,
  tileWeights,
  tilingMatrix,
  tilingTerms,
} from "./tiling.js";
export { clipGradients, type Decay, mapWeights, type Weights, zerosLike } from "./weights.js";
