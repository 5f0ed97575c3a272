export { Adam, type AdamOptions } from "./directions/adam.js";
export { Kfac, type KfacOptions } from "./directions/kfac.js";
export { type LayerSolve, Newton, type NewtonOptions, type NewtonRecord } from "./directions/newton.js";
export { Sgd, type SgdOptions } from "./directions/sgd.js";
export type { Optimizer, OptimizerState, StepRecord } from "./optimizer.js";
