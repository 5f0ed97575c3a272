import { must, objectsOf } from "../../arguments.js";
import type { Recorder } from "../../pipeline/index.js";
import { RECORDER } from "../../pipeline/rules.js";

/**
 * What an operation is to record, as a list.
 *
 * @param single whether one problem may come without a list
 * @throws ArgumentError without a recorder, and for what is no list of problems
 */
export function problemsOf<T extends object>(
  operation: string,
  recorder: Recorder,
  argument: string,
  given: T | readonly T[],
  single = false,
): readonly T[] {
  must(operation, "recorder", recorder, RECORDER);
  return objectsOf(operation, argument, given, { single, words: "the operands by name" });
}
