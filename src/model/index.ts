export type {
  AnyBatch,
  Batch,
  BatchInputs,
  BatchSupplier,
  DatasetBatch,
  InputArray,
  ModelBatch,
} from "./batch.js";
export type {
  CurvatureRows,
  CurvatureStatistics,
  Curved,
  FactorGram,
  FactorRows,
  FactorStatistics,
} from "./curved.js";
export type { FisherKind, FisherOptions } from "./fisher.js";
export type { Model, NumberPlace, Pass } from "./model.js";
export type { LayerSize, Trainable } from "./trainable.js";
export { type Turns, turnsOf } from "./turns.js";
