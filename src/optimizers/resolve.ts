import { adviceFor, listed, shown } from "../arguments.js";
import { ArgumentError } from "../errors.js";
import type { Schedule } from "./schedules.js";
import type { NumberOption, OptionEntry, OptionSchema, ResolvedOptions, SettingsOf } from "./schema.js";

/**
 * Checks what a caller passed and fills in defaults.
 *
 * @throws ArgumentError naming the optimiser, the option and the value
 */
export function resolveOptions<S extends OptionSchema>(
  optimizer: string,
  schema: S,
  given: unknown,
): ResolvedOptions<S> {
  const unfolded = unfoldOptions(optimizer, schema, given);
  const resolved = Object.entries(schema).map(([name, entry]): [string, unknown] => {
    const value = Object.hasOwn(unfolded, name) ? unfolded[name] : entry.default;
    if (value === undefined && entry.optional) return [name, undefined];
    return [name, checkOption(optimizer, name, entry, value)];
  });
  const options = Object.fromEntries(resolved);
  for (const [name, entry] of Object.entries(schema)) requireOrder(optimizer, name, entry, options);
  return Object.freeze(options) as ResolvedOptions<S>;
}

/** @throws ArgumentError where a number is above the option that bounds it */
function requireOrder(
  optimizer: string,
  name: string,
  entry: OptionEntry,
  options: Readonly<Record<string, unknown>>,
): void {
  if (entry.type === "choice" || entry.atMost === undefined) return;
  const [value, bound] = [options[name], options[entry.atMost]];
  if (typeof value !== "number" || typeof bound !== "number" || value <= bound) return;
  throw new ArgumentError(optimizer, name, `must be at most ${entry.atMost}, ${bound}, got ${value}`);
}

/**
 * The options with some of them changed.
 *
 * @throws ArgumentError as `resolveOptions`, and for an option that cannot be changed in mid-run
 */
export function changeOptions<S extends OptionSchema>(
  optimizer: string,
  schema: S,
  options: ResolvedOptions<S>,
  changes: unknown,
): ResolvedOptions<S> {
  const unfolded = unfoldOptions(optimizer, schema, changes);
  for (const name of Object.keys(unfolded)) {
    if (schema[name]!.live) continue;
    const advice = "make a new optimiser with it and restore the old one's state there";
    throw new ArgumentError(optimizer, name, `cannot be changed in mid-run; ${advice}`);
  }
  return resolveOptions(optimizer, schema, { ...options, ...unfolded });
}

/**
 * What step `step` works with.
 *
 * @throws ArgumentError when a schedule's value is not allowed
 */
export function settingsAt<S extends OptionSchema>(
  optimizer: string,
  schema: S,
  options: ResolvedOptions<S>,
  step: number,
): SettingsOf<S> {
  const settings: Record<string, unknown> = { ...options };
  for (const name in settings) {
    const value = settings[name];
    if (typeof value !== "function" || schema[name]!.type === "choice") continue;
    settings[name] = checkValue(
      optimizer,
      name,
      schema[name]!,
      (value as Schedule)(step),
      ` at step ${step}`,
    );
  }
  return settings as SettingsOf<S>;
}

/** @throws ArgumentError unless `value` is one that the option takes */
export function checkOption(optimizer: string, name: string, entry: OptionEntry, value: unknown): unknown {
  if (typeof value === "function" && (entry.type === "choice" ? entry.computed : entry.scheduled))
    return value;
  return checkValue(optimizer, name, entry, value);
}

/** What a value must be, in words: "must be a positive number". */
export function requirementOf(entry: OptionEntry): string {
  if (entry.type === "choice") return `must be ${listed(entry.choices)}`;
  if (entry.words)
    return `${numberRequirement(entry)} or ${listed(entry.words.map((word) => JSON.stringify(word)))}`;
  return numberRequirement(entry);
}

function numberRequirement(entry: NumberOption): string {
  const { least, above, below, most = Number.MAX_SAFE_INTEGER } = entry.range;
  if (entry.type === "integer") {
    return most < Number.MAX_SAFE_INTEGER
      ? `must be a whole number from ${least ?? 0} to ${most}`
      : `must be a whole number of at least ${least ?? 0}`;
  }
  if (least === 0 && below !== undefined) return `must lie in [0, ${below})`;
  if (above === 0) return "must be a positive number";
  return least === 0 ? "must be a number that is not negative" : "must be a finite number";
}

function checkValue(
  optimizer: string,
  name: string,
  entry: OptionEntry,
  value: unknown,
  where = "",
): unknown {
  const problem = problemWith(entry, value);
  if (problem === undefined) return value;
  throw new ArgumentError(optimizer, name, `${problem}, got ${shown(value)}${where}`);
}

/** What is wrong with a value, in words; undefined where nothing is. */
export function problemWith(entry: OptionEntry, value: unknown): string | undefined {
  if (entry.type === "choice") {
    return entry.choices.some((word) => word === value) ? undefined : requirementOf(entry);
  }
  if (typeof value === "string" && entry.words?.includes(value)) return undefined;
  if (typeof value !== "number" || !Number.isFinite(value) || !inside(entry, value)) {
    return requirementOf(entry);
  }
  if (entry.type === "integer") return Number.isSafeInteger(value) ? undefined : requirementOf(entry);
  // The GPU sees the nearest f32, which may be infinite, 0, or a bound that was not to be reached.
  const rounded = Math.fround(value);
  if (Number.isFinite(rounded) && inside(entry, rounded)) return undefined;
  return `${requirementOf(entry)} in f32`;
}

function inside({ range }: NumberOption, value: number): boolean {
  const { least, above, below, most } = range;
  return (
    value >= (least ?? Number.NEGATIVE_INFINITY) &&
    value > (above ?? Number.NEGATIVE_INFINITY) &&
    value < (below ?? Number.POSITIVE_INFINITY) &&
    value <= (most ?? Number.POSITIVE_INFINITY)
  );
}

/** Options as they were passed, without those that are undefined, and with objects that stand for several taken apart. */
function unfoldOptions(optimizer: string, schema: OptionSchema, given: unknown): Record<string, unknown> {
  if (typeof given !== "object" || given === null || Array.isArray(given)) {
    throw new ArgumentError(optimizer, "options", `must be an object, got ${shown(given)}`);
  }
  const unfolded: Record<string, unknown> = {};
  const add = (name: string, value: unknown) => {
    if (!Object.hasOwn(schema, name))
      throw new ArgumentError(optimizer, name, `is not an option; ${adviceFor(name, Object.keys(schema))}`);
    if (value === undefined) return;
    if (Object.hasOwn(unfolded, name) && unfolded[name] !== value) {
      throw new ArgumentError(
        optimizer,
        name,
        `is given twice, as ${shown(unfolded[name])} and as ${shown(value)}`,
      );
    }
    unfolded[name] = value;
  };
  for (const [name, value] of Object.entries(given)) {
    const entry = Object.hasOwn(schema, name) ? schema[name] : undefined;
    if (entry?.type === "choice" && entry.unfold && typeof value === "object" && value !== null) {
      const parts = entry.unfold(value as never);
      checkOption(optimizer, name, entry, parts[name]);
      for (const [part, own] of Object.entries(parts)) add(part, own);
    } else {
      add(name, value);
    }
  }
  return unfolded;
}
