/**
 * `--layers`: all sizes of a dense network (784-256-128-10), only the hidden ones (256-128), or a convolutional network
 * layer by layer (conv16x5p2-pool2-conv32x5p2-pool2-10).
 */
import { UsageError } from "./failure.js";

const LARGEST = 65_536;

/** A dense layer's outputs, or a layer as `--layers` writes it; in front stands the data's size or shape (1x28x28). */
export type Size = number | string;

export type LayerSpec =
  | { kind: "conv"; out: number; kernel: number; stride: number; padding: number }
  | { kind: "maxPool" | "averagePool"; kernel: number; stride: number }
  | { kind: "globalAveragePool" }
  | { kind: "dense"; out: number };

const FORMS =
  "sizes such as 784-256-128-10 or 256-128, or layers such as conv16x5p2-pool2-10 (conv OUTxKERNEL, s stride, p padding; pool or avg SIZE, s stride; gap)";

/** Reads `256-128`; throws a string that says what the value must be. */
export function parseLayers(value: string): Size[] {
  return value.split("-").map((part, index) => {
    const size = sizeOf(part);
    if (size === undefined || (index > 0 && shapeOf(size)))
      throw `must be ${FORMS}, sizes from 1 to ${LARGEST}`;
    return size;
  });
}

/** One part of `--layers`, or what a checkpoint says of one layer; undefined when it is neither size nor layer. */
export function sizeOf(part: unknown): Size | undefined {
  if (typeof part === "number") return inRange(part) ? part : undefined;
  if (typeof part !== "string") return undefined;
  if (/^\d+$/.test(part)) return inRange(Number(part)) ? Number(part) : undefined;
  return shapeOf(part) || specOf(part) ? part : undefined;
}

const inRange = (size: number) => Number.isSafeInteger(size) && size >= 1 && size <= LARGEST;

/** [channels, height, width] of `1x28x28`. */
export function shapeOf(size: Size): [number, number, number] | undefined {
  const sizes = typeof size === "string" && /^\d+x\d+x\d+$/.test(size) ? size.split("x").map(Number) : [];
  return sizes.length === 3 && sizes.every(inRange) ? [sizes[0]!, sizes[1]!, sizes[2]!] : undefined;
}

/** What a part stands for; undefined for an input's shape. */
export function specOf(size: Size): LayerSpec | undefined {
  if (typeof size === "number") return { kind: "dense", out: size };
  if (size === "gap") return { kind: "globalAveragePool" };
  const conv = /^conv(\d+)x(\d+)(?:s(\d+))?(?:p(\d+))?$/.exec(size);
  if (conv) {
    const [out, kernel, stride, padding] = [conv[1], conv[2], conv[3] ?? 1, conv[4] ?? 0].map(Number);
    const fits = [out, kernel, stride].every((x) => inRange(x!)) && padding! < kernel!;
    return fits
      ? { kind: "conv", out: out!, kernel: kernel!, stride: stride!, padding: padding! }
      : undefined;
  }
  const pool = /^(pool|avg)(\d+)(?:s(\d+))?$/.exec(size);
  if (!pool) return undefined;
  const [kernel, stride] = [pool[2], pool[3] ?? pool[2]].map(Number);
  const kind = pool[1] === "pool" ? "maxPool" : "averagePool";
  return inRange(kernel!) && inRange(stride!) ? { kind, kernel: kernel!, stride: stride! } : undefined;
}

/** Whether some part is more than a size. */
export function isConvolutional(sizes: readonly Size[]): boolean {
  return sizes.some((size) => typeof size === "string");
}

interface DataShape {
  features: number;
  /** Of one example: [28, 28] or [3, 32, 32] for images. */
  featureShape: readonly number[];
  classes: number;
}

/**
 * All sizes for the data. Without convolutions: three or more sizes are all of them; one or two are hidden, unless both of
 * them, or the first or the last alone, are the data's own. With convolutions: the input's shape is put in front and the
 * classes behind, unless they are there.
 * Throws `UsageError` naming both sizes when the given ones contradict the data.
 */
export function networkSizes(given: readonly Size[], data: DataShape): Size[] {
  if (isConvolutional(given)) return convolutionalSizes(given, data);
  const { features, classes } = data;
  const first = given[0]!;
  const last = given[given.length - 1]!;
  const hiddenOnly = given.length === 1 || (given.length === 2 && first !== features && last !== classes);
  if (hiddenOnly) return [features, ...given, classes];
  const problems = [
    first !== features && `starts with ${first} inputs and the data has ${features} features`,
    last !== classes && `ends in ${last} outputs and the data has ${classes} classes`,
  ].filter((problem) => problem !== false);
  if (problems.length === 0) return [...given];
  // Two sizes of which the first is right are taken as inputs and outputs, of which the last is right as hidden ones.
  const inner = given.length > 2 || first === features ? given.slice(1, -1) : given;
  throw new UsageError(
    `--layers ${given.join("-")} ${problems.join(", and ")}; pass ${[features, ...inner, classes].join("-")}, for example.`,
  );
}

function convolutionalSizes(given: readonly Size[], { featureShape, features, classes }: DataShape): Size[] {
  const fail = (problem: string) => new UsageError(`--layers ${given.join("-")} ${problem}.`);
  const images = featureShape.length === 2 || featureShape.length === 3;
  if (!images) throw fail(`has convolutions and the data's examples have shape ${featureShape.join(" × ")}`);
  const input = featureShape.length === 2 ? [1, ...featureShape] : [...featureShape];
  const stated = shapeOf(given[0]!);
  if (stated && stated.join() !== input.join()) {
    throw fail(`starts with ${given[0]} and the data has ${input.join("x")}, ${features} features`);
  }
  const inner = stated ? given.slice(1) : [...given];
  const sizes = inner[inner.length - 1] === classes ? inner : [...inner, classes];
  let [, height, width] = input as [number, number, number];
  let flat = false;
  for (const size of sizes) {
    const spec = specOf(size)!;
    if (spec.kind === "dense" || spec.kind === "globalAveragePool") {
      if (flat && spec.kind !== "dense") throw fail("has gap behind a dense layer");
      flat = true;
      continue;
    }
    if (flat) throw fail(`has ${size} behind a dense layer or gap`);
    const padding = spec.kind === "conv" ? spec.padding : 0;
    const shrunk = (extent: number) => Math.floor((extent + 2 * padding - spec.kernel) / spec.stride) + 1;
    const [nextHeight, nextWidth] = [shrunk(height), shrunk(width)];
    if (nextHeight < 1 || nextWidth < 1) {
      throw fail(`has ${size} where the image is only ${height} × ${width}`);
    }
    [height, width] = [nextHeight, nextWidth];
  }
  return [input.join("x"), ...sizes];
}
