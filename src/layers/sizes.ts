import { must, oneOf, SIZE, shown } from "../arguments.js";
import { ArgumentError } from "../errors.js";

/** Sizes along [y, x]. */
export type Pair = readonly [number, number];

/** @throws ArgumentError unless `value` is a positive integer. */
export function requireSize(operation: string, argument: string, value: number): void {
  must(operation, argument, value, SIZE);
}

/** @throws ArgumentError unless both are integers of at least `least`. */
export function pairOf(operation: string, argument: string, value: number | Pair, least: number): Pair {
  const pair = typeof value === "number" ? [value, value] : value;
  if (!(Array.isArray(pair) && pair.length === 2 && pair.every((v) => Number.isInteger(v) && v >= least))) {
    throw new ArgumentError(
      operation,
      argument,
      `must be an integer of at least ${least}, or two [y, x], got ${shown(value)}`,
    );
  }
  return [pair[0]!, pair[1]!];
}

/** How K-FAC treats positions. */
export const POSITIONS = oneOf("expand", "reduce");
