import { ShapeError } from "../../errors.js";
import type { Pair } from "../sizes.js";

/** The sizes of one example's image. Positions are numbered row by row, y · width + x. */
export interface ImageShape {
  readonly channels: number;
  readonly height: number;
  readonly width: number;
}

/** A convolution's sizes, pairs [y, x]. */
export interface ConvGeometry {
  readonly input: ImageShape;
  readonly output: ImageShape;
  readonly kernel: Pair;
  readonly stride: Pair;
  readonly padding: Pair;
  readonly dilation: Pair;
  readonly groups: number;
  readonly bias: boolean;
  /** T = H'·W'. */
  readonly positions: number;
  /** Numbers in a patch of all channels: C·kh·kw, without the bias's 1. */
  readonly features: number;
}

export function positionsOf({ height, width }: ImageShape): number {
  return height * width;
}

export function sizeOf(shape: ImageShape): number {
  return shape.channels * positionsOf(shape);
}

/** What a convolution is, whatever the image's size. */
export interface ConvShape
  extends Pick<ConvGeometry, "kernel" | "stride" | "padding" | "dilation" | "groups" | "bias"> {
  /** Channels. */
  readonly in: number;
  readonly out: number;
}

/** @throws ShapeError when the channels do not meet or split into the groups, or the kernel does not fit. */
export function convGeometry(name: string, shape: ConvShape, input: ImageShape): ConvGeometry {
  const { kernel, stride, padding, dilation, groups, bias, in: channels, out } = shape;
  if (channels !== input.channels) {
    throw new ShapeError(
      "network",
      `the input of ${name}`,
      [input.channels, input.height, input.width],
      [channels, input.height, input.width],
      `${name} takes ${channels} channels`,
    );
  }
  const [height, width] = outputSize(name, input, { kernel, stride, padding, dilation });
  return {
    input,
    output: { channels: out, height, width },
    kernel,
    stride,
    padding,
    dilation,
    groups,
    bias,
    positions: height * width,
    features: channels * kernel[0] * kernel[1],
  };
}

/** The same W at each position, and nothing of its neighbours. */
export function pointwiseGeometry(input: ImageShape, out: number, bias: boolean): ConvGeometry {
  const [one, none]: [Pair, Pair] = [
    [1, 1],
    [0, 0],
  ];
  return {
    input,
    output: { ...input, channels: out },
    kernel: one,
    stride: one,
    padding: none,
    dilation: one,
    groups: 1,
    bias,
    positions: positionsOf(input),
    features: input.channels,
  };
}

/**
 * ⌊(H + 2·padding − dilation·(k − 1) − 1)/stride⌋ + 1, and the same for W.
 *
 * @throws ShapeError when the kernel does not fit.
 */
export function outputSize(
  name: string,
  { channels, height, width }: ImageShape,
  window: { kernel: Pair; stride: Pair; padding?: Pair; dilation?: Pair },
): Pair {
  const { kernel, stride, padding = [0, 0], dilation = [1, 1] } = window;
  const needs = (axis: 0 | 1) => dilation[axis] * (kernel[axis] - 1) + 1 - 2 * padding[axis];
  if (needs(0) > height || needs(1) > width) {
    throw new ShapeError(
      "network",
      `the input of ${name}`,
      [channels, height, width],
      [channels, `≥ ${Math.max(needs(0), 1)}`, `≥ ${Math.max(needs(1), 1)}`],
      `its kernel of ${kernel.join(" × ")} must fit`,
    );
  }
  const size = (extent: number, axis: 0 | 1) => Math.floor((extent - needs(axis)) / stride[axis]) + 1;
  return [size(height, 0), size(width, 1)];
}

/** Some of the positions of a batch: all those of several examples, or some output lines of one. */
export interface Chunk {
  /** The first position, (i · H' + y) · W' + x. */
  readonly first: number;
  readonly rows: number;
  readonly example: number;
  readonly examples: number;
  readonly firstLine: number;
  readonly lines: number;
}

/**
 * The largest chunk within a budget of positions: whole examples (at most `examples`), else lines of one, one at the least.
 */
export function chunkRows({ output }: ConvGeometry, budget: number, examples: number): number {
  const positions = positionsOf(output);
  if (positions <= budget) return Math.min(Math.floor(budget / positions), examples) * positions;
  return Math.max(Math.floor(budget / output.width), 1) * output.width;
}

/** Splits `examples` examples into chunks of at most `rows` positions (`chunkRows`), about equal ones. */
export function chunksOf({ output }: ConvGeometry, rows: number, examples: number): Chunk[] {
  const { height, width } = output;
  const positions = height * width;
  const whole = rows >= positions;
  const [total, most] = whole ? [examples, Math.floor(rows / positions)] : [height, rows / width];
  const each = Math.ceil(total / Math.ceil(total / most));
  const starts = Array.from({ length: Math.ceil(total / each) }, (_, index) => index * each);
  if (whole) {
    return starts.map((example) => {
      const own = Math.min(each, examples - example);
      return {
        first: example * positions,
        rows: own * positions,
        example,
        examples: own,
        firstLine: 0,
        lines: height,
      };
    });
  }
  return Array.from({ length: examples }, (_, example) =>
    starts.map((firstLine) => {
      const lines = Math.min(each, height - firstLine);
      return {
        first: (example * height + firstLine) * width,
        rows: lines * width,
        example,
        examples: 1,
        firstLine,
        lines,
      };
    }),
  ).flat();
}
