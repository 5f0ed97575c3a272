/** Axes: from data to pixels, and where the ticks go. */

export interface Scale {
  toPixel(value: number): number;
  ticks: number[];
}

/** From `range` of values to `pixels`, widened to whole ticks. */
export function linearScale(
  range: readonly [number, number],
  pixels: readonly [number, number],
  widen: boolean,
): Scale {
  let [low, high] = range;
  if (!(high > low)) [low, high] = [low - 0.5, low + 0.5];
  const step = niceStep((high - low) / 5);
  if (widen) [low, high] = [Math.floor(low / step) * step, Math.ceil(high / step) * step];
  const ticks: number[] = [];
  for (let k = Math.ceil(low / step - 1e-9); k * step <= high + 1e-9 * step; k++) ticks.push(k * step);
  return { toPixel: (value) => blend(pixels, (value - low) / (high - low)), ticks };
}

/** As `linearScale`, for positive values, by their logarithm. */
export function logScale(range: readonly [number, number], pixels: readonly [number, number]): Scale {
  const low = Math.log10(range[0]) - 0.03;
  const high = Math.max(Math.log10(range[1]) + 0.03, low + 0.3);
  const decades = high - low;
  const steps = decades <= 1.2 ? [1, 2, 3, 5, 7] : decades <= 3.5 ? [1, 2, 5] : [1];
  const every = Math.max(1, Math.ceil(decades / 7));
  const ticks: number[] = [];
  for (let e = Math.floor(low); e <= high; e++) {
    if (e % every !== 0) continue;
    for (const m of steps) {
      const value = Number(`${m}e${e}`);
      if (Math.log10(value) >= low && Math.log10(value) <= high) ticks.push(value);
    }
  }
  return { toPixel: (value) => blend(pixels, (Math.log10(value) - low) / decades), ticks };
}

function blend([from, to]: readonly [number, number], share: number): number {
  return from + (to - from) * share;
}

function niceStep(rough: number): number {
  const power = 10 ** Math.floor(Math.log10(rough));
  const digit = [1, 2, 2.5, 5, 10].find((d) => d * power >= rough * 0.999) ?? 10;
  return digit * power;
}

/** A tick's number without rounding noise. */
export function tickText(value: number): string {
  const rounded = Number(value.toPrecision(6));
  const size = Math.abs(rounded);
  return size !== 0 && (size < 1e-3 || size >= 1e6) ? rounded.toExponential() : String(rounded);
}
