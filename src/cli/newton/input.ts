/** The file of `kfac newton`: one of the note's three networks, checked before anything is computed. */
import { DataError } from "../../errors.js";
import type { NewtonExample } from "../../reference/index.js";
import {
  checkLinear,
  LINEAR_METHODS,
  type LinearMethod,
  type LinearProblem,
  type NewtonProblem,
} from "../../solve/problem.js";
import { parseConvolution } from "./convolution-input.js";
import {
  isObject,
  OPERATION,
  parseChoice,
  parseDamping,
  parseMatrix,
  readJson,
  requireKeys,
} from "./json.js";

const SINGLE_KEYS = ["A", "B", "target", "W", "damping", "method"];
const SEVERAL_KEYS = ["W", "examples", "damping", "method"];
const TILING_KEYS = ["tiling", "U", "A", "B", "target", "damping", "method"];
const EXAMPLE_KEYS = ["A", "B", "target"];
const OPTIONAL = ["damping", "method"];

/**
 * Throws `DataError`, `ShapeError` or `ArgumentError` for whatever is not a problem that can be solved. `method` is used
 * in the place of the file's.
 */
export function readNewtonFile(file: string, method?: string): NewtonProblem {
  return parseNewton(readJson(file), file, method);
}

/** As `readNewtonFile`, from a parsed value; `source` names it in messages. */
export function parseNewton(value: unknown, source = "input", method?: string): NewtonProblem {
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

function parseExamples(value: Record<string, unknown>, source: string, method?: string): LinearProblem {
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
    return parseExample(example, source, several ? `examples[${i}].` : "");
  });
  // One linear network's Hessian is the product of its factors, so that K-FAC is exact there.
  const rest = common(value, several ? "exact" : "kfac", method);
  return checked({ kind: "linear", W, examples, ...rest }, (i) => (several ? `examples[${i}].` : ""));
}

function parseTiling(value: Record<string, unknown>, source: string, method?: string): LinearProblem {
  requireKeys(source, "", value, TILING_KEYS, OPTIONAL);
  const tiling = parseMatrix(source, "tiling", value.tiling);
  const U = parseMatrix(source, "U", value.U);
  const examples = [parseExample(value, source, "")];
  return checked({ kind: "linear", W: U, examples, tiling, ...common(value, "exact", method) }, () => "");
}

/** Sizes are the solver's to check; in messages its operands have the file's names. */
function checked(problem: LinearProblem, prefixOf: (i: number) => string): LinearProblem {
  checkLinear(problem, { operation: OPERATION, prefixOf });
  return problem;
}

function common(value: Record<string, unknown>, fallback: LinearMethod, method: string | undefined) {
  const damping = parseDamping(value.damping);
  return { damping, method: parseChoice("method", method ?? value.method, LINEAR_METHODS) ?? fallback };
}

function parseExample(example: Record<string, unknown>, source: string, prefix: string): NewtonExample {
  const [A, B, target] = EXAMPLE_KEYS.map((key) => parseMatrix(source, prefix + key, example[key]));
  return { A: A!, B: B!, target: target! };
}
