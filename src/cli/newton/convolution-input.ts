/** The convolution in the file of `kfac newton`. */
import { DataError, ShapeError } from "../../errors.js";
import { type ConvGeometry, type Matrix, matrix } from "../../reference/index.js";
import { CONVOLUTION_METHODS, type ConvolutionProblem, checkConvolution } from "../../solve/problem.js";
import {
  isObject,
  OPERATION,
  parseChoice,
  parseDamping,
  parseMatrix,
  parsePair,
  parseTensor,
  parseVector,
  requireKeys,
} from "./json.js";

const KEYS = [
  "inputs",
  "kernel",
  "target",
  "stride",
  "padding",
  "dilation",
  "bias",
  "head",
  "damping",
  "method",
];
const OPTIONAL = ["stride", "padding", "dilation", "bias", "head", "damping", "method"];

/** Throws `DataError`, `ShapeError` or `ArgumentError`. `method` is used in the place of the file's. */
export function parseConvolution(value: unknown, source: string, method?: string): ConvolutionProblem {
  if (!isObject(value)) {
    throw new DataError(source, "convolution must be an object with inputs, kernel and target");
  }
  requireKeys(source, "convolution.", value, KEYS, OPTIONAL);
  const inputs = parseTensor(source, "inputs", value.inputs);
  const kernel = parseTensor(source, "kernel", value.kernel);
  const [O, channels, kh, kw] = kernel.shape;
  if (channels !== inputs.shape[1]) {
    const hint = "kernel is output channels × input channels × height × width";
    throw new ShapeError(OPERATION, "kernel", kernel.shape, ["O", inputs.shape[1], "kh", "kw"], hint);
  }
  const bias = value.bias === undefined ? undefined : parseVector(source, "bias", value.bias);
  if (bias && bias.length !== O) throw new ShapeError(OPERATION, "bias", [bias.length], [O]);
  const each = channels * kh * kw;
  const W = matrix(O, each + (bias ? 1 : 0));
  for (let o = 0; o < O; o++) {
    W.data.set(kernel.data.subarray(o * each, (o + 1) * each), o * W.cols);
    if (bias) W.data[o * W.cols + each] = bias[o]!;
  }
  const problem: ConvolutionProblem = {
    kind: "convolution",
    inputs,
    W,
    kernel: [kh, kw],
    stride: parsePair("stride", value.stride, 1, 1),
    padding: parsePair("padding", value.padding, 0, 0),
    dilation: parsePair("dilation", value.dilation, 1, 1),
    bias: bias !== undefined,
    head: value.head === undefined ? undefined : parseMatrix(source, "head", value.head),
    target: parseMatrix(source, "target", value.target),
    damping: parseDamping(value.damping),
    method: parseChoice("method", method ?? value.method, CONVOLUTION_METHODS) ?? "exact",
  };
  checkConvolution(problem, { operation: OPERATION, prefixOf: () => "" });
  return problem;
}

/** W as the file writes it: O × C × kh × kw, and the bias's O numbers. */
export function kernelOf(W: Matrix, { channels, kernel, bias }: ConvGeometry) {
  const [kh, kw] = kernel;
  const nested = Array.from({ length: W.rows }, (_, o) =>
    Array.from({ length: channels }, (_, c) =>
      Array.from({ length: kh }, (_, y) => {
        const start = o * W.cols + (c * kh + y) * kw;
        return Array.from(W.data.subarray(start, start + kw));
      }),
    ),
  );
  const column = bias ? Array.from({ length: W.rows }, (_, o) => W.data[(o + 1) * W.cols - 1]!) : null;
  return { kernel: nested, bias: column };
}
