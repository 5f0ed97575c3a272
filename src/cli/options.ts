/** Options of a command: one table describes how they are read, checked and shown in the help. */
import { parseArgs } from "node:util";
import { nearest } from "../arguments.js";
import { problemWith } from "../optimizers/resolve.js";
import type { OptionEntry } from "../optimizers/schema.js";
import { UsageError } from "./failure.js";

export interface Option<V> {
  /** Stands for the value in the help; undefined for an option without a value. */
  readonly placeholder?: string;
  readonly help: string;
  /** Throws a string that says what the value must be. */
  parse(text: string): V;
}

export type OptionTable = Readonly<Record<string, Option<unknown>>>;

/** What was given on the command line: absent options are undefined. */
export type OptionValues<T extends OptionTable> = {
  [K in keyof T]?: T[K] extends Option<infer V> ? V : never;
};

export function flag(help: string): Option<true> {
  return { help, parse: () => true };
}

export function text(placeholder: string, help: string): Option<string> {
  return {
    placeholder,
    help,
    parse(value) {
      if (value === "") throw "must not be empty";
      return value;
    },
  };
}

export function choice<const C extends string>(choices: readonly C[], help: string): Option<C> {
  return {
    placeholder: choices.join("|"),
    help,
    parse(value) {
      const found = choices.find((name) => name === value);
      if (found === undefined) throw `must be ${listed(choices)}`;
      return found;
    },
  };
}

interface Range {
  /** Smallest allowed value. */
  least?: number;
  /** Must be larger than this. */
  above?: number;
  /** Must be smaller than this. */
  below?: number;
  most?: number;
}

export function number(help: string, range: Range = {}): Option<number> {
  return {
    placeholder: "X",
    help,
    parse(value) {
      const result = numberIn(value, "number");
      if (!(Number.isFinite(result) && inside(result, range))) throw `must be a number${inWords(range)}`;
      return result;
    },
  };
}

export function integer(help: string, least: number, most = Number.MAX_SAFE_INTEGER): Option<number> {
  const range = most === Number.MAX_SAFE_INTEGER ? { least } : { least, most };
  return {
    placeholder: "N",
    help,
    parse(value) {
      const result = numberIn(value, "integer");
      if (!(Number.isSafeInteger(result) && inside(result, range)))
        throw `must be a whole number${inWords(range)}`;
      return result;
    },
  };
}

/** Longest list of words that stands in the place of a value. */
const WORDS_WIDTH = 40;

/** Words of a choice that are too many to stand in the place of its value: for the help. */
export function wordsOf(entry: OptionEntry): string | undefined {
  if (entry.type !== "choice" || entry.choices.join("|").length <= WORDS_WIDTH) return undefined;
  return listed(entry.choices);
}

function placeholderOf(entry: OptionEntry): string {
  if (entry.type === "choice") return wordsOf(entry) === undefined ? entry.choices.join("|") : "KIND";
  return [entry.type === "integer" ? "N" : "X", ...(entry.words ?? [])].join("|");
}

/** An option of an optimiser. */
export function optionOf(entry: OptionEntry, help: string): Option<number | string> {
  return {
    placeholder: placeholderOf(entry),
    help,
    parse(value) {
      const word = entry.type === "choice" || entry.words?.includes(value);
      const read = word ? value : numberIn(value, entry.type);
      const problem = problemWith(entry, read);
      if (problem !== undefined) throw problem;
      return read;
    },
  };
}

/** The number that is written, NaN for anything else. */
function numberIn(value: string, type: "number" | "integer"): number {
  const isNumber = type === "integer" ? /^[+-]?\d+$/.test(value) : value.trim() !== "";
  return isNumber ? Number(value) : Number.NaN;
}

function inside(value: number, { least, above, below, most }: Range): boolean {
  return (
    value >= (least ?? Number.NEGATIVE_INFINITY) &&
    value > (above ?? Number.NEGATIVE_INFINITY) &&
    value < (below ?? Number.POSITIVE_INFINITY) &&
    value <= (most ?? Number.POSITIVE_INFINITY)
  );
}

