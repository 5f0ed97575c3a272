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

/** One part of a network, as its constructor takes it: a description, holding no memory. */
export type Module = DenseModule | ActivationModule;

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
