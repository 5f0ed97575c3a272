/** Reading the JSON of `kfac newton`: nested arrays and options, each checked and named in what is thrown. */
import { readFileSync } from "node:fs";
import { ArgumentError, DataError, ShapeError } from "../../errors.js";
import { type Matrix, matrix, type Tensor, tensor } from "../../reference/index.js";

export const OPERATION = "newton";
const LARGEST_F32 = 3.4028234663852886e38;

/** Throws `DataError` for a file that cannot be read or is no JSON. */
export function readJson(file: string): unknown {
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    throw new DataError(
      file,
      `cannot be read (${code === "ENOENT" ? "it does not exist" : (code ?? message)})`,
    );
  }
  try {
    return JSON.parse(text.replace(/^\uFEFF/, ""));
  } catch (error) {
    const why = error instanceof Error ? error.message.replace(/\s+/g, " ").replace(/\.$/, "") : "";
    throw new DataError(file, `is not valid JSON (${why})`);
  }
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Throws `DataError` for a key that is not `known`, or a known one that is missing and not `optional`. */
export function requireKeys(
  source: string,
  prefix: string,
  value: Record<string, unknown>,
  known: readonly string[],
  optional: readonly string[],
): void {
  const unknown = Object.keys(value).find((key) => !known.includes(key));
  if (unknown !== undefined) {
    const where = prefix === "" ? "" : `${prefix.slice(0, -1)} `;
    throw new DataError(
      source,
      `${where}has the unknown key ${JSON.stringify(unknown)}; known are ${known.join(", ")}`,
    );
  }
  const missing = known.find((key) => !optional.includes(key) && !(key in value));
  if (missing !== undefined) throw new DataError(source, `${prefix}${missing} is missing`);
}

export function parseMatrix(source: string, name: string, value: unknown): Matrix {
  if (!Array.isArray(value) || value.length === 0 || !value.every((row) => Array.isArray(row))) {
    throw new DataError(source, `${name} must be an array of at least one row, each an array of numbers`);
  }
  if ((value[0] as unknown[]).length === 0) {
    throw new DataError(source, `${name} has no columns; give every row at least one number`);
  }
  const { shape, data } = parseNested(source, name, value, 2);
  return matrix(shape[0]!, shape[1]!, data);
}

export function parseVector(source: string, name: string, value: unknown): Float64Array {
  return Float64Array.from(parseNested(source, name, value, 1).data);
}

export function parseTensor(source: string, name: string, value: unknown): Tensor {
  const { shape, data } = parseNested(source, name, value, 4);
  return tensor(shape as [number, number, number, number], data);
}

/** The numbers of an array nested `depth` deep, all arrays of a level as long as its first. */
function parseNested(
  source: string,
  name: string,
  value: unknown,
  depth: number,
): { shape: number[]; data: number[] } {
  const shape: number[] = [];
  for (let level: unknown = value, place = name, d = 0; d < depth; d++) {
    if (!Array.isArray(level) || level.length === 0) {
      const what = d === 0 ? `must be an array${depth > 1 ? ` nested ${depth} deep` : " of numbers"}` : "";
      const inside = level === undefined ? "nothing" : Array.isArray(level) ? "an empty array" : "no array";
      throw new DataError(
        source,
        d === 0 ? `${name} ${what}` : `${place} is ${inside}; ${name} is nested ${depth} deep`,
      );
    }
    shape.push(level.length);
    level = level[0];
    place += "[0]";
  }
  const data: number[] = [];
  const visit = (part: unknown, place: string, d: number) => {
    if (d === depth) {
      if (typeof part !== "number" || !(Math.abs(part) <= LARGEST_F32)) {
        throw new DataError(source, `${place} is ${found(part)}; pass numbers that are finite in f32`);
      }
      data.push(part);
      return;
    }
    if (!Array.isArray(part)) {
      throw new DataError(source, `${place} is ${found(part)}; pass an array of ${shape[d]}`);
    }
    if (part.length !== shape[d]) {
      const hint =
        depth === 2 ? `make all rows of ${name} as long as the first` : `${name} must not be ragged`;
      throw new ShapeError(OPERATION, place, [part.length], [shape[d]!], hint);
    }
    part.forEach((inner, k) => {
      visit(inner, `${place}[${k}]`, d + 1);
    });
  };
  visit(value, name, 0);
  return { shape, data };
}

function found(value: unknown): string {
  return typeof value === "number" ? String(value) : (JSON.stringify(value) ?? "nothing").slice(0, 40);
}

export function parseDamping(value: unknown): number {
  if (value === undefined) return 0;
  if (typeof value === "number" && value >= 0 && value <= LARGEST_F32) return value;
  throw new ArgumentError(
    OPERATION,
    "damping",
    `must be a finite number that is not negative, got ${found(value)}`,
  );
}

/** A whole number of at least `least`, or two of them [y, x]; `fallback` for none. */
export function parsePair(name: string, value: unknown, least: number, fallback: number): [number, number] {
  if (value === undefined) return [fallback, fallback];
  const pair = Array.isArray(value) ? value : [value, value];
  const fits = pair.length === 2 && pair.every((v) => Number.isSafeInteger(v) && v >= least);
  if (fits) return [pair[0], pair[1]];
  throw new ArgumentError(
    OPERATION,
    name,
    `must be a whole number of at least ${least} or two of them [y, x], got ${found(value)}`,
  );
}

export function parseChoice<const C extends string>(
  name: string,
  value: unknown,
  choices: readonly C[],
): C | undefined {
  if (value === undefined) return undefined;
  const choice = choices.find((one) => one === value);
  if (choice !== undefined) return choice;
  throw new ArgumentError(OPERATION, name, `must be one of ${choices.join(", ")}, got ${found(value)}`);
}
