export { activationBackwardKernel, activationKernel } from "./activation.js";
export type { BatchSupplier } from "./chunks.js";
export { fisherKernel } from "./fisher.js";
export type { TrainableLayer } from "./layer.js";
export { lossKernel } from "./loss.js";
export { halfSquaredError, type Loss, sigmoidCrossEntropy, softmaxCrossEntropy } from "./losses.js";
export {
  type ActivationModule,
  type DenseModule,
  dense,
  leakyRelu,
  logistic,
  type Module,
  relu,
  tanh,
} from "./modules.js";
export {
  type Evaluation,
  type LayerDescription,
  Network,
  type NetworkOptions,
} from "./network.js";
