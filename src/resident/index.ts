/** Data sets that stay on the GPU or are streamed there, and batches of them that are made there. */
export type { DatasetArray, StorageOptions, StoredArray } from "./array.js";
export { GpuBatch } from "./batch.js";
export { GpuDataset, type ShuffledOrder } from "./dataset.js";
export { type Destination, GatherOrder, gather, gatherKernel, type Order } from "./gather.js";
export type { GpuDatasetOptions, StoredDataset, TargetFacts } from "./stored.js";
