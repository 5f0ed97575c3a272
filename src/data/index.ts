/** Data files, batches and checkpoints. Nothing here needs a file system; what does is in node/. */
export { BatchStream, batchOf, batchSupplier } from "./batches.js";
export {
  type Checkpoint,
  decodeCheckpoint,
  encodeCheckpoint,
  type JsonObject,
  type JsonValue,
  type Tensor,
} from "./checkpoint.js";
export { batches, type Dataset, gather, imageDataset } from "./dataset.js";
export { type IdxArray, type IdxData, parseIdx } from "./idx.js";
export { type LabelledData, type LabelledImages, labelledData, readIdx } from "./labelled.js";
export { microBatches } from "./micro-batches.js";
export type { DatasetSource } from "./resident.js";
export { restoreRun, saveRun } from "./run.js";
export { type SavedNetwork, type SavedOptimizer, type Snapshot, snapshot } from "./snapshot.js";
