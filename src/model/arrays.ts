/** Checks of arrays of numbers that hold one example after another. */
import { ArgumentError, DataError, ShapeError } from "../errors.js";

/** @throws ArgumentError */
export function requireType(
  operation: string,
  operand: string,
  values: unknown,
  type: typeof Float32Array | typeof Uint32Array,
): void {
  if (values instanceof type) return;
  const actual = Object.prototype.toString.call(values).slice(8, -1);
  throw new ArgumentError(operation, operand, `must be a ${type.name}, got ${actual}`);
}

/** @throws ShapeError */
export function requireLength(
  operation: string,
  operand: string,
  values: { readonly length: number },
  count: number,
  width: number,
): void {
  if (values.length === count * width) return;
  throw new ShapeError(operation, operand, [values.length], [count * width], `it holds ${count} × ${width}`);
}

/** @throws DataError */
export function requireFinite(operand: string, values: Float32Array, width: number): void {
  if (Number.isFinite(sumOf(values))) return;
  const bad = values.findIndex((x) => !Number.isFinite(x));
  const message = `hold ${values[bad]} in ${placeIn(bad, width)}; pass finite numbers`;
  throw new DataError(operand, message, { actual: values[bad] });
}

/**
 * Σ x in f64, which is finite just where all x are: no array is so long that its f32 numbers add up to more than f64 holds. Eight
 * sums at once, since each addition waits for the one before; a batch is looked through at every step.
 */
function sumOf(x: Float32Array): number {
  let [a, b, c, d, e, f, g, h] = [0, 0, 0, 0, 0, 0, 0, 0];
  const whole = x.length - (x.length % 8);
  for (let k = 0; k < whole; k += 8) {
    a += x[k]!;
    b += x[k + 1]!;
    c += x[k + 2]!;
    d += x[k + 3]!;
    e += x[k + 4]!;
    f += x[k + 5]!;
    g += x[k + 6]!;
    h += x[k + 7]!;
  }
  for (let k = whole; k < x.length; k++) a += x[k]!;
  return a + b + (c + d) + (e + f) + (g + h);
}

/** Of a number of an array of rows, for messages. */
export function placeIn(index: number, width: number): string {
  return `example ${Math.floor(index / width)}, position ${index % width}`;
}
