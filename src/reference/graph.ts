/**
 * A network in f64 as a graph of named nodes, whatever their kinds: each node holds an operation (`ReferenceOp`) that
 * brings its own derivative. Forward pass, gradients and curvature blocks follow from those alone, so a new kind of layer
 * needs its operation and nothing here.
 *
 * Where a value is read by several nodes, their derivatives add. Nodes with the same `weights` key are tied: their
 * gradients add, and their curvature has the positions of all uses side by side, as if the layer were applied once at so
 * many positions (Eschenhagen et al. 2023, weight sharing).
 */
import { ArgumentError, ShapeError } from "../errors.js";
import { curvatureStarts, type Fisher } from "./fisher.js";
import { type LossKind, lossGradient, lossValues, type Reduction, type Targets } from "./loss.js";
import { add, type Matrix, matrix, requireShape, scale, stackColumns } from "./matrix.js";
import type { PositionBlock } from "./operator.js";
import { flatten, isTensor, type Value } from "./tensor.js";
import type { Weights } from "./weights.js";

export type { Weights } from "./weights.js";

/** Inputs of a graph by name, each with one example a row or N feature maps; N is the same for all. */
export type GraphInputs = Readonly<Record<string, Value>>;

/** What a use of weights leaves for gradient and curvature. Derivatives are laid out as the node's output. */
export interface TrainableStep {
  /** Convolution groups, each with curvature of its own; 1 for a dense layer. */
  groups: number;
  /** A_i of one group: per example in × T, bias row included. */
  inputs(group: number): Matrix[];
  /** One group's part of derivatives in z: per example out × T. */
  derivatives(dz: Float64Array, group: number): Matrix[];
  /** Σ_i Σ_t dz_t a_t', of the weights' shape. */
  gradient(dz: Float64Array): Matrix;
}

/** One operation's part of a forward pass. */
export interface ForwardStep {
  output: Value;
  /**
   * Derivatives in the inputs, one array for each and laid out as it, from the derivative in the output. Row i of example
   * i only: no sum over examples. May return `d` itself; nobody writes to what it returns.
   */
  back(d: Float64Array): Float64Array[];
  /**
   * The derivative of the output, laid out as it, as the inputs move along `inputs` (an array for each, laid out as it) and the
   * weights along `direction` (of their shape; they stay without it). Graphs with a node that lacks it have no tangents.
   */
  tangent?(inputs: readonly Float64Array[], direction?: Matrix): Float64Array;
  /** Present exactly where the operation has weights. */
  trainable?: TrainableStep;
}

/** What a node does: a kind of layer without its weights. Holds no state, so that nodes may share it. */
export interface ReferenceOp {
  /** The kind of layer, for messages. */
  readonly kind: string;
  /**
   * Runs the operation. `node` is the node's name, for messages; defaults to the kind.
   *
   * @throws ShapeError or ArgumentError for inputs or weights that do not fit.
   */
  forward(inputs: readonly Value[], weights?: Matrix, node?: string): ForwardStep;
}

/** One node: an operation on the values of its inputs. */
export interface ReferenceNode {
  /** Names its output; unique among nodes and the graph's inputs. */
  readonly name: string;
  /** Names of nodes listed before this one, or of inputs of the graph. */
  readonly inputs: readonly string[];
  readonly op: ReferenceOp;
  /** Key of its weights, for an operation that has some. Nodes with the same key are tied. */
  readonly weights?: string;
}

/** A network: nodes in an order in which each comes after its inputs. */
export interface ReferenceGraph {
  readonly inputs: readonly string[];
  readonly nodes: readonly ReferenceNode[];
  /** Name of the node whose value goes into the loss. */
  readonly output: string;
}

/** What a forward pass leaves. */
export interface GraphPass {
  readonly graph: ReferenceGraph;
  readonly weights: Weights;
  /** Z, N × C; a final feature map is flattened, (c, y, x). */
  readonly outputs: Matrix;
  /** The value of each input and node. */
  readonly values: ReadonlyMap<string, Value>;
  /** The step of each node. */
  readonly steps: ReadonlyMap<string, ForwardStep>;
}

/**
 * Runs a batch through the graph.
 *
 * @throws ArgumentError for a graph that is not one (names that are missing, doubled or used before they are there) and
 * for weights or inputs that are missing or that nobody uses; ShapeError where a node's inputs or weights do not fit it.
 */
