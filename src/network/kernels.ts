import { activationBackwardKernel, activationKernel } from "../layers/activation.js";
import type { Layer } from "../layers/layer.js";
import { blendKernel } from "../linalg/blend.js";
import { copyKernel, gramKernels, matmulKernels, reduceKernels } from "../linalg/index.js";
import type { Kernel, PipelineManager } from "../pipeline/index.js";
import { fisherKernel } from "./fisher.js";
import { lossKernel } from "./loss.js";

/** What passes and evaluations of a network dispatch, and the statistics of its convolutions. */
export function networkKernels(manager: PipelineManager, layers: readonly Layer[]): Kernel[] {
  const { capabilities } = manager.handle;
  const convolutions = layers.some(({ kind }) => kind === "conv2d")
    ? [blendKernel, ...gramKernels(capabilities)]
    : [];
  return [
    ...matmulKernels(capabilities),
    copyKernel,
    ...reduceKernels,
    activationKernel,
    activationBackwardKernel,
    lossKernel,
    fisherKernel,
    ...new Set([...layers.flatMap(({ kernels = [] }) => kernels), ...convolutions]),
  ];
}
