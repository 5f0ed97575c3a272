import { ArgumentError } from "../errors.js";

/** z = W a, with W out × in, or out × (in + 1) where a bias is appended as the last column. */
export interface DenseModule {
  readonly kind: "dense";
  readonly in: number;
  readonly out: number;
  readonly bias: boolean;
  readonly name?: string;
}

/** An element-wise function. */
export interface ActivationModule {
  readonly kind: "relu" | "leakyRelu" | "tanh" | "logistic";
  /** Slope of leakyRelu below zero. */
  readonly slope?: number;
}

/** Sizes along [y, x]. */
export type Pair = readonly [number, number];

/** The same W at every position of an image: z_t = W a_t with a_t the patch under the kernel there. */
export interface Conv2dModule {
  readonly kind: "conv2d";
  /** Channels. */
  readonly in: number;
  readonly out: number;
  readonly kernel: Pair;
  readonly stride: Pair;
  readonly padding: Pair;
  readonly dilation: Pair;
  readonly groups: number;
  readonly bias: boolean;
  readonly positions: "expand" | "reduce";
  readonly name?: string;
}

export interface PoolModule {
  readonly kind: "maxPool2d" | "averagePool2d";
  readonly kernel: Pair;
  readonly stride: Pair;
}

/** What changes the form of the values and nothing else. */
export interface ReshapeModule {
  readonly kind: "globalAveragePool" | "flatten";
}

/** One part of a network, as its constructor takes it: a description, holding no memory. */
export type Module = DenseModule | ActivationModule | Conv2dModule | PoolModule | ReshapeModule;

/**
 * A fully connected layer from `inputs` to `outputs` numbers.
 *
 * @throws ArgumentError when a size is not a positive integer.
 */
export function dense(
  inputs: number,
  outputs: number,
  options: { bias?: boolean; name?: string } = {},
): DenseModule {
  requireSize("dense", "in", inputs);
  requireSize("dense", "out", outputs);
  const { bias = true, name } = options;
  return { kind: "dense", in: inputs, out: outputs, bias, name };
}

export interface Conv2dOptions {
  /** 1 unless given. */
  stride?: number | Pair;
  /** Zeros on each side of the image; 0 unless given. */
  padding?: number | Pair;
  /** Distance between the kernel's taps; 1 unless given. */
  dilation?: number | Pair;
  /**
   * Splits channels into so many convolutions side by side; 1 unless given. With more, the products are those of the whole
   * kernel with zeros in it (a grouped convolution saves parameters, not time), and K-FAC refuses the layer: its block of
   * the Hessian is not one Kronecker product.
   */
  groups?: number;
  /** True unless given. */
  bias?: boolean;
  name?: string;
  /**
   * How K-FAC treats the positions t of an example. `"expand"`: Ā is the mean of a_t a_t' over examples and positions and B̄
   * the mean over examples of Σ_t b_t b_t' (positions as further examples; KFC, Grosse & Martens 2016). `"reduce"`: the
   * mean of a_t and the sum of b_t stand for the example (Eschenhagen et al. 2023). `"expand"` unless given: it sees how
   * patches differ within an image, so Ā has full rank after few batches, and it makes no assumption that derivatives agree
   * over positions. In front of a global average pool they do agree; there `"reduce"` is the better scaled choice.
   */
  positions?: "expand" | "reduce";
}

/**
 * A convolution (a cross-correlation, as everywhere) from `inChannels` to `outChannels`. W is outChannels ×
 * (inChannels/groups · kh · kw [+ 1]) with columns in the order (channel, ky, kx) and the bias last.
 *
 * @param kernel its size, one number or [y, x]
 * @throws ArgumentError when a size is not a positive integer or `groups` does not divide the channels.
 */
