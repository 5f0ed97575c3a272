import { ANYTHING, FLAG, optionsOf, type Rules, SIZE, TEXT } from "../arguments.js";
import { ArgumentError } from "../errors.js";
import { conv2dOp } from "../reference/ops.js";
import { Conv2dLayer } from "./conv/conv.js";
import { convGeometry } from "./conv/geometry.js";
import { requireImage } from "./form.js";
import type { LayerKind, LayerModule } from "./kind.js";
import { type Pair, POSITIONS, pairOf, requireSize } from "./sizes.js";

/** The same W at every position of an image: z_t = W a_t with a_t the patch under the kernel there. */
export interface Conv2dModule extends LayerModule {
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
}

/** Options of `conv2d`. */
export interface Conv2dOptions {
  /** Defaults to 1. */
  stride?: number | Pair;
  /** Zeros on each side of the image; defaults to 0. */
  padding?: number | Pair;
  /** Distance between the kernel's taps; defaults to 1. */
  dilation?: number | Pair;
  /**
   * Splits channels into so many convolutions side by side; defaults to 1. With more, the products are those of the whole
   * kernel with zeros in it (a grouped convolution saves parameters, not time), and K-FAC refuses the layer: its block of
   * the Hessian is not one Kronecker product.
   */
  groups?: number;
  /** Defaults to true. */
  bias?: boolean;
  /** Defaults to `conv2d1`, `conv2d2` … */
  name?: string;
  /**
   * How K-FAC treats the positions t of an example. `"expand"`: Ā is the mean of a_t a_t' over examples and positions and B̄
   * the mean over examples of Σ_t b_t b_t' (positions as further examples; KFC, Grosse & Martens 2016). `"reduce"`: the
   * mean of a_t and the sum of b_t stand for the example (Eschenhagen et al. 2023). Defaults to `"expand"`: it sees how
   * patches differ within an image, so Ā has full rank after few batches, and it makes no assumption that derivatives agree
   * over positions. In front of a global average pool they do agree; there `"reduce"` is the better scaled choice.
   */
  positions?: "expand" | "reduce";
}

const OPTIONS: Rules<Conv2dOptions> = {
  stride: ANYTHING,
  padding: ANYTHING,
  dilation: ANYTHING,
  groups: SIZE,
  bias: FLAG,
  name: TEXT,
  positions: POSITIONS,
};

/**
 * A convolution (a cross-correlation, as everywhere) from `inChannels` to `outChannels`. W is outChannels ×
 * (inChannels/groups · kh · kw [+ 1]) with columns in the order (channel, ky, kx) and the bias last.
 *
 * @param kernel its size, one number or [y, x]
 * @throws ArgumentError when a size is not a positive integer or `groups` does not divide the channels, and for a bad option.
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
  } = optionsOf("conv2d", OPTIONS, options);
  if (inChannels % groups !== 0 || outChannels % groups !== 0) {
    throw new ArgumentError(
      "conv2d",
      "groups",
      `must divide the ${inChannels} and ${outChannels} channels, got ${groups}`,
    );
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

export const conv2dKind: LayerKind<Conv2dModule> = {
  kind: "conv2d",
  treatment: "K-FAC, positions by expand (KFC) or reduce",
  repeats: true,
  trainable: true,
  traits: { sharesBuffer: true, sparesOutput: true, appliesActivation: true },
  shape(module, [input], name) {
    return { kind: "image", ...convGeometry(name, module, requireImage(name, input!)).output };
  },
  build: (module, site) =>
    new Conv2dLayer(module, site, convGeometry(site.name, module, site.inputs[0]!.shape!)),
  twin: ({ kernel, stride, padding, dilation, groups, bias }) =>
    conv2dOp({ kernel, stride, padding, dilation, groups, bias }),
};
