// Logarithmic axes: from data to pixels, and where the ticks go.

/**
 * @typedef {{ toPixel: (value: number) => number, ticks: number[] }} Scale
 */

/**
 * @param {readonly [number, number]} range of positive values
 * @param {readonly [number, number]} pixels
 * @param {{ wanted?: number, ticks?: readonly number[], margin?: number }} [options] ticks of one's own instead of round
 *   numbers; a margin as a share of the axis on either side
 * @returns {Scale}
 */
export function logScale(range, pixels, { wanted = 6, ticks, margin = 0.04 } = {}) {
  let [low, high] = range.map(Math.log10);
  if (!(high - low > 0.3)) [low, high] = [(low + high) / 2 - 0.15, (low + high) / 2 + 0.15];
  const extra = margin * (high - low);
  low -= extra;
  high += extra;
  const [from, to] = pixels;
  return {
    toPixel: (value) => from + ((Math.log10(value) - low) / (high - low)) * (to - from),
    ticks: [...(ticks ?? roundNumbers(low, high, wanted))],
  };
}

/** Powers of ten, or 1, 2, 5 and so on where there are few of them. @param {number} low @param {number} high @param {number} wanted */
function roundNumbers(low, high, wanted) {
  const decades = high - low;
  const steps = decades * 3 <= wanted + 1 ? [1, 2, 5] : decades * 2 <= wanted + 1 ? [1, 3] : [1];
  const every = Math.max(1, Math.ceil(decades / wanted));
  const out = [];
  for (let e = Math.floor(low); e <= Math.ceil(high); e++) {
    if (((e % every) + every) % every !== 0) continue;
    for (const m of steps) {
      const at = Math.log10(m) + e;
      if (at >= low - 1e-9 && at <= high + 1e-9) out.push(Number(`${m}e${e}`));
    }
  }
  return out;
}

/** A tick's text: 0.01, 50, 2 000, or a power of ten. @param {number} value */
export function tickText(value) {
  if (value >= 1e6 || value < 1e-3) {
    const e = Math.floor(Math.log10(value) + 1e-9);
    const m = Number((value / 10 ** e).toPrecision(2));
    const power = `10${[...String(e)].map((c) => "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"["-0123456789".indexOf(c)]).join("")}`;
    return m === 1 ? power : `${m}·${power}`;
  }
  const text = Number.isInteger(value) ? String(value) : String(Number(value.toPrecision(3)));
  return text.replace(/\B(?=(\d{3})+$)/g, value >= 1000 ? " " : "");
}

/**
 * Positions of labels that must not touch: as near as may be to where they belong, in order, within the limits.
 * @param {readonly number[]} wanted rising
 * @param {number} gap
 * @param {readonly [number, number]} limits
 */
export function spread(wanted, gap, [top, bottom]) {
  const out = [...wanted];
  for (let i = 0; i < out.length; i++) out[i] = Math.max(out[i], i === 0 ? top : out[i - 1] + gap);
  for (let i = out.length - 1; i >= 0; i--)
    out[i] = Math.min(out[i], i === out.length - 1 ? bottom : out[i + 1] - gap);
  return out;
}
