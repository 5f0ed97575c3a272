/**
 * Checks by central differences for graphs and for single operations: a new kind of layer is held against its own forward
 * pass. Nothing here back-propagates except to compare.
 */
import { RandomStream } from "../random/index.js";
import { groupRows } from "./conv.js";
import { finiteDifferenceGgn, finiteDifferenceGradient } from "./finite-difference.js";
import {
  type GraphInputs,
  graphForward,
  type ReferenceGraph,
  type ReferenceOp,
  type Weights,
} from "./graph.js";
import { type LossKind, lossHessian, lossValues, type Reduction, type Targets } from "./loss.js";
import { matmul } from "./matmul.js";
import { add, type Matrix, matrix, scale, stackRows } from "./matrix.js";
import { dot, relativeError } from "./reduce.js";
import type { Value } from "./tensor.js";

/**
 * The gradient of the graph's loss in the weights of one key, by differences of the loss. Tied weights move together.
 * `reduction` defaults to "mean"; `step` is the distance to either side.
 *
 * @throws as `graphForward`, and as the loss for targets that do not fit the outputs.
 */
export function graphGradientByDifferences(
  graph: ReferenceGraph,
  weights: Weights,
  key: string,
  kind: LossKind,
  inputs: GraphInputs,
  targets: Targets,
  options: { reduction?: Reduction; step?: number } = {},
): Matrix {
  const { reduction = "mean", step } = options;
  const loss = (W: Matrix) => {
    const { outputs } = graphForward(graph, { ...weights, [key]: W }, inputs);
    const total = lossValues(kind, outputs, targets).reduce((a, b) => a + b, 0);
    return reduction === "mean" ? total / outputs.rows : total;
  };
  return finiteDifferenceGradient(loss, weights[key]!, step);
}

/**
 * The block of the mean loss's GGN that belongs to the weights of one key, from Jacobians by differences; on column-major
 * vec(W). Tied weights move together.
 *
 * @throws as `graphForward`.
 */
export function graphGgnByDifferences(
  graph: ReferenceGraph,
  weights: Weights,
  key: string,
  kind: LossKind,
  inputs: GraphInputs,
  step?: number,
): Matrix {
  const outputs = (W: Matrix) => graphForward(graph, { ...weights, [key]: W }, inputs).outputs;
  const Z = outputs(weights[key]!);
  const hessians = Array.from({ length: Z.rows }, (_, i) => lossHessian(kind, Z, i));
  return finiteDifferenceGgn(outputs, weights[key]!, hessians, step);
}

/**
 * How the outputs move as all weights move along `direction` (by key, of their shapes), N × C, by differences.
 *
 * @throws as `graphForward`
 */
export function graphTangentByDifferences(
  graph: ReferenceGraph,
  weights: Weights,
  direction: Weights,
  inputs: GraphInputs,
  step = 1e-6,
): Matrix {
  const outputs = (distance: number) => {
    const moved = Object.entries(weights).map(([key, W]): [string, Matrix] => {
      return [key, add(W, scale(direction[key]!, distance))];
    });
    return graphForward(graph, Object.fromEntries(moved), inputs).outputs;
  };
  return scale(add(outputs(step), scale(outputs(-step), -1)), 1 / (2 * step));
}

/** What `opErrors` checks with. */
export interface OpCheckOptions {
  /** Which inputs hold indices, and so have no derivative; defaults to none. */
  indices?: readonly number[];
  /** Distance to either side of the differences; defaults to 1e-6. */
  step?: number;
  /** Key of the random direction; defaults to 0. */
  seed?: number;
}

/** Relative errors of an operation's parts; all are rounding or the differences' own error where it is right. */
export interface OpErrors {
  /** `back` against differences, for each input. For an input of indices, the size of what goes back. */
  inputs: number[];
  /**
   * `tangent` against `back` and `gradient`, as numbers ⟨d, tangent⟩ = ⟨back(d), inputs⟩ + ⟨gradient(d), direction⟩; undefined
   * where the operation has none.
   */
  tangent: number | undefined;
  /** `gradient` against differences; 0 without weights. */
  gradient: number;
  /** `gradient` against Σ_i D_i A_i' of `derivatives` and `inputs`; 0 without weights. */
  columns: number;
  /** `derivatives` of the output itself, the z_t, against W A_i of `inputs`; 0 without weights. */
  forward: number;
}

/**
 * Holds an operation against differences of its own forward pass, along one random derivative D in its output: of
 * f = ⟨D, output⟩ in each input and in the weights, and the promises of `TrainableStep` to each other.
 *
 * @throws as the operation for inputs or weights that do not fit.
 */
export function opErrors(
  op: ReferenceOp,
  inputs: readonly Value[],
  weights?: Matrix,
  options: OpCheckOptions = {},
): OpErrors {
  const { indices = [], step, seed = 0 } = options;
  const { output, back, tangent, trainable } = op.forward(inputs, weights);
  const stream = new RandomStream(seed);
  const d = output.data.map(() => stream.normal());
  const along = ({ data }: Value) => dot(row(data), row(d));
  const parts = back(d);
  const errors: OpErrors = {
    inputs: inputs.map((input, k) => {
      const moved = (x: Matrix) => {
        const changed = { ...input, data: x.data };
        return along(
          op.forward(
            inputs.map((other, at) => (at === k ? changed : other)),
            weights,
          ).output,
        );
      };
      const own = row(input.data);
      const expected = indices.includes(k) ? matrix(1, own.cols) : finiteDifferenceGradient(moved, own, step);
      return relativeError(row(parts[k]!), expected);
    }),
    tangent: undefined,
    gradient: 0,
    columns: 0,
    forward: 0,
  };
  if (tangent) {
    const moves = inputs.map(({ data }, k) => data.map(() => (indices.includes(k) ? 0 : stream.normal())));
    const direction = weights && { ...weights, data: weights.data.map(() => stream.normal()) };
    const terms = [
      ...moves.map((move, k) => dot(row(move), row(parts[k]!))),
      ...(trainable && direction ? [dot(trainable.gradient(d), direction)] : []),
    ];
    const expected = terms.reduce((sum, term) => sum + term, 0);
    const actual = along({ ...output, data: tangent(moves, direction) });
    errors.tangent = Math.abs(actual - expected) / terms.reduce((sum, term) => sum + Math.abs(term), 1e-300);
  }
  if (!trainable || !weights) return errors;
  const gradient = trainable.gradient(d);
  const loss = (W: Matrix) => along(op.forward(inputs, W).output);
  errors.gradient = relativeError(gradient, finiteDifferenceGradient(loss, weights, step));
  const groups = Array.from({ length: trainable.groups }, (_, group) => group);
  const sums = groups.map((group) => {
    const A = trainable.inputs(group);
    return trainable
      .derivatives(d, group)
      .map((D, i) => matmul(D, A[i]!, { transposeB: true }))
      .reduce((sum, part) => add(sum, part));
  });
  errors.columns = relativeError(stackRows(sums), gradient);
  errors.forward = Math.max(
    ...groups.map((group) => {
      const W = groupRows(weights, trainable.groups, group);
      const z = trainable.derivatives(output.data, group);
      return Math.max(...trainable.inputs(group).map((A, i) => relativeError(z[i]!, matmul(W, A))));
    }),
  );
  return errors;
}

const row = (data: Float64Array): Matrix => matrix(1, data.length, data);
