/** Derivatives of a graph's outputs along directions in its weights (forward mode), and the Gauss-Newton forms along them. */
import { ArgumentError } from "../errors.js";
import type { GraphPass } from "./graph.js";
import { type LossKind, lossHessian } from "./loss.js";
import { matmul } from "./matmul.js";
import { type Matrix, matrix, requireShape, rowOf } from "./matrix.js";
import type { Weights } from "./weights.js";

/**
 * dZ, N × C: how the outputs of a pass move as the weights move along `direction`, by key of their shapes. Weights whose key
 * it lacks stay.
 *
 * @throws ArgumentError where a node's operation has no `tangent`; ShapeError for a direction of another shape.
 */
export function graphTangent(pass: GraphPass, direction: Partial<Weights>): Matrix {
  const { graph, weights, outputs, steps, values } = pass;
  const tangents = new Map<string, Float64Array>();
  const of = (name: string) => tangents.get(name) ?? new Float64Array(values.get(name)!.data.length);
  for (const { name, inputs, op, weights: key } of graph.nodes) {
    const V = key === undefined ? undefined : direction[key];
    if (V) requireShape("graphTangent", `direction of ${key}`, V, weights[key!]!.rows, weights[key!]!.cols);
    const { tangent } = steps.get(name)!;
    if (!tangent) {
      throw new ArgumentError(
        "graphTangent",
        name,
        `must be an operation with tangents, ${op.kind} has none`,
      );
    }
    tangents.set(name, tangent(inputs.map(of), V));
  }
  return matrix(outputs.rows, outputs.cols, of(graph.output));
}

/**
 * D_j' H D_k of the mean loss's Gauss-Newton matrix H in all weights together, K × K: the mean over examples of dz_j' Λ dz_k.
 *
 * @throws as `graphTangent`
 */
export function passCurvatureAlong(
  pass: GraphPass,
  kind: LossKind,
  directions: readonly Partial<Weights>[],
): Matrix {
  const { outputs } = pass;
  const tangents = directions.map((direction) => graphTangent(pass, direction));
  const forms = matrix(directions.length, directions.length);
  for (let i = 0; i < outputs.rows; i++) {
    const hessian = lossHessian(kind, outputs, i);
    const rows = tangents.map((dZ) => rowOf(dZ, i));
    rows.forEach((own, j) => {
      const product = matmul(own, hessian);
      rows.forEach((other, k) => {
        const form = matmul(product, other, { transposeB: true }).data[0]!;
        forms.data[j * directions.length + k]! += form / outputs.rows;
      });
    });
  }
  return forms;
}
