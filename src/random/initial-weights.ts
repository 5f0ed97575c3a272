import { RandomStream, STREAM_DOMAINS } from "./stream.js";

/** Options of `initialWeights`. */
export interface InitialWeightsOptions {
  /** u32; with `layerIndex` the key of the draws. */
  seed: number;
  /** u32; defaults to 0. */
  layerIndex?: number;
  /** Whether there is a last column of zeros; defaults to true. */
  bias?: boolean;
  /** Factor on the deviation 1/√in; defaults to √2. */
  gain?: number;
}

/**
 * Initial weights, out × (in + bias), row-major: normal numbers of variance gain²/in (He et al. 2015 with the default gain
 * √2), bias zero. A function of the sizes, `seed` and `layerIndex` alone.
 *
 * @throws ArgumentError for a seed or layer index that is not a u32.
 */
export function initialWeights(out: number, inputs: number, options: InitialWeightsOptions): Float64Array {
  const { seed, layerIndex = 0, bias = true, gain = Math.SQRT2 } = options;
  const stream = new RandomStream(seed, layerIndex, STREAM_DOMAINS.weights);
  const cols = inputs + (bias ? 1 : 0);
  const weights = new Float64Array(out * cols);
  const deviation = gain / Math.sqrt(inputs);
  for (let i = 0; i < out; i++) {
    for (let j = 0; j < inputs; j++) weights[i * cols + j] = deviation * stream.normal();
  }
  return weights;
}
