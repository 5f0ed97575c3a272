export { Adam, type AdamOptions } from "./adam.js";
export { Kfac, type KfacOptions } from "./kfac.js";
export { type LayerSolve, Newton, type NewtonOptions, type NewtonRecord } from "./newton.js";
export type { Optimizer, OptimizerState, StepRecord } from "./optimizer.js";
export { Sgd, type SgdOptions } from "./sgd.js";
