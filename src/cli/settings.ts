/** The optimisers' options as the command line has them: flags, their help, and what a checkpoint may say of them. */
import { ADAM_OPTIONS, KFAC_OPTIONS, SGD_OPTIONS } from "../optimizers/options.js";
import { problemWith } from "../optimizers/resolve.js";
import { type OptionEntry, type OptionSchema, type OptionValue, positive } from "../optimizers/schema.js";
import type { OptimizerKind } from "./choices.js";
import { type Option, optionOf, wordsOf } from "./options.js";

/** Of the run rather than of an optimiser. */
const RUN_OPTIONS = {
  finalRate: positive({
    default: 1,
    help: "share of the learning rate left at the end, linearly in between",
  }),
} as const;

const SCHEMAS = { kfac: KFAC_OPTIONS, sgd: SGD_OPTIONS, adam: ADAM_OPTIONS } as const;
const KINDS = Object.keys(SCHEMAS) as readonly OptimizerKind[];

type Schema = (typeof SCHEMAS)[OptimizerKind] | typeof RUN_OPTIONS;
type NamesOf<S> = S extends unknown ? keyof S : never;
type EntryOf<N, S> = S extends unknown ? (N extends keyof S ? S[N] : never) : never;
/** The run's seed stands for the optimisers'. */
type Name = Exclude<NamesOf<Schema>, "seed">;
type Value<N> = OptionValue<EntryOf<N, Schema>>;

/** Settings of every optimiser; each takes those it knows, and has its own default for what is absent. */
export type HyperParameters = { -readonly [N in Name]?: Value<N> };

/** `learningRate` as `learning-rate`. */
type Kebab<N extends string> = N extends `${infer First}${infer Rest}`
  ? `${First extends Lowercase<First> ? First : `-${Lowercase<First>}`}${Kebab<Rest>}`
  : "";

/** The flag of each setting, without its dashes. */
export type SettingFlags = { readonly [N in Name as Kebab<N>]: Option<Value<N>> };

const { learningRate, ...others } = { ...KFAC_OPTIONS, ...SGD_OPTIONS, ...ADAM_OPTIONS, ...KFAC_OPTIONS };
/** Every setting once: as K-FAC has it, since only there it may be a word, else as another optimiser has it. */
const ENTRIES: Readonly<Record<string, OptionEntry>> = { learningRate, ...RUN_OPTIONS, ...others };
const NAMES = Object.keys(ENTRIES).filter((name) => name !== "seed") as readonly Name[];

/** Presets of the optimisers, for networks without and with convolutions. */
type Presets = Readonly<Record<OptimizerKind, HyperParameters>>;

/** The flags, with the presets in their help. */
export function settingFlags(dense: Presets, convolutional: Presets): SettingFlags {
  return Object.fromEntries(
    NAMES.map((name) => [flagOf(name), optionOf(ENTRIES[name]!, helpOf(name, dense, convolutional))]),
  ) as unknown as SettingFlags;
}

/** The settings among the options that were given. */
export function givenSettings(options: Readonly<Record<string, unknown>>): HyperParameters {
  const given = NAMES.map((name) => [name, options[flagOf(name)]] as const);
  return Object.fromEntries(given.filter(([, value]) => value !== undefined));
}

/** Flags that were given and mean nothing to this optimiser, in the order in which they were given. */
export function uselessFlags(options: Readonly<Record<string, unknown>>, kind: OptimizerKind): string[] {
  const foreign = new Set(NAMES.filter((name) => !takes(kind, name)).map(flagOf));
  return Object.keys(options).filter((flag) => foreign.has(flag) && options[flag] !== undefined);
}

/** A setting that this optimiser cannot take, as its flag and why; undefined where all is well. */
export function unfitSetting(kind: OptimizerKind, settings: HyperParameters): string | undefined {
  const schema: OptionSchema = SCHEMAS[kind];
  for (const [name, value] of Object.entries(settingsFor(kind, settings))) {
    const problem = problemWith(schema[name]!, value);
    if (problem !== undefined)
      return `--${flagOf(name as Name)} ${problem} with --optimizer ${kind}, got "${value}"`;
  }
  const { finalRate = 1, learningRate = schema.learningRate?.default } = settings;
  if (finalRate === 1 || typeof learningRate !== "string") return undefined;
  return `--final-rate is a share of a --learning-rate that is a number, and this one is "${learningRate}", which the optimiser finds itself; leave --final-rate out or pass a number`;
}

/** What an optimiser takes of the settings. */
export function settingsFor(kind: OptimizerKind, settings: HyperParameters): object {
  return Object.fromEntries(Object.entries(settings).filter(([name]) => Object.hasOwn(SCHEMAS[kind], name)));
}

/**
 * The settings in a checkpoint; what is not a setting is left out.
 *
 * @throws what `fail` makes of the name of one that has an impossible value
 */
export function savedSettings(
  saved: Readonly<Record<string, unknown>>,
  fail: (name: string) => Error,
): HyperParameters {
  const found = NAMES.filter((name) => saved[name] !== undefined);
  for (const name of found) if (problemWith(ENTRIES[name]!, saved[name]) !== undefined) throw fail(name);
  return Object.fromEntries(found.map((name) => [name, saved[name]]));
}

function flagOf(name: Name): string {
  return name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

function takes(kind: OptimizerKind, name: Name): boolean {
  return name in RUN_OPTIONS || Object.hasOwn(SCHEMAS[kind], name);
}

/** "kfac: λ, added to the curvature … (0.01)". */
function helpOf(name: Name, dense: Presets, convolutional: Presets): string {
  const entry = ENTRIES[name]!;
  const words = wordsOf(entry);
  const kinds = KINDS.filter((kind) => takes(kind, name));
  const whose = kinds.length === KINDS.length ? "" : `${kinds.join(" and ")}: `;
  const plain = valuesOf(name, kinds, dense);
  const other = valuesOf(name, kinds, convolutional);
  const values = plain === other ? plain : `${plain}; with convolutions ${other}`;
  const what = `${entry.symbol ? `${entry.symbol}, ` : ""}${entry.help}${words ? `: ${words}` : ""}`;
  return `${whose}${what} (${values})`;
}

/** The value where it is the same for all, else each with its optimiser. */
function valuesOf(name: Name, kinds: readonly OptimizerKind[], presets: Presets): string {
  const values = kinds.map((kind) => {
    const schema: OptionSchema = SCHEMAS[kind];
    return written(presets[kind][name] ?? schema[name]?.default ?? ENTRIES[name]!.default ?? "none");
  });
  return new Set(values).size === 1
    ? String(values[0])
    : kinds.map((kind, k) => `${kind} ${values[k]}`).join(", ");
}

/** 0.1, 1e+10, "model". */
function written(value: number | string): string {
  return typeof value === "number" && Math.abs(value) >= 1e6 ? value.toExponential() : String(value);
}
