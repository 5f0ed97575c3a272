/** Axes by d3-scale: from data to pixels, and where the ticks go. */
import { scaleLinear, scaleLog } from "d3-scale";

/** One axis, measured out. */
export interface Scale {
  /** Where a value lies, in pixels. */
  toPixel(value: number): number;
  /** The values that get a tick with a label, rising. */
  readonly ticks: readonly number[];
}

/** How an axis is measured out. */
export interface ScaleOptions {
  /** About how many ticks; defaults to 6. */
  wanted?: number;
  /** Ticks of one's own instead of round numbers. */
  ticks?: readonly number[];
  /** Free space on either side, as a share of the axis; defaults to 0. */
  margin?: number;
  /** Widened to whole ticks; a logarithmic axis is not. Defaults to false. */
  nice?: boolean;
}

/** The smallest and the largest value of an axis. */
export type Extent = readonly [low: number, high: number];

/** Pixels of the lowest and the highest value; they may fall, as those of a vertical axis do. */
export type Pixels = readonly [from: number, to: number];

/** An axis on which equal differences are equal distances. A single value is put into the middle. */
export function linearScale(extent: Extent, pixels: Pixels, options: ScaleOptions = {}): Scale {
  const { wanted = 6, ticks, margin = 0, nice = false } = options;
  const [low, high] = extent[1] > extent[0] ? extent : [extent[0] - 0.5, extent[0] + 0.5];
  const extra = margin * (high - low);
  const scale = scaleLinear([low - extra, high + extra], pixels);
  if (nice) scale.nice(wanted);
  return { toPixel: scale, ticks: ticks ?? scale.ticks(wanted) };
}

/** An axis of positive values on which equal factors are equal distances; it spans at least a factor of two. */
export function logScale(extent: Extent, pixels: Pixels, options: ScaleOptions = {}): Scale {
  const { wanted = 6, ticks, margin = 0 } = options;
  let [low, high] = [Math.log10(extent[0]), Math.log10(extent[1])];
  if (!(high - low > 0.3)) [low, high] = [(low + high) / 2 - 0.15, (low + high) / 2 + 0.15];
  const extra = margin * (high - low);
  const domain: Extent = [10 ** (low - extra), 10 ** (high + extra)];
  return { toPixel: scaleLog(domain, pixels), ticks: ticks ?? logTicks(domain, wanted) };
}

/** What the leading digits of ticks may be: all, or those that divide a decade into like parts. */
const DIGITS = [[1, 2, 3, 4, 5, 6, 7, 8, 9], [1, 2, 5], [1, 3], [1]];

/**
 * Ticks of a logarithmic axis: d3's, which are every digit of every decade, thinned to 1, 2 and 5, or 1 and 3, or whole
 * powers, until there are at most one more than wanted.
 */
export function logTicks(extent: Extent, wanted: number): number[] {
  // A little wider, so that rounding loses no tick at an end.
  const all = scaleLog([extent[0] * (1 - 1e-9), extent[1] * (1 + 1e-9)], [0, 1]).ticks(wanted);
  const digit = (tick: number) => Number(tick.toExponential(0).split("e")[0]);
  const thinned = DIGITS.map((digits) => all.filter((tick) => digits.includes(digit(tick))));
  return thinned.find((ticks) => ticks.length <= wanted + 1) ?? thinned.at(-1)!;
}
