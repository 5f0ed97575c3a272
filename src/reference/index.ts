/**
 * The f64 reference: every operation of the package on plain `Float64Array` matrices, under the GPU operations' names.
 * It imports nothing of the GPU side and runs anywhere JavaScript does.
 */

export {
  normalPair,
  RandomStream,
  STREAM_DOMAINS,
  shuffle,
  threefry2x32,
  uniform,
} from "../random/index.js";
export * from "./activation.js";
export * from "./approximations.js";
export * from "./cg.js";
export * from "./chain.js";
export * from "./cholesky.js";
export * from "./conv.js";
export * from "./conv-network.js";
export * from "./damping.js";
export * from "./eigh.js";
export * from "./factors.js";
export * from "./finite-difference.js";
export * from "./fisher.js";
export * from "./gram.js";
export * from "./graph.js";
export * from "./graph-difference.js";
export * from "./invert.js";
export * from "./kfac.js";
export * from "./loss.js";
export * from "./matmul.js";
export * from "./matrix.js";
export * from "./mean-fluctuation.js";
export * from "./measures.js";
export * from "./network.js";
export * from "./newton.js";
export * from "./newton-exact.js";
export * from "./operator.js";
export * from "./ops.js";
export * from "./pooling.js";
export * from "./rank.js";
export * from "./reduce.js";
export * from "./sandwich.js";
export * from "./solve.js";
export * from "./tensor.js";
export * from "./tiling.js";
