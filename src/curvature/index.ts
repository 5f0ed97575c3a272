export {
  type FactorOptions,
  type FactorSize,
  Factors,
  type FactorUpdate,
  factorKernels,
  LayerState,
} from "./factors.js";
export {
  type LayerStatistics,
  type PreconditionedLayer,
  Preconditioner,
  type PreconditionerOptions,
} from "./preconditioner.js";
export type { Batch, CurvatureSource, FactorRows, FisherKind, FisherOptions, LayerSource } from "./source.js";
export { LAYER_STATE_BYTES, type LayerStatus, statusText } from "./status.js";
