/** Data files, checkpoints and batches: no GPU, no network, no file system. */
export * from "./checkpoint.js";
export * from "./dataset.js";
export * from "./idx.js";
