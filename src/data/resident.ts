import { must, OBJECT, objectLike } from "../arguments.js";
import type { PipelineManager } from "../pipeline/index.js";
import { GpuDataset, type GpuDatasetOptions, type StorageOptions } from "../resident/index.js";
import { type Dataset, requireDataset } from "./dataset.js";

/** What can be put on the GPU: arrays, or labelled images, whose bytes b stand for b/255 as everywhere. */
export type DatasetSource = GpuDatasetOptions | Dataset;

const SOURCE = objectLike("{ inputs, targets, count } or labelled images");

/** @throws as the constructor of `GpuDataset` */
export function gpuDataset(
  manager: PipelineManager,
  source: DatasetSource,
  options: StorageOptions = {},
): GpuDataset {
  must("dataset", "source", source, SOURCE);
  if (options !== undefined) must("dataset", "options", options, OBJECT);
  if (!("images" in source)) return new GpuDataset(manager, { ...source, ...options });
  const { images, labels, count, classes } = requireDataset("dataset", source);
  return new GpuDataset(manager, { inputs: images, targets: labels, count, classes, ...options });
}