export function conv2d(
  inChannels: number,
  outChannels: number,
  kernel: number | Pair,
  options: Conv2dOptions = {},
): Conv2dModule {
  requireSize("conv2d", "inChannels", inChannels);
  requireSize("conv2d", "outChannels", outChannels);
  const {
    stride = 1,
    padding = 0,
    dilation = 1,
    groups = 1,
    bias = true,
    name,
    positions = "expand",
  } = options;
  requireSize("conv2d", "groups", groups);
  if (inChannels % groups !== 0 || outChannels % groups !== 0) {
    throw new ArgumentError(
      "conv2d",
      "groups",
      `must divide the ${inChannels} and ${outChannels} channels, got ${groups}`,
    );
  }
  if (positions !== "expand" && positions !== "reduce") {
    throw new ArgumentError("conv2d", "positions", `must be "expand" or "reduce", got ${positions}`);
  }
  return {
    kind: "conv2d",
    in: inChannels,
    out: outChannels,
    kernel: pairOf("conv2d", "kernel", kernel, 1),
    stride: pairOf("conv2d", "stride", stride, 1),
    padding: pairOf("conv2d", "padding", padding, 0),
    dilation: pairOf("conv2d", "dilation", dilation, 1),
    groups,
    bias,
    positions,
    name,
  };
}

/**
 * The largest number of each window; of equals, the first counts. Windows that do not fit are left out.
 *
 * @throws ArgumentError when a size is not a positive integer.
 */
export function maxPool2d(kernel: number | Pair, options: { stride?: number | Pair } = {}): PoolModule {
  return poolOf("maxPool2d", kernel, options.stride ?? kernel);
}

/**
 * The mean of each window. Windows that do not fit are left out.
 *
 * @throws ArgumentError when a size is not a positive integer.
 */
export function averagePool2d(kernel: number | Pair, options: { stride?: number | Pair } = {}): PoolModule {
  return poolOf("averagePool2d", kernel, options.stride ?? kernel);
}

/** The mean of each channel over all positions: one number a channel, ready for a dense layer. */
export function globalAveragePool(): ReshapeModule {
  return { kind: "globalAveragePool" };
}

/** An image's numbers in the order (channel, y, x), ready for a dense layer. */
export function flatten(): ReshapeModule {
  return { kind: "flatten" };
}

/** max(z, 0). */
export function relu(): ActivationModule {
  return { kind: "relu" };
}

/**
 * z above zero, slope · z below.
 *
 * @throws ArgumentError when the slope is negative or not finite: the backward pass reads z's sign off the output.
 */
export function leakyRelu(slope = 0.01): ActivationModule {
  if (!(slope >= 0 && Number.isFinite(slope))) {
    throw new ArgumentError(
      "leakyRelu",
      "slope",
      `must be a finite number that is not negative, got ${slope}`,
    );
  }
  return { kind: "leakyRelu", slope };
}

/** The hyperbolic tangent. */
export function tanh(): ActivationModule {
  return { kind: "tanh" };
}

/** 1/(1 + e^−z). */
export function logistic(): ActivationModule {
  return { kind: "logistic" };
}

/** @throws ArgumentError unless `value` is a positive integer. */
export function requireSize(operation: string, argument: string, value: number): void {
  if (!(Number.isInteger(value) && value >= 1)) {
    throw new ArgumentError(operation, argument, `must be a positive integer, got ${value}`);
  }
}

function poolOf(kind: PoolModule["kind"], kernel: number | Pair, stride: number | Pair): PoolModule {
  return { kind, kernel: pairOf(kind, "kernel", kernel, 1), stride: pairOf(kind, "stride", stride, 1) };
}

/** @throws ArgumentError unless both are integers of at least `least`. */
function pairOf(operation: string, argument: string, value: number | Pair, least: number): Pair {
  const pair = typeof value === "number" ? [value, value] : value;
  if (!(Array.isArray(pair) && pair.length === 2 && pair.every((v) => Number.isInteger(v) && v >= least))) {
    throw new ArgumentError(
      operation,
      argument,
      `must be an integer of at least ${least}, or two [y, x], got ${JSON.stringify(value)}`,
    );
  }
  return [pair[0]!, pair[1]!];
}
