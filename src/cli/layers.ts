/** `--layers`: all sizes of a network (784-256-128-10), or only the hidden ones (256-128). */
import { UsageError } from "./failure.js";

const LARGEST = 65_536;

/** Reads `256-128`; throws a string that says what the value must be. */
export function parseLayers(value: string): number[] {
  const sizes = value.split("-").map((part) => (/^\d+$/.test(part) ? Number(part) : Number.NaN));
  if (sizes.some((size) => !(size >= 1 && size <= LARGEST))) {
    throw `must be sizes from 1 to ${LARGEST} such as 784-256-128-10 or 256-128`;
  }
  return sizes;
}

/**
 * Input, hidden and output sizes for data with so many features and classes. Three or more sizes are all of them; one
 * or two are hidden, unless both of them, or the first or the last alone, are the data's own.
 * Throws `UsageError` naming both sizes when the given ones contradict the data.
 */
export function networkSizes(given: readonly number[], features: number, classes: number): number[] {
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
