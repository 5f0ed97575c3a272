/** Data files and batches: no GPU, no network, no file system. */
export * from "./dataset.js";
export * from "./idx.js";
