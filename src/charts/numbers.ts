/** Numbers as a reader wants them beside an axis. */

/** U+202F, narrower than a blank and no place to break a line: `16 384` reads as one number. */
const NARROW_SPACE = "\u202f";

/** A whole number in raised digits: −7 becomes ⁻⁷. */
export function superscript(exponent: number): string {
  return [...String(exponent)].map((sign) => "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"["-0123456789".indexOf(sign)]).join("");
}

/** The digits of a whole number in groups of three, from 1000 on. */
export function grouped(digits: string): string {
  return digits.replace(/\B(?=(\d{3})+$)/g, NARROW_SPACE);
}

/**
 * The text of a number on an axis: `0.01`, `50`, `2 000`, or a power of ten (`10⁶`, `5·10⁻⁵`) where its size is a million
 * or more, or less than a thousandth.
 */
export function tickText(value: number): string {
  const size = Math.abs(value);
  const sign = value < 0 ? "−" : "";
  if (size !== 0 && (size >= 1e6 || size < 1e-3)) {
    const [mantissa, exponent] = size.toExponential(1).split("e").map(Number) as [number, number];
    const power = `10${superscript(exponent)}`;
    return sign + (mantissa === 1 ? power : `${mantissa}·${power}`);
  }
  const text = String(Number(size.toPrecision(6)));
  return sign + (Number.isInteger(size) ? grouped(text) : text);
}

/** To three digits, for a number that is told rather than read off an axis. */
export function roughly(value: number): number {
  return Number(value.toPrecision(3));
}
