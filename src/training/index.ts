/** Training over epochs. */
export type { FitExamples, IndexedExamples } from "./examples.js";
export { fit } from "./fit.js";
export {
  type EpochSummary,
  FitAbortedError,
  type FitEnd,
  type FitHistory,
  type FitPosition,
} from "./history.js";
export type { FitNetwork, FitOptimizer } from "./network.js";
export type { EarlyStopping, FitMetric, FitOptions, FitProgress } from "./options.js";
export type { FitData } from "./plan.js";
export type { BatchSequence } from "./source.js";
