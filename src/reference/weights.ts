/** Matrices by name: what a graph's weights, their gradients and an optimiser's moments are. */
import { ArgumentError } from "../errors.js";
import { type Matrix, matrix, requireShape } from "./matrix.js";
import { isFiniteMatrix } from "./reduce.js";

/** Matrices by the key of the weights they belong to. */
export type Weights = Readonly<Record<string, Matrix>>;

/** A matrix of zeros for each key. */
export function zerosLike(weights: Weights): Record<string, Matrix> {
  return mapWeights(weights, ({ rows, cols }) => matrix(rows, cols));
}

/** `change` of each matrix, under the same keys. */
export function mapWeights<T>(weights: Weights, change: (W: Matrix, key: string) => T): Record<string, T> {
  return Object.fromEntries(Object.entries(weights).map(([key, W]) => [key, change(W, key)]));
}

/** √Σ m_ij² over all matrices. */
export function normOfAll(matrices: Iterable<Matrix>): number {
  let sum = 0;
  for (const { data } of matrices) sum += data.reduce((all, x) => all + x * x, 0);
  return Math.sqrt(sum);
}

/** How ω pulls weights towards zero: by the penalty ½ω‖W‖², or W ← W − ηωW beside the step (Loshchilov & Hutter 2019). */
export type Decay = "coupled" | "decoupled";

/** @throws ArgumentError unless `value` is a kind of decay */
export function requireDecay(operation: string, argument: string, value: Decay): Decay {
  if (value === "coupled" || value === "decoupled") return value;
  throw new ArgumentError(operation, argument, `must be "coupled" or "decoupled", got ${value}`);
}

/** min(1, c/‖G‖) G with the norm over all matrices (Pascanu, Mikolov & Bengio 2013); c = 0 changes nothing. */
export function clipGradients(gradients: Weights, bound: number): Weights {
  const norm = bound > 0 ? normOfAll(Object.values(gradients)) : 0;
  if (norm <= bound) return gradients;
  return mapWeights(gradients, ({ rows, cols, data }) => ({
    rows,
    cols,
    data: data.map((g) => (bound / norm) * g),
  }));
}

/** Whether every number of every matrix is finite. */
export function allFinite(weights: Weights): boolean {
  return Object.values(weights).every(isFiniteMatrix);
}

/**
 * Checks that `given` has the keys of `weights`, no others, and matrices of the same shapes.
 *
 * @throws ArgumentError for a key that is missing or foreign, ShapeError for a shape.
 */
export function requireLike(operation: string, operand: string, given: Weights, weights: Weights): void {
  for (const [key, { rows, cols }] of Object.entries(weights)) {
    if (!Object.hasOwn(given, key)) {
      throw new ArgumentError(operation, operand, `must hold "${key}", as the weights do`);
    }
    requireShape(operation, `${operand}.${key}`, given[key]!, rows, cols);
  }
  const foreign = Object.keys(given).find((key) => !Object.hasOwn(weights, key));
  if (foreign !== undefined) {
    throw new ArgumentError(operation, operand, `must hold what the weights do, got "${foreign}" too`);
  }
}

/** @throws ArgumentError unless value is a positive finite number */
export function requirePositive(operation: string, argument: string, value: number): number {
  if (value > 0 && Number.isFinite(value)) return value;
  throw new ArgumentError(operation, argument, `must be a positive number, got ${value}`);
}

/** @throws ArgumentError unless value is finite and not negative */
export function requireNonNegative(operation: string, argument: string, value: number): number {
  if (value >= 0 && Number.isFinite(value)) return value;
  throw new ArgumentError(operation, argument, `must be a number that is not negative, got ${value}`);
}

/** @throws ArgumentError unless 0 ≤ value < 1 */
export function requireFraction(operation: string, argument: string, value: number): number {
  if (value >= 0 && value < 1) return value;
  throw new ArgumentError(operation, argument, `must lie in [0, 1), got ${value}`);
}

/** @throws ArgumentError unless value is a whole number ≥ 1 */
export function requirePeriod(operation: string, argument: string, value: number): number {
  if (Number.isInteger(value) && value >= 1) return value;
  throw new ArgumentError(operation, argument, `must be a whole number of at least 1, got ${value}`);
}
