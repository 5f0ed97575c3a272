export { type InitialWeightsOptions, initialWeights } from "./initial-weights.js";
export { PERMUTATION_ROUNDS, Permutation } from "./permutation.js";
export { shuffle } from "./shuffle.js";
export { RandomStream, STREAM_DOMAINS } from "./stream.js";
export { normalPair, threefry2x32, uniform } from "./threefry.js";
