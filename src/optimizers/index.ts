export type { OptimizerState } from "./checkpoint.js";
export type { ControlReport } from "./control/state.js";
export {
  type Direction,
  type DirectionContext,
  type DirectionKind,
  type DirectionReport,
  defineDirection,
  type Readiness,
  type Step,
  type StepPlan,
  type Update,
  type WithStepOptions,
} from "./direction.js";
export { Adam, type AdamOptions, AdamW, type AdamWOptions } from "./directions/adam.js";
export { Kfac, type KfacOptions } from "./directions/kfac.js";
export {
  type LayerSolve,
  Newton,
  type NewtonOptions,
  type NewtonRecord,
} from "./directions/newton.js";
export { Sgd, type SgdOptions } from "./directions/sgd.js";
export type { OptimizerMemory } from "./memory.js";
export type { StepBatch } from "./micro-batches.js";
export { Optimizer, type OptimizerOptions, type RecordOf, type SchemaOf } from "./optimizer.js";
export {
  ADAM_OPTIONS,
  ADAMW_OPTIONS,
  type FisherChoice,
  KFAC_OPTIONS,
  NEWTON_OPTIONS,
  option,
  SGD_OPTIONS,
  STEP_OPTIONS,
} from "./options.js";
export type { BufferRange, StateTensor } from "./ranges.js";
export type { StepRecord } from "./record.js";
export { constant, cosine, linear, type Schedule, warmUp } from "./schedules.js";
export type {
  ChangesOf,
  ChoiceOption,
  FunctionType,
  NumberOption,
  OptionEntry,
  OptionRange,
  OptionSchema,
  OptionsOf,
  OptionValue,
  ResolvedOptions,
  SettingsOf,
} from "./schema.js";
export type { Seam, SeamTensors } from "./seam.js";
export type { Settings } from "./settings.js";
