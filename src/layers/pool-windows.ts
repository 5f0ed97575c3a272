/** What the two poolings share: windows over images. */
import { d } from "typegpu";
import { ANYTHING, optionsOf, type Rules, TEXT } from "../arguments.js";
import type { Matrix } from "../linalg/index.js";
import { type ImageShape, outputSize } from "./conv/geometry.js";
import { type Form, type ImageForm, requireImage } from "./form.js";
import type { LayerModule } from "./kind.js";
import { type Pair, pairOf } from "./sizes.js";

export interface PoolModule extends LayerModule {
  readonly kind: "maxPool2d" | "averagePool2d";
  readonly kernel: Pair;
  readonly stride: Pair;
}

/** Options of `maxPool2d` and `averagePool2d`. */
export interface PoolOptions {
  /** Defaults to the kernel: windows side by side. */
  stride?: number | Pair;
  /** Defaults to the kind with a number. */
  name?: string;
}

const OPTIONS: Rules<PoolOptions> = { stride: ANYTHING, name: TEXT };

/** @throws ArgumentError when a size is not a positive integer, and for a bad option. */
export function poolModule(
  kind: PoolModule["kind"],
  kernel: number | Pair,
  options: PoolOptions,
): PoolModule {
  const { stride = kernel, name } = optionsOf(kind, OPTIONS, options);
  return { kind, kernel: pairOf(kind, "kernel", kernel, 1), stride: pairOf(kind, "stride", stride, 1), name };
}

/** @throws ShapeError for anything but images, or where the window does not fit. */
export function pooledForm(module: PoolModule, input: Form, name: string): ImageForm {
  return { kind: "image", ...windowsOf(name, module, requireImage(name, input)).output };
}

/** Sizes along [y, x]. */
export interface Windows {
  readonly input: ImageShape;
  readonly output: ImageShape;
  readonly kernel: Pair;
  readonly stride: Pair;
}

/** @throws ShapeError when the window does not fit. */
export function windowsOf(
  name: string,
  { kernel, stride }: { kernel: Pair; stride: Pair },
  input: ImageShape,
): Windows {
  const [height, width] = outputSize(name, input, { kernel, stride });
  return { input, output: { channels: input.channels, height, width }, kernel, stride };
}

/** The sizes in a problem's row of its table. */
export function windowFields({ input, output, kernel, stride }: Windows) {
  return {
    height: input.height,
    width: input.width,
    outHeight: output.height,
    outWidth: output.width,
    kernel: d.vec2u(kernel[0], kernel[1]),
    stride: d.vec2u(stride[0], stride[1]),
  };
}

/** The places in a problem's row of its table, in vec4. */
export function quadOffsets(source: Matrix, pooled: Matrix) {
  return {
    sourceOffset: source.offset / 4,
    sourceStride: source.stride / 4,
    pooledOffset: pooled.offset / 4,
    pooledStride: pooled.stride / 4,
  };
}
