export type {
  Batch,
  CurvatureRows,
  Curved,
  FactorGram,
  FactorRows,
  FactorStatistics,
  FisherKind,
  FisherOptions,
  LayerSize,
  Model,
  Pass,
  Trainable,
} from "../model/index.js";
export { APPROXIMATION_STATUS, Approximation } from "./approximations/approximation.js";
export {
  type ApproximationMeasures,
  type CompareOptions,
  type CurvatureComparison,
  compareCurvature,
} from "./approximations/compare.js";
export {
  type CompareLayersOptions,
  compareLayers,
  type LayerComparison,
} from "./approximations/compare-layers.js";
export { DiagonalApproximation } from "./approximations/diagonal.js";
export { EkfacApproximation } from "./approximations/ekfac.js";
export { APPROXIMATIONS, type ApproximationKind, createApproximation } from "./approximations/kinds.js";
export {
  KroneckerApproximation,
  type KroneckerKind,
  type KroneckerOptions,
} from "./approximations/kronecker.js";
export { MeanFluctuationApproximation } from "./approximations/mean-fluctuation.js";
export {
  type FactorOptions,
  type FactorSize,
  Factors,
  type FactorUpdate,
  factorKernels,
  LayerState,
} from "./blocks/kronecker.js";
export { LAYER_STATE_BYTES, type LayerStatus, statusText } from "./blocks/status.js";
export { type BlockSource, GgnBlock } from "./exact/ggn.js";
export { type KroneckerSumExamples, kroneckerSum } from "./exact/kronecker-sum.js";
export { type CurvatureOperator, denseHessian } from "./exact/operator.js";
export {
  type LayerStatistics,
  type PreconditionedLayer,
  Preconditioner,
  type PreconditionerOptions,
} from "./preconditioner.js";
