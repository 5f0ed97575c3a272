export type { ParameterPlace } from "../memory/parameters.js";
export type { RecordedPass } from "../memory/recorded-pass.js";
export type { Workspace } from "../memory/workspace.js";
export { type ActivationModule, leakyRelu, logistic, relu, tanh } from "./activation.js";
export { type AddModule, add } from "./add.js";
export { averagePool2d, type GlobalPoolModule, globalAveragePool } from "./average-pool.js";
export { type ConcatModule, concat } from "./concat.js";
export { type Conv2dModule, type Conv2dOptions, conv2d } from "./conv2d.js";
export { type DenseModule, type DenseOptions, dense } from "./dense.js";
export { type FlattenModule, flatten } from "./flatten.js";
export type {
  Form,
  ImageForm,
  IndicesForm,
  InputForm,
  InputShape,
  SequenceForm,
  VectorForm,
} from "./form.js";
export type { LayerKind, LayerModule, Neighbours, OutputPlaces, Site, Traits } from "./kind.js";
export type { Layer, TrainableLayer } from "./layer.js";
export type { Activation, LayerProduct } from "./layer-product.js";
export { maxPool2d } from "./max-pool.js";
export { type OneHotModule, oneHot } from "./one-hot.js";
export type { PoolModule, PoolOptions } from "./pool-windows.js";
export { layerKinds, registerLayer } from "./registry.js";
export type { Pair } from "./sizes.js";
export { type TiedModule, tied } from "./tied.js";
export { exampleRows, Values } from "./values.js";
