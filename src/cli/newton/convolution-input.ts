/** The convolution in the file of `kfac newton`. */
import { DataError, ShapeError } from "../../errors.js";
import {
  type ConvGeometry,
  convGeometry,
  type Matrix,
  matrix,
  requireShape,
  type Tensor,
} from "../../reference/index.js";
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

export const CONVOLUTION_METHODS = ["exact", "expand", "reduce", "ekfac", "kfoc", "meanFluctuation"] as const;
export type ConvolutionMethod = (typeof CONVOLUTION_METHODS)[number];

/** Prediction head · flatten(conv(x)), or flatten(conv(x)). */
export interface ConvolutionInput {
  kind: "convolution";
  /** N × C × H × W. */
  inputs: Tensor;
  geometry: ConvGeometry;
  /** O × (C·kh·kw [+ 1]), the bias last. */
  W: Matrix;
  /** outputs × (O·H'·W'). */
  head: Matrix | undefined;
  /** N × outputs. */
  target: Matrix;
  /** λ ≥ 0. */
  damping: number;
  method: ConvolutionMethod;
}

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
export function parseConvolution(value: unknown, source: string, method?: string): ConvolutionInput {
  if (!isObject(value)) {
    throw new DataError(source, "convolution must be an object with inputs, kernel and target");
  }
  requireKeys(source, "convolution.", value, KEYS, OPTIONAL);
  const inputs = parseTensor(source, "inputs", value.inputs);
  const kernel = parseTensor(source, "kernel", value.kernel);
  const [N, C, height, width] = inputs.shape;
  const [O, channels, kh, kw] = kernel.shape;
  if (channels !== C) {
    const hint = "kernel is output channels × input channels × height × width";
    throw new ShapeError(OPERATION, "kernel", kernel.shape, ["O", C, "kh", "kw"], hint);
  }
  const bias = value.bias === undefined ? undefined : parseVector(source, "bias", value.bias);
  if (bias && bias.length !== O) throw new ShapeError(OPERATION, "bias", [bias.length], [O]);
  const geometry = convGeometry(
    { channels: C, height, width },
    {
      kernel: [kh, kw],
      stride: parsePair("stride", value.stride, 1, 1),
      padding: parsePair("padding", value.padding, 0, 0),
      dilation: parsePair("dilation", value.dilation, 1, 1),
      bias: bias !== undefined,
    },
  );
  const map = O * geometry.positions;
  const head = value.head === undefined ? undefined : parseMatrix(source, "head", value.head);
  if (head) {
    const { outHeight, outWidth } = geometry;
    const hint = `head has one column per number of the feature map, ${O} × ${outHeight} × ${outWidth}`;
    requireShape(OPERATION, "head", head, head.rows, map, hint);
  }
  const target = parseMatrix(source, "target", value.target);
  const hint = "target has one row per input and one column per output";
  requireShape(OPERATION, "target", target, N, head?.rows ?? map, hint);
  const W = matrix(O, geometry.columns);
  const each = C * kh * kw;
  for (let o = 0; o < O; o++) {
    W.data.set(kernel.data.subarray(o * each, (o + 1) * each), o * W.cols);
    if (bias) W.data[o * W.cols + each] = bias[o]!;
  }
  const damping = parseDamping(value.damping);
  const chosen = parseChoice("method", method ?? value.method, CONVOLUTION_METHODS) ?? "exact";
  return { kind: "convolution", inputs, geometry, W, head, target, damping, method: chosen };
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
