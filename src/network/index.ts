export { activationBackwardKernel, activationKernel } from "../layers/activation.js";
export type { TrainableLayer } from "../layers/layer.js";
export {
  type ActivationModule,
  averagePool2d,
  type Conv2dModule,
  type Conv2dOptions,
  conv2d,
  type DenseModule,
  dense,
  flatten,
  globalAveragePool,
  leakyRelu,
  logistic,
  type Module,
  maxPool2d,
  type Pair,
  type PoolModule,
  type ReshapeModule,
  relu,
  tanh,
} from "../layers/modules.js";
export type { InputShape } from "./build.js";
export type { BatchSupplier } from "./chunks.js";
export { fisherKernel } from "./fisher.js";
export { lossKernel } from "./loss.js";
export { halfSquaredError, type Loss, sigmoidCrossEntropy, softmaxCrossEntropy } from "./losses.js";
export {
  type Evaluation,
  type LayerDescription,
  Network,
  type NetworkOptions,
} from "./network.js";