export function graphForward(graph: ReferenceGraph, weights: Weights, inputs: GraphInputs): GraphPass {
  requireGraph(graph);
  requireKeys("inputs", inputs, graph.inputs);
  requireKeys("weights", weights, weightKeys(graph));
  const values = new Map(graph.inputs.map((name): [string, Value] => [name, inputs[name]!]));
  requireOneCount(values);
  const steps = new Map<string, ForwardStep>();
  for (const { name, inputs: from, op, weights: key } of graph.nodes) {
    const step = op.forward(
      from.map((input) => values.get(input)!),
      key === undefined ? undefined : weights[key],
      name,
    );
    if ((step.trainable !== undefined) !== (key !== undefined)) {
      const rule = key === undefined ? "needs a key of weights" : `has no weights, got the key "${key}"`;
      throw new ArgumentError("graphForward", "nodes", `${name} (${op.kind}) ${rule}`);
    }
    steps.set(name, step);
    values.set(name, step.output);
  }
  const last = values.get(graph.output)!;
  return { graph, weights, outputs: isTensor(last) ? flatten(last) : last, values, steps };
}

/**
 * Back-propagates D (N × C, a derivative in the outputs per example): the derivative in the output of each node that the
 * graph's output depends on and that has weights at or before it. No sum over examples is taken.
 *
 * @throws ShapeError for a D of another shape than the outputs, and where an operation returns derivatives of another
 * size than its inputs.
 */
export function graphBackward(pass: GraphPass, D: Matrix): Map<string, Float64Array> {
  const { graph, steps, values, outputs } = pass;
  requireShape("graphBackward", "D", D, outputs.rows, outputs.cols);
  const needed = namesWithWeights(graph);
  const derivatives = new Map([[graph.output, D.data]]);
  for (const { name, inputs } of [...graph.nodes].reverse()) {
    const d = derivatives.get(name);
    if (d === undefined || !inputs.some((input) => needed.has(input))) continue;
    const parts = steps.get(name)!.back(d);
    if (parts.length !== inputs.length) {
      throw new ShapeError("graphBackward", `back of ${name}`, [parts.length], [inputs.length]);
    }
    inputs.forEach((input, k) => {
      if (!needed.has(input)) return;
      const part = parts[k]!;
      const { length } = values.get(input)!.data;
      if (part.length !== length) {
        throw new ShapeError("graphBackward", `back of ${name} in ${input}`, [part.length], [length]);
      }
      const before = derivatives.get(input);
      derivatives.set(input, before === undefined ? part : before.map((x, at) => x + part[at]!));
    });
  }
  return derivatives;
}

/** Loss, outputs and gradients of a batch. */
export interface GraphLossAndGradients {
  /** In nats (cross-entropies) or squared output units (half squared error), mean or sum over examples. */
  loss: number;
  /** Z, N × C. */
  outputs: Matrix;
  /** G = ∂loss/∂W by key, out × in; of tied weights the sum over their uses, of weights off the path zero. */
  gradients: Record<string, Matrix>;
}

/**
 * Loss and gradients of the graph on a batch. `reduction` defaults to "mean".
 *
 * @throws as `graphForward`, and as the loss for targets that do not fit the outputs.
 */
export function graphLossAndGradients(
  graph: ReferenceGraph,
  weights: Weights,
  kind: LossKind,
  inputs: GraphInputs,
  targets: Targets,
  reduction: Reduction = "mean",
): GraphLossAndGradients {
  return passLossAndGradients(graphForward(graph, weights, inputs), kind, targets, reduction);
}

/**
 * `graphLossAndGradients` of a pass that has been run.
 *
 * @throws as the loss for targets that do not fit the outputs.
 */
export function passLossAndGradients(
  pass: GraphPass,
  kind: LossKind,
  targets: Targets,
  reduction: Reduction = "mean",
): GraphLossAndGradients {
  const { weights, outputs } = pass;
  const factor = reduction === "mean" ? 1 / outputs.rows : 1;
  const values = lossValues(kind, outputs, targets);
  const derivatives = graphBackward(pass, lossGradient(kind, outputs, targets));
  const gradients = usesOfWeights(pass).map(([key, uses]): [string, Matrix] => {
    const W = weights[key]!;
    const parts = uses.map(({ name, step }) => {
      const dz = derivatives.get(name);
      const G = dz ? step.gradient(dz) : matrix(W.rows, W.cols);
      requireShape("graphLossAndGradients", `gradient of ${name}`, G, W.rows, W.cols);
      return G;
    });
    return [
      key,
      scale(
        parts.reduce((sum, part) => add(sum, part)),
        factor,
      ),
    ];
  });
  return {
    loss: factor * values.reduce((a, b) => a + b, 0),
    outputs,
    gradients: Object.fromEntries(gradients),
  };
}

/**
 * Inputs and derivatives of each key of weights, as blocks for operator.ts and approximations.ts: one for each group of a
 * convolution (its rows of W), so there is one entry unless the layer is grouped. `B[i][c]` is column c of example i, the
 * derivative of its OWN loss (no 1/N inside). Tied weights have the positions of all uses side by side, in the nodes'
 * order.
 *
 * @throws as `graphForward` and `curvatureStarts`; ArgumentError where tied nodes differ in groups.
 */
