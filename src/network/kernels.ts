import { blendKernel } from "../linalg/blend.js";
import { copyKernel, gramKernel, matmulKernel, reduceKernels } from "../linalg/index.js";
import { tileShape } from "../linalg/tiles.js";
import { type Kernel, type PipelineManager, withConstants } from "../pipeline/index.js";
import { activationBackwardKernel, activationKernel } from "./activation.js";
import { fisherKernel } from "./fisher.js";
import type { Layer } from "./layer.js";
import { lossKernel } from "./loss.js";

/** What passes and evaluations of a network dispatch, and the statistics of its convolutions. */
export function networkKernels(manager: PipelineManager, layers: readonly Layer[]): Kernel[] {
  const { constants } = tileShape(manager.handle.capabilities);
  const convolutions = layers.some(({ kind }) => kind === "conv2d")
    ? [blendKernel, withConstants(gramKernel, constants)]
    : [];
  return [
    withConstants(matmulKernel, constants),
    copyKernel,
    ...reduceKernels,
    activationKernel,
    activationBackwardKernel,
    lossKernel,
    fisherKernel,
    ...new Set([...layers.flatMap(({ kernels = [] }) => kernels), ...convolutions]),
  ];
}
