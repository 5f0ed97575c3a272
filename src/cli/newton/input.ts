/** The file of `kfac newton`: one of the note's three networks, checked before anything is computed. */
import { DataError } from "../../errors.js";
import { type Matrix, matmul, type NewtonExample, requireShape } from "../../reference/index.js";
import { type ConvolutionInput, parseConvolution } from "./convolution-input.js";
import {
  isObject,
  OPERATION,
  parseChoice,
  parseDamping,
  parseMatrix,
  readJson,
  requireKeys,
} from "./json.js";

export const LINEAR_METHODS = ["exact", "kfac", "ekfac", "kfoc"] as const;
export type LinearMethod = (typeof LINEAR_METHODS)[number];

/** Predictions B_i'WA_i. */
export interface LinearInput {
  kind: "linear";
  /** out × in. With a tiling it is U, and the examples have K'B in the place of B. */
  W: Matrix;
  /** One for the single linear network. */
  examples: NewtonExample[];
  /** λ ≥ 0. */
  damping: number;
  method: LinearMethod;
  /** K of W = K U. */
  tiling?: Matrix;
}

export type NewtonInput = LinearInput | ConvolutionInput;

const SINGLE_KEYS = ["A", "B", "target", "W", "damping", "method"];
const SEVERAL_KEYS = ["W", "examples", "damping", "method"];
const TILING_KEYS = ["tiling", "U", "A", "B", "target", "damping", "method"];
const EXAMPLE_KEYS = ["A", "B", "target"];
const OPTIONAL = ["damping", "method"];

/**
 * Throws `DataError`, `ShapeError` or `ArgumentError` for whatever is not a problem that can be solved. `method` is used
 * in the place of the file's.
 */
export function readNewtonFile(file: string, method?: string): NewtonInput {
  return parseNewton(readJson(file), file, method);
}

/** As `readNewtonFile`, from a parsed value; `source` names it in messages. */
export function parseNewton(value: unknown, source = "input", method?: string): NewtonInput {
  if (!isObject(value)) {
    throw new DataError(
      source,
      "must hold one JSON object with A, B, target and W, or W and examples, or tiling, or convolution",
    );
  }
  if ("convolution" in value) {
    requireKeys(source, "", value, ["convolution"], []);
    return parseConvolution(value.convolution, source, method);
  }
  if ("tiling" in value) return parseTiling(value, source, method);
  return parseExamples(value, source, method);
}

function parseExamples(value: Record<string, unknown>, source: string, method?: string): LinearInput {
  const several = "examples" in value;
  const mixed = EXAMPLE_KEYS.filter((key) => several && key in value);
  if (mixed.length > 0) {
    throw new DataError(source, `has examples and also ${mixed.join(", ")}; move these into an example`);
  }
  requireKeys(source, "", value, several ? SEVERAL_KEYS : SINGLE_KEYS, OPTIONAL);
  const W = parseMatrix(source, "W", value.W);
  const list = several ? value.examples : [value];
  if (!Array.isArray(list) || list.length === 0) {
    throw new DataError(source, "examples must be an array of at least one example");
  }
  const examples = list.map((example: unknown, i): NewtonExample => {
    if (!isObject(example))
      throw new DataError(source, `examples[${i}] must be an object with A, B and target`);
    if (several) requireKeys(source, `examples[${i}].`, example, EXAMPLE_KEYS, []);
    return parseExample(example, source, several ? `examples[${i}].` : "", W);
  });
  // One linear network's Hessian is the product of its factors, so that K-FAC is exact there.
  return { kind: "linear", W, examples, ...common(value, several ? "exact" : "kfac", method) };
}

function parseTiling(value: Record<string, unknown>, source: string, method?: string): LinearInput {
  requireKeys(source, "", value, TILING_KEYS, OPTIONAL);
  const K = parseMatrix(source, "tiling", value.tiling);
  const U = parseMatrix(source, "U", value.U);
  requireShape(OPERATION, "tiling", K, K.rows, U.rows, "tiling has one column per row of U, as W = K U");
  const example = parseExample(value, source, "", { rows: K.rows, cols: U.cols }, "W = K U");
  const B = matmul(K, example.B, { transposeA: true });
  const examples = [{ ...example, B }];
  return { kind: "linear", W: U, examples, tiling: K, ...common(value, "exact", method) };
}

function common(value: Record<string, unknown>, fallback: LinearMethod, method: string | undefined) {
  const damping = parseDamping(value.damping);
  return { damping, method: parseChoice("method", method ?? value.method, LINEAR_METHODS) ?? fallback };
}

function parseExample(
  example: Record<string, unknown>,
  source: string,
  prefix: string,
  W: { rows: number; cols: number },
  name = "W",
): NewtonExample {
  const A = parseMatrix(source, `${prefix}A`, example.A);
  const B = parseMatrix(source, `${prefix}B`, example.B);
  const target = parseMatrix(source, `${prefix}target`, example.target);
  requireShape(OPERATION, `${prefix}A`, A, W.cols, A.cols, `${prefix}A has one row per column of ${name}`);
  requireShape(OPERATION, `${prefix}B`, B, W.rows, B.cols, `${prefix}B has one row per row of ${name}`);
  requireShape(
    OPERATION,
    `${prefix}target`,
    target,
    B.cols,
    A.cols,
    `${prefix}target has one row per column of B and one column per column of A`,
  );
  return { A, B, target };
}