export function graphCurvature(
  graph: ReferenceGraph,
  weights: Weights,
  kind: LossKind,
  inputs: GraphInputs,
  fisher: Fisher,
): Record<string, PositionBlock[]> {
  return passCurvature(graphForward(graph, weights, inputs), kind, fisher);
}

/**
 * `graphCurvature` of a pass that has been run.
 *
 * @throws as `curvatureStarts`; ArgumentError where tied nodes differ in groups.
 */
export function passCurvature(
  pass: GraphPass,
  kind: LossKind,
  fisher: Fisher,
): Record<string, PositionBlock[]> {
  const { starts, divisor } = curvatureStarts(kind, pass.outputs, fisher);
  const passes = starts.map((D) => graphBackward(pass, D));
  const blocks = usesOfWeights(pass).map(([key, uses]): [string, PositionBlock[]] => {
    const { groups } = uses[0]!.step;
    const other = uses.find(({ step }) => step.groups !== groups);
    if (other) {
      const rule = `must have the ${groups} groups of the others with the weights "${key}"`;
      throw new ArgumentError("graphCurvature", other.name, `${rule}, got ${other.step.groups}`);
    }
    const sizes = uses.map(({ name }) => pass.values.get(name)!.data.length);
    const list = Array.from({ length: groups }, (_, group): PositionBlock => {
      const A = sideBySide(uses.map(({ step }) => step.inputs(group)));
      const columns = passes.map((derivatives) =>
        sideBySide(
          uses.map(({ name, step }, use) =>
            step.derivatives(derivatives.get(name) ?? new Float64Array(sizes[use]!), group),
          ),
        ),
      );
      return { A, B: A.map((_, i) => columns.map((column) => column[i]!)), divisor };
    });
    return [key, list];
  });
  return Object.fromEntries(blocks);
}

/** Keys of the graph's weights, in the order of their first use. */
export function weightKeys({ nodes }: ReferenceGraph): string[] {
  return [...new Set(nodes.flatMap(({ weights }) => (weights === undefined ? [] : [weights])))];
}

/** Example by example, the matrices of all uses beside one another. */
function sideBySide(uses: readonly (readonly Matrix[])[]): Matrix[] {
  const [first, ...others] = uses;
  return first!.map((own, i) => stackColumns([own, ...others.map((use) => use[i]!)]));
}

/** The nodes that use each key of weights. */
function usesOfWeights({ graph, steps }: GraphPass): [string, { name: string; step: TrainableStep }[]][] {
  return weightKeys(graph).map((key) => [
    key,
    graph.nodes
      .filter(({ weights }) => weights === key)
      .map(({ name }) => ({ name, step: steps.get(name)!.trainable! })),
  ]);
}

/** Nodes with weights at or before them: only their outputs' derivatives are worth computing. */
function namesWithWeights({ nodes }: ReferenceGraph): Set<string> {
  const names = new Set<string>();
  for (const { name, inputs, weights } of nodes) {
    if (weights !== undefined || inputs.some((input) => names.has(input))) names.add(name);
  }
  return names;
}

function requireGraph({ inputs, nodes, output }: ReferenceGraph): void {
  const known = new Set<string>();
  const define = (what: string, name: string) => {
    if (known.has(name)) {
      throw new ArgumentError("graphForward", what, `must have names of their own, got "${name}" twice`);
    }
    known.add(name);
  };
  for (const name of inputs) define("inputs", name);
  for (const { name, inputs: from } of nodes) {
    if (from.length === 0) {
      throw new ArgumentError("graphForward", "nodes", `must each have an input, "${name}" has none`);
    }
    const missing = from.find((input) => !known.has(input));
    if (missing !== undefined) {
      const rule = "must come after their inputs";
      throw new ArgumentError("graphForward", "nodes", `${rule}, but "${name}" reads "${missing}"`);
    }
    define("nodes", name);
  }
  if (!known.has(output)) {
    throw new ArgumentError("graphForward", "output", `must be the name of a node, got "${output}"`);
  }
}

function requireKeys(what: string, given: Readonly<Record<string, unknown>>, keys: readonly string[]): void {
  const missing = keys.find((key) => !Object.hasOwn(given, key));
  if (missing !== undefined) {
    throw new ArgumentError("graphForward", what, `must hold "${missing}", which the graph reads`);
  }
  const foreign = Object.keys(given).find((key) => !keys.includes(key));
  if (foreign !== undefined) {
    throw new ArgumentError("graphForward", what, `must be read by the graph, nothing reads "${foreign}"`);
  }
}

function requireOneCount(values: ReadonlyMap<string, Value>): void {
  let count: number | undefined;
  for (const [name, value] of values) {
    const own = isTensor(value) ? value.shape[0] : value.rows;
    count ??= own;
    if (own !== count) {
      const actual = isTensor(value) ? value.shape : [value.rows, value.cols];
      throw new ShapeError("graphForward", name, actual, [count, "…"], "give all inputs as many examples");
    }
  }
}
