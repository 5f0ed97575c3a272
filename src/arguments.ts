/**
 * What arguments must be, and one way to say so: every function of the library refuses what it cannot take by these, before it
 * does anything else.
 */
import { ArgumentError } from "./errors.js";

/** What a value must be: in words, after "must be", and as a test. */
export interface Rule {
  readonly words: string;
  readonly holds: (value: unknown) => boolean;
}

/** A rule for each option of an interface, so that none is forgotten. */
export type Rules<T> = { readonly [K in keyof T]-?: Rule };

const rule = (words: string, holds: (value: unknown) => boolean): Rule => ({ words, holds });

/** An option that is checked where it is used. */
export const ANYTHING = rule("anything", () => true);
export const FLAG = rule("true or false", (value) => typeof value === "boolean");
export const FUNCTION = rule("a function", (value) => typeof value === "function");
export const TEXT = rule("a text that is not empty", (value) => typeof value === "string" && value !== "");
export const NUMBER = rule("a finite number", isReal);
export const NON_NEGATIVE = rule(
  "a finite number that is not negative",
  (value) => isReal(value) && value >= 0,
);
export const POSITIVE = rule("a positive number", (value) => isReal(value) && value > 0);
/** Of a layer, a batch, a matrix. */
export const SIZE = rule("a positive integer", (value) => isWhole(value, 1));
export const U32 = rule("an integer from 0 to 2³² − 1", (value) => isWhole(value, 0, 0xffffffff));
/** Named in messages as it is asked for: see `objectLike`. */
export const OBJECT = objectLike("an object");
export const LIST = rule("a list", Array.isArray);
/** A list of numbers, of whatever kind. */
export const NUMBERS = rule(
  "a list of numbers",
  (value) => Array.isArray(value) || (ArrayBuffer.isView(value) && "length" in value),
);
export const SIGNAL = rule(
  "an AbortSignal",
  (value) => typeof value === "object" && value !== null && "aborted" in value && "addEventListener" in value,
);

/** A whole number. */
export function whole(least: number, most = Number.MAX_SAFE_INTEGER): Rule {
  const words =
    most < Number.MAX_SAFE_INTEGER
      ? `a whole number from ${least} to ${most}`
      : `a whole number of at least ${least}`;
  return rule(words, (value) => isWhole(value, least, most));
}

export function oneOf(...choices: readonly string[]): Rule {
  return rule(listed(choices.map((choice) => JSON.stringify(choice))), (value) =>
    choices.some((choice) => choice === value),
  );
}

/** An object that is no list. @param methods that it must have */
export function objectLike(words: string, ...methods: readonly string[]): Rule {
  // Long lists are checked object by object, at every call.
  if (methods.length === 0) return rule(words, isObject);
  return rule(
    words,
    (value) => isObject(value) && methods.every((name) => typeof value[name] === "function"),
  );
}

/** Named in messages by its class. */
export function instanceOf(type: new (...args: never) => object, words = `a ${type.name}`): Rule {
  return rule(words, (value) => value instanceof type);
}

/** @throws ArgumentError unless the rule holds */
export function must(operation: string, argument: string, value: unknown, { words, holds }: Rule): void {
  if (holds(value)) return;
  throw new ArgumentError(operation, argument, `must be ${words}, got ${shown(value)}`);
}

/**
 * The options of a call, checked one by one; those that are undefined are not there.
 *
 * @param argument what they are, where they are not the call's own: then names begin with it
 * @throws ArgumentError for what is no object, an option that there is not, and one that is not as its rule says
 */
export function optionsOf<T extends object>(
  operation: string,
  rules: Rules<T>,
  given: T | undefined,
  argument = "options",
): T {
  if (given === undefined) return {} as T;
  must(operation, argument, given, OBJECT);
  for (const [name, value] of Object.entries(given)) {
    const path = argument === "options" ? name : `${argument}.${name}`;
    if (!Object.hasOwn(rules, name)) {
      throw new ArgumentError(operation, path, `is not an option; ${adviceFor(name, Object.keys(rules))}`);
    }
    if (value !== undefined) must(operation, path, value, rules[name as keyof T]);
  }
  return given;
}

/** @throws ArgumentError unless it is a list of objects, or with `single` one alone, which is then a list of one */
export function objectsOf<T extends object>(
  operation: string,
  argument: string,
  given: T | readonly T[],
  { single = false, words = "an object" } = {},
): readonly T[] {
  if (single && !Array.isArray(given)) {
    must(operation, argument, given, objectLike(`${words}, or a list of them`));
    return [given as T];
  }
  must(operation, argument, given, LIST);
  const list = given as readonly T[];
  for (let k = 0; k < list.length; k++) {
    if (!OBJECT.holds(list[k])) must(operation, `${argument}[${k}]`, list[k], objectLike(words));
  }
  return list;
}

/** @throws ArgumentError for one that is neither undefined nor a finite number */
export function requireNumbers(operation: string, numbers: Readonly<Record<string, unknown>>): void {
  for (const name in numbers) {
    const value = numbers[name];
    if (value !== undefined) must(operation, name, value, NUMBER);
  }
}

/** What to pass instead of a name that there is not. */
export function adviceFor(name: string, names: readonly string[]): string {
  const meant = nearest(name, names);
  return meant === undefined ? `there are ${names.join(", ")}` : `pass ${meant}`;
}

/** Words in a message: `a, b or c`. */
export function listed(words: readonly string[]): string {
  return words.length < 2 ? words.join("") : `${words.slice(0, -1).join(", ")} or ${words.at(-1)}`;
}

/** A value in a message. */
export function shown(value: unknown): string {
  if (typeof value === "string") return JSON.stringify(value);
  if (typeof value === "function") return "a function";
  if (typeof value !== "object" || value === null) return String(value);
  if (Array.isArray(value)) return value.length === 0 ? "an empty list" : "a list";
  const type = Object.prototype.toString.call(value).slice(8, -1);
  return type === "Object" ? "an object" : `${/^[AEIO]/.test(type) ? "an" : "a"} ${type}`;
}

/** The one of `names` that was probably meant by `name`, or undefined where none is near. */
export function nearest(name: string, names: readonly string[]): string | undefined {
  const [best] = names
    .map((candidate) => ({ candidate, distance: editDistance(name, candidate) }))
    .sort((a, b) => a.distance - b.distance);
  return best && best.distance <= Math.ceil(name.length / 3) ? best.candidate : undefined;
}

function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const change = row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(change, row[j]! + 1, next[j - 1]! + 1));
    }
    row = next;
  }
  return row[b.length]!;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isReal(value: unknown): value is number {
  return typeof value === "number" && Number.isFinite(value);
}

function isWhole(value: unknown, least: number, most = Number.MAX_SAFE_INTEGER): boolean {
  return Number.isSafeInteger(value) && (value as number) >= least && (value as number) <= most;
}
