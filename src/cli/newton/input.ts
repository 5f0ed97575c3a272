/** The file of `kfac newton`: matrices as arrays of rows, checked before anything is computed. */
import { readFileSync } from "node:fs";
import { ArgumentError, DataError, ShapeError } from "../../errors.js";
import { type Matrix, matrix, type NewtonExample, requireShape } from "../../reference/index.js";

export interface NewtonInput {
  /** out × in. */
  W: Matrix;
  /** One for the single linear network. */
  examples: NewtonExample[];
  /** λ ≥ 0. */
  damping: number;
}

const OPERATION = "newton";
const SINGLE_KEYS = ["A", "B", "target", "W", "damping"];
const SEVERAL_KEYS = ["W", "examples", "damping"];
const EXAMPLE_KEYS = ["A", "B", "target"];
const LARGEST_F32 = 3.4028234663852886e38;

/** Throws `DataError`, `ShapeError` or `ArgumentError` for whatever is not a problem that can be solved. */
export function readNewtonFile(file: string): NewtonInput {
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
  let value: unknown;
  try {
    value = JSON.parse(text.replace(/^\uFEFF/, ""));
  } catch (error) {
    const why = error instanceof Error ? error.message.replace(/\s+/g, " ").replace(/\.$/, "") : "";
    throw new DataError(file, `is not valid JSON (${why})`);
  }
  return parseNewton(value, file);
}

/** As `readNewtonFile`, from a parsed value; `source` names it in messages. */
export function parseNewton(value: unknown, source = "input"): NewtonInput {
  if (!isObject(value)) {
    throw new DataError(source, "must hold one JSON object with A, B, target and W, or W and examples");
  }
  const several = "examples" in value;
  const mixed = EXAMPLE_KEYS.filter((key) => several && key in value);
  if (mixed.length > 0) {
    throw new DataError(source, `has examples and also ${mixed.join(", ")}; move these into an example`);
  }
  requireKeys(source, "", value, several ? SEVERAL_KEYS : SINGLE_KEYS, ["damping"]);
  const W = parseMatrix(source, "W", value.W);
  const damping = parseDamping(value.damping);
  const list = several ? value.examples : [value];
  if (!Array.isArray(list) || list.length === 0) {
    throw new DataError(source, "examples must be an array of at least one example");
  }
  const examples = list.map((example: unknown, i): NewtonExample => {
    const prefix = several ? `examples[${i}].` : "";
    if (!isObject(example))
      throw new DataError(source, `examples[${i}] must be an object with A, B and target`);
    if (several) requireKeys(source, prefix, example, EXAMPLE_KEYS, []);
    const A = parseMatrix(source, `${prefix}A`, example.A);
    const B = parseMatrix(source, `${prefix}B`, example.B);
    const target = parseMatrix(source, `${prefix}target`, example.target);
    requireShape(OPERATION, `${prefix}A`, A, W.cols, A.cols, `${prefix}A has one row per column of W`);
    requireShape(OPERATION, `${prefix}B`, B, W.rows, B.cols, `${prefix}B has one row per row of W`);
    requireShape(
      OPERATION,
      `${prefix}target`,
      target,
      B.cols,
      A.cols,
      `${prefix}target has one row per column of B and one column per column of A`,
    );
    return { A, B, target };
  });
  return { W, examples, damping };
}

function requireKeys(
  source: string,
  prefix: string,
  value: Record<string, unknown>,
  known: readonly string[],
  optional: readonly string[],
): void {
  const unknown = Object.keys(value).filter((key) => !known.includes(key));
  if (unknown.length > 0) {
    const where = prefix === "" ? "" : `${prefix.slice(0, -1)} `;
    throw new DataError(
      source,
      `${where}has the unknown key ${JSON.stringify(unknown[0])}; known are ${known.join(", ")}`,
    );
  }
  const missing = known.find((key) => !optional.includes(key) && !(key in value));
  if (missing !== undefined) throw new DataError(source, `${prefix}${missing} is missing`);
}

function parseMatrix(source: string, name: string, value: unknown): Matrix {
  if (!Array.isArray(value) || value.length === 0 || !value.every((row) => Array.isArray(row))) {
    throw new DataError(source, `${name} must be an array of at least one row, each an array of numbers`);
  }
  const rows = value as unknown[][];
  const cols = rows[0]!.length;
  if (cols === 0) throw new DataError(source, `${name} has no columns; give every row at least one number`);
  const out = matrix(rows.length, cols);
  rows.forEach((row, i) => {
    if (row.length !== cols) {
      throw new ShapeError(
        OPERATION,
        `${name}[${i}]`,
        [row.length],
        [cols],
        `make all rows of ${name} as long as the first`,
      );
    }
    row.forEach((x, j) => {
      if (typeof x !== "number" || !(Math.abs(x) <= LARGEST_F32)) {
        const found = typeof x === "number" ? String(x) : (JSON.stringify(x) ?? "nothing").slice(0, 40);
        throw new DataError(source, `${name}[${i}][${j}] is ${found}; pass numbers that are finite in f32`);
      }
      out.data[i * cols + j] = x;
    });
  });
  return out;
}

function parseDamping(value: unknown): number {
  if (value === undefined) return 0;
  if (typeof value === "number" && value >= 0 && value <= LARGEST_F32) return value;
  const found = typeof value === "number" ? String(value) : JSON.stringify(value).slice(0, 40);
  throw new ArgumentError(OPERATION, "damping", `must be a finite number that is not negative, got ${found}`);
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
