export { APPROXIMATION_STATUS, Approximation } from "./approximation.js";
export { APPROXIMATIONS, type ApproximationKind, createApproximation } from "./approximations.js";
export {
  type ApproximationMeasures,
  type CompareOptions,
  type CurvatureComparison,
  compareCurvature,
} from "./compare.js";
export { DiagonalApproximation } from "./diagonal.js";
export { EkfacApproximation } from "./ekfac.js";
export {
  type FactorOptions,
  type FactorSize,
  Factors,
  type FactorUpdate,
  factorKernels,
  LayerState,
} from "./factors.js";
export { type BlockSource, GgnBlock } from "./ggn.js";
export {
  KroneckerApproximation,
  type KroneckerKind,
  type KroneckerOptions,
} from "./kroneckerApproximation.js";
export { type KroneckerSumExamples, kroneckerSum } from "./kroneckerSum.js";
export { MeanFluctuationApproximation } from "./meanFluctuation.js";
export { type CurvatureOperator, denseHessian } from "./operator.js";
export {
  type LayerStatistics,
  type PreconditionedLayer,
  Preconditioner,
  type PreconditionerOptions,
} from "./preconditioner.js";
export type {
  Batch,
  CurvatureRows,
  CurvatureSource,
  FactorGram,
  FactorRows,
  FactorStatistics,
  FisherKind,
  FisherOptions,
  LayerSource,
} from "./source.js";
export { LAYER_STATE_BYTES, type LayerStatus, statusText } from "./status.js";