function inWords({ least, above, below, most }: Range): string {
  const bounds = [
    least !== undefined && `at least ${least}`,
    above !== undefined && `above ${above}`,
    below !== undefined && `below ${below}`,
    most !== undefined && `at most ${most}`,
  ].filter((bound) => bound !== false);
  return bounds.length === 0 ? "" : ` ${bounds.join(" and ")}`;
}

export interface Parsed<T extends OptionTable> {
  options: OptionValues<T>;
  positionals: string[];
  help: boolean;
}

/**
 * Reads the arguments after the command's name. `positionals` names the arguments without an option, in order.
 * Throws `UsageError`, in one sentence, for whatever does not fit. With --help nothing else is checked.
 */
export function parseOptions<T extends OptionTable>(
  command: string,
  table: T,
  argv: readonly string[],
  positionalNames: readonly string[] = [],
): Parsed<T> {
  const known = Object.fromEntries(
    Object.entries(table).map(([name, option]) => [
      name,
      { type: option.placeholder === undefined ? ("boolean" as const) : ("string" as const) },
    ]),
  );
  const { tokens } = parseArgs({
    args: [...argv],
    options: { ...known, help: { type: "boolean", short: "h" } },
    strict: false,
    tokens: true,
    allowPositionals: true,
  });
  const fail = (sentence: string) => new UsageError(`${command}: ${sentence} (see ${command} --help).`);
  const help = tokens.some((token) => token.kind === "option" && token.name === "help");
  const options: Record<string, unknown> = {};
  const positionals: string[] = [];
  if (help) return { options: {}, positionals, help };
  for (const token of tokens) {
    if (token.kind === "option-terminator") continue;
    if (token.kind === "positional") {
      if (positionals.length >= positionalNames.length) throw fail(`unexpected argument ${token.value}`);
      positionals.push(token.value);
      continue;
    }
    const option = Object.hasOwn(table, token.name) ? table[token.name] : undefined;
    if (!option) throw fail(`unknown option ${token.rawName}${suggestion(token.name, Object.keys(table))}`);
    if (Object.hasOwn(options, token.name)) throw fail(`${token.rawName} is given twice`);
    if (option.placeholder === undefined && token.value !== undefined) {
      throw fail(`${token.rawName} takes no value`);
    }
    const missing = token.value === undefined || (!token.inlineValue && token.value.startsWith("--"));
    if (option.placeholder !== undefined && missing) {
      throw fail(`${token.rawName} needs a value (${option.placeholder})`);
    }
    try {
      options[token.name] = option.parse(token.value ?? "");
    } catch (problem) {
      if (typeof problem !== "string") throw problem;
      throw fail(`${token.rawName} ${problem}, got ${JSON.stringify(token.value)}`);
    }
  }
  const absent = positionalNames[positionals.length];
  if (absent !== undefined) throw fail(`${absent} is missing`);
  return { options: options as OptionValues<T>, positionals, help };
}

/** The table as lines of help. */
export function describeOptions(table: OptionTable): string {
  const rows = [...Object.entries(table), ["help", flag("show this text")] as const].map(
    ([name, option]): [string, string] => [
      `  --${name}${option.placeholder === undefined ? "" : ` ${option.placeholder}`}`,
      option.help,
    ],
  );
  return rows
    .map(([left, right]) => {
      const indent = " ".repeat(26);
      const lines = wrap(right, 78 - indent.length);
      const first = left.length < indent.length - 1 ? left.padEnd(indent.length) : `${left}\n${indent}`;
      return first + lines.join(`\n${indent}`);
    })
    .join("\n");
}

function wrap(sentence: string, width: number): string[] {
  const lines = [""];
  for (const word of sentence.split(" ")) {
    const line = lines[lines.length - 1]!;
    if (line !== "" && line.length + 1 + word.length > width) lines.push(word);
    else lines[lines.length - 1] = line === "" ? word : `${line} ${word}`;
  }
  return lines;
}

export function listed(words: readonly string[]): string {
  return words.length < 2 ? words.join("") : `${words.slice(0, -1).join(", ")} or ${words[words.length - 1]}`;
}

/** `; did you mean --seed?` when one name is nearly what was written. */
export function suggestion(name: string, names: readonly string[], prefix = "--"): string {
  const meant = nearest(name, names);
  return meant === undefined ? "" : `; did you mean ${prefix}${meant}?`;
}
