/**
 * Options as data. An option is one entry of an optimiser's schema; from it come its TypeScript type, its checks, its
 * default, the flag of the command line, what a checkpoint may say of it, and a page's control.
 */
import type { Schedule } from "./schedules.js";

/** Bounds of a number; any that is absent is no bound. */
export interface OptionRange {
  /** Smallest allowed value. */
  readonly least?: number;
  /** Must be larger than this. */
  readonly above?: number;
  /** Must be smaller than this. */
  readonly below?: number;
  /** Largest allowed value. */
  readonly most?: number;
}

/** What any option says of itself. */
interface Described {
  /** Half a sentence for people. */
  readonly help: string;
  /** Its letter in the formulas. */
  readonly symbol?: string;
  /** Its name beside a control; defaults to `help`. */
  readonly label?: string;
  /** Whether it may be changed in mid-run. */
  readonly live?: boolean;
  /** May be left out although there is no default. */
  readonly optional?: boolean;
}

/** An option that is a number. Those of type `"number"` go to the GPU and must be numbers that f32 can hold. */
export interface NumberOption extends Described {
  readonly type: "number" | "integer";
  readonly range: OptionRange;
  readonly default?: number | string;
  /** Whether it may also be a `Schedule`. */
  readonly scheduled?: boolean;
  /** Words that it may be instead: rules by which the optimiser finds the number itself. */
  readonly words?: readonly string[];
  /** The ends of what is worth trying, for a control. */
  readonly usual?: readonly [least: number, most: number];
  /** Another option, which it must not be above. */
  readonly atMost?: string;
}

/** An option that is one of a few words. */
export interface ChoiceOption<C extends string = string, F = never> extends Described {
  readonly type: "choice";
  readonly choices: readonly C[];
  /** The choices for people; defaults to the words themselves. */
  readonly titles?: Readonly<Record<C, string>>;
  readonly default?: C;
  /** Takes apart an object that stands for several options. */
  readonly unfold?: (value: F) => Readonly<Record<string, unknown>>;
  /** It may also be a function, of this type: what it gives is checked where it is used. */
  readonly computed?: FunctionType;
}

/** Stands for a type of functions in a schema; holds nothing. */
export interface FunctionType<T = unknown> {
  readonly type?: T;
}

/** One entry of a schema. */
export type OptionEntry = NumberOption | ChoiceOption;

/** An optimiser's options by name. */
export type OptionSchema = Readonly<Record<string, OptionEntry>>;

/** The values of one option, schedules left out. */
export type OptionValue<O> = O extends { readonly choices: readonly (infer C)[] } ? C : number | WordOf<O>;
type WordOf<O> = O extends { readonly words: readonly (infer C)[] } ? C : never;
type ScheduleOf<O> = O extends { readonly scheduled: true } ? Schedule : never;
type FoldedOf<O> = O extends { readonly unfold: (value: infer F) => unknown } ? F : never;
type ComputedOf<O> = O extends { readonly computed: FunctionType<infer T> } ? T : never;
type AbsentOf<O> = O extends { readonly optional: true } ? undefined : never;
type GivenAs<O> = OptionValue<O> | ScheduleOf<O> | ComputedOf<O> | FoldedOf<O>;
type Omissible = { readonly default: number | string } | { readonly optional: true };

/** What a caller passes: options with a default may be left out. */
export type OptionsOf<S> = {
  -readonly [K in keyof S as S[K] extends Omissible ? never : K]: GivenAs<S[K]>;
} & {
  -readonly [K in keyof S as S[K] extends Omissible ? K : never]?: GivenAs<S[K]>;
};

/** What an optimiser holds: every option, defaults filled in. */
export type ResolvedOptions<S> = {
  readonly [K in keyof S]: OptionValue<S[K]> | ScheduleOf<S[K]> | ComputedOf<S[K]> | AbsentOf<S[K]>;
};

/** What one step works with: schedules have become numbers. */
export type SettingsOf<S> = {
  readonly [K in keyof S]: OptionValue<S[K]> | ComputedOf<S[K]> | AbsentOf<S[K]>;
};

/** What may be changed in mid-run. */
export type ChangesOf<S> = {
  -readonly [K in keyof S as S[K] extends { readonly live: true } ? K : never]?: GivenAs<S[K]>;
};

type NumberFacts = Omit<NumberOption, "type" | "range">;
type ChoiceFacts<C extends string, F> = Omit<ChoiceOption<C, F>, "type" | "choices">;

/** An option x > 0. */
export function positive<const O extends NumberFacts>(facts: O) {
  return { type: "number", range: { above: 0 }, ...facts } as const;
}

/** An option x ≥ 0. */
export function nonNegative<const O extends NumberFacts>(facts: O) {
  return { type: "number", range: { least: 0 }, ...facts } as const;
}

/** An option 0 ≤ x < 1. */
export function fraction<const O extends NumberFacts>(facts: O) {
  return { type: "number", range: { least: 0, below: 1 }, ...facts } as const;
}

/** A whole number from `least`, 1 by default, to `most`. */
export function whole<const O extends NumberFacts & OptionRange>(facts: O) {
  const { least = 1, most = Number.MAX_SAFE_INTEGER } = facts;
  return { type: "integer", range: { least, most }, ...facts } as const;
}

/** One of a few words. */
export function choice<
  const C extends string,
  F = never,
  const O extends ChoiceFacts<C, F> = ChoiceFacts<C, F>,
>(choices: readonly C[], facts: O & ChoiceFacts<C, F>) {
  return { type: "choice", choices, ...facts } as const;
}

/** The type of functions that a choice may be instead: `computed: functionOf<(layer: Layer) => string>()`. */
export function functionOf<T>(): FunctionType<T> {
  return {};
}
