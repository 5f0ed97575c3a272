// The small convolutional network of the chapter, and its twin in f64.
import { activation, type ConvNetwork, conv, linear, type Matrix, matrix } from "kfac-webgpu/reference";

export interface Problem {
  /** Side of the measured kernel. */
  kernel: number;
  /** Channels that go into the measured layer and come out of it. */
  channels: number;
  filters: number;
  /** Side of the images. */
  side: 7 | 14;
  /** What stands between the convolutions and the classes. */
  head: "flatten" | "average";
  /** λ > 0. */
  damping: number;
  /** Steps of training before the curvature is measured. */
  steps: number;
}

export const PROBLEM: Problem = {
  kernel: 3,
  channels: 3,
  filters: 4,
  side: 7,
  head: "flatten",
  damping: 0.01,
  steps: 30,
};

/** Digits of the batch that is measured, and of a training batch. */
export const EXAMPLES = 32;
export const TRAINING_BATCH = 64;
export const SEED = 1;
export const CLASSES = 10;
/** Of the leaky ReLU below zero: with a plain one, a few of so few channels die in training. */
export const SLOPE = 0.1;
/** Which of the layers with weights is measured. */
export const MEASURED = 1;

export interface Sizes {
  rows: number;
  cols: number;
  unknowns: number;
  /** Positions T at which the kernel is applied. */
  positions: number;
  /** Side of the measured layer's output. */
  out: number;
}

/** Of the measured layer: W is filters × (channels · kernel² + 1). */
export function sizesOf({ kernel, channels, filters, side }: Problem): Sizes {
  const cols = channels * kernel * kernel + 1;
  const out = side - kernel + 1;
  return { rows: filters, cols, unknowns: filters * cols, positions: out * out, out };
}

/** The same network in f64, with these weights (out × in of each layer). */
export function twinOf(problem: Problem, weights: readonly ArrayLike<number>[]): ConvNetwork {
  const { kernel, channels, filters, head } = problem;
  const { positions } = sizesOf(problem);
  const features = head === "flatten" ? filters * positions : filters;
  const shaped = (index: number, rows: number, cols: number): Matrix => matrix(rows, cols, weights[index]!);
  return [
    conv(shaped(0, channels, 10), { kernel: 3, padding: 1 }),
    activation("leakyRelu", SLOPE),
    conv(shaped(1, filters, channels * kernel * kernel + 1), { kernel }),
    activation("leakyRelu", SLOPE),
    { kind: head === "flatten" ? "flatten" : "globalAveragePool" },
    linear(shaped(2, CLASSES, features + 1)),
  ];
}
