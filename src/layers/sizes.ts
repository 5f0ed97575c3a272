import { ArgumentError } from "../errors.js";

/** Sizes along [y, x]. */
export type Pair = readonly [number, number];

/** @throws ArgumentError unless `value` is a positive integer. */
export function requireSize(operation: string, argument: string, value: number): void {
  if (!(Number.isInteger(value) && value >= 1)) {
    throw new ArgumentError(operation, argument, `must be a positive integer, got ${value}`);
  }
}

/** @throws ArgumentError unless both are integers of at least `least`. */
export function pairOf(operation: string, argument: string, value: number | Pair, least: number): Pair {
  const pair = typeof value === "number" ? [value, value] : value;
  if (!(Array.isArray(pair) && pair.length === 2 && pair.every((v) => Number.isInteger(v) && v >= least))) {
    throw new ArgumentError(
      operation,
      argument,
      `must be an integer of at least ${least}, or two [y, x], got ${JSON.stringify(value)}`,
    );
  }
  return [pair[0]!, pair[1]!];
}

/** @throws ArgumentError unless it is a way in which K-FAC treats positions. */
export function requirePositions(operation: string, positions: string): void {
  if (positions !== "expand" && positions !== "reduce") {
    throw new ArgumentError(operation, "positions", `must be "expand" or "reduce", got ${positions}`);
  }
}
