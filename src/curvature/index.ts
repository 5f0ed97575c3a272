export type {
  Batch,
  CurvatureRows,
  CurvatureStatistics,
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
export { Approximation, type ExampleSource } from "./approximations/approximation.js";
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
export {
  APPROXIMATIONS,
  type ApproximationKind,
  type ApproximationOptions,
  createApproximation,
} from "./approximations/kinds.js";
export { APPROXIMATION_STATUS } from "./approximations/layer-fit.js";
export type {
  Block,
  BlockBatch,
  BlockDescription,
  BlockFactory,
  BlockItem,
  BlockProduct,
  BlockSite,
  BlockTrials,
  BlockUpdate,
  CurvatureLayer,
  MicroBatches,
} from "./blocks/block.js";
export { type BlockChoice, type BlockOptions, FALLBACKS, type Fallback } from "./blocks/choice.js";
export {
  type BlockPlace,
  Curvature,
  type CurvatureLine,
  type CurvatureOptions,
} from "./blocks/curvature.js";
export { DiagonalBlock } from "./blocks/diagonal.js";
export { EigenBlock } from "./blocks/eigen.js";
export { EkfacBlock } from "./blocks/ekfac.js";
export { FullBlock } from "./blocks/full.js";
export { GradientBlock } from "./blocks/gradient.js";
export { BLOCK_KINDS, type BlockKind, type MovingKind } from "./blocks/kinds.js";
export { KroneckerBlock } from "./blocks/kronecker.js";
export { LayerState, LayerStates } from "./blocks/layer-states.js";
export { LAYER_STATE_BYTES, type LayerStatus, statusText } from "./blocks/status.js";
export type { StoredNumber } from "./blocks/stored.js";
export { CurvatureTrials } from "./blocks/trials.js";
export { type BlockSource, GgnBlock } from "./exact/ggn.js";
export { type KroneckerSumExamples, kroneckerSum } from "./exact/kronecker-sum.js";
export { type CurvatureOperator, denseHessian } from "./exact/operator.js";
export {
  type LayerStatistics,
  type PreconditionedLayer,
  Preconditioner,
  type PreconditionerOptions,
  type PreconditionOperands,
} from "./preconditioner.js";
export { CurvatureSums, withoutMicroBatches } from "./sums.js";
