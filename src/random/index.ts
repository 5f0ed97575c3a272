export { type InitialWeightsOptions, initialWeights } from "./initial-weights.js";
export { shuffle } from "./shuffle.js";
export { RandomStream, STREAM_DOMAINS } from "./stream.js";
export { normalPair, threefry2x32, uniform } from "./threefry.js";
