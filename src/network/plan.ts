import { ArgumentError, ShapeError } from "../errors.js";
import { type Form, formOfInput, type InputForm, sizesOf } from "../layers/form.js";
import type { LayerKind, LayerModule } from "../layers/kind.js";
import { kindOf } from "../layers/registry.js";
import { isTied } from "../layers/tied.js";
import type { Graph } from "./graph.js";
import { type Entry, entriesOfChain, entriesOfGraph } from "./order.js";

/** One layer of a network: what it does, and what it reads. */
export interface PlannedNode {
  readonly name: string;
  /** Of a tied layer, that whose weights it uses. */
  readonly module: LayerModule;
  readonly kind: LayerKind;
  /** Names of nodes before it, or of the network's inputs. */
  readonly inputs: readonly string[];
  readonly inputForms: readonly Form[];
  readonly form: Form;
  /** The layer whose weights it uses, its own name unless tied; undefined without weights. */
  readonly weights: string | undefined;
}

/** A network checked and in order; holds no memory. */
export interface NetworkPlan {
  readonly inputs: readonly { readonly name: string; readonly form: Form }[];
  /** Each after what it reads. */
  readonly nodes: readonly PlannedNode[];
  /** The node that goes into the loss. */
  readonly output: string;
}

/** The name of a chain's input. */
export const CHAIN_INPUT = "input";

/**
 * Checks a description and puts its layers in order.
 *
 * @param input what a chain takes; defaults to what its first layer takes
 * @throws UnsupportedLayerError for an unknown kind, ShapeError where forms do not meet, ArgumentError for names that are
 *   missing, doubled or in a circle, for values that nothing reads and for a network with nothing to train. The message
 *   names the value.
 */
export function planOf(description: readonly LayerModule[] | Graph, input?: InputForm): NetworkPlan {
  const chain = Array.isArray(description);
  if (!chain && input !== undefined) {
    throw new ArgumentError("network", "input", "is for lists of modules: a graph names its inputs itself");
  }
  const { entries, output } = chain
    ? entriesOfChain(description, CHAIN_INPUT)
    : entriesOfGraph(description as Graph);
  const inputs = chain
    ? [{ name: CHAIN_INPUT, form: chainForm(entries, input) }]
    : Object.entries((description as Graph).inputs).map(([name, form]) => ({
        name,
        form: formOfInput("network", `inputs.${name}`, form),
      }));
  const nodes = withForms(entries, new Map(inputs.map(({ name, form }) => [name, form])));
  if (!nodes.some(({ weights }) => weights !== undefined)) {
    const what = chain ? "modules" : "values";
    throw new ArgumentError(
      "network",
      what,
      "must hold at least one dense or conv2d layer, or another with weights",
    );
  }
  requireVector(nodes.find(({ name }) => name === output)!);
  return { inputs, nodes, output };
}

function withForms(entries: readonly Entry[], forms: Map<string, Form>): PlannedNode[] {
  const nodes = new Map<string, PlannedNode>();
  for (const { name, module: own, inputs } of entries) {
    const owner = isTied(own) ? ownerOf(name, own.layer, nodes) : undefined;
    const module = owner?.module ?? own;
    const kind = kindOf(module, name);
    requireArity(name, kind, inputs);
    const inputForms = inputs.map((input) => forms.get(input)!);
    const form = kind.shape(module, inputForms, name);
    forms.set(name, form);
    const weights = owner ? owner.name : kind.trainable ? name : undefined;
    nodes.set(name, { name, module, kind, inputs, inputForms, form, weights });
  }
  return [...nodes.values()];
}

/** The layer that a tied one repeats. */
function ownerOf(name: string, layer: string, nodes: ReadonlyMap<string, PlannedNode>): PlannedNode {
  const found = nodes.get(layer);
  if (!found) {
    const rule = `must name a layer that is applied before ${name}, got "${layer}"`;
    throw new ArgumentError("network", `tied layer of ${name}`, rule);
  }
  if (found.weights === undefined) {
    const rule = `must be one with weights, and ${layer} (${found.kind.kind}) has none`;
    throw new ArgumentError("network", `tied layer of ${name}`, rule);
  }
  return found.weights === layer ? found : ownerOf(name, found.weights, nodes);
}

function requireArity(name: string, { kind, arity = "one" }: LayerKind, inputs: readonly string[]): void {
  const fits = arity === "one" ? inputs.length === 1 : inputs.length >= 2;
  if (fits) return;
  const wanted = arity === "one" ? "one, since it takes no more" : "two or more";
  throw new ArgumentError(
    "network",
    `inputs of ${name}`,
    `must be ${wanted} (${kind}), got ${inputs.length === 0 ? "none" : inputs.join(", ")}`,
  );
}

/** What a chain takes: as stated, or as its first layer says that does not take just anything. */
function chainForm(entries: readonly Entry[], input: InputForm | undefined): Form {
  if (input !== undefined) return formOfInput("network", "input", input);
  for (const { name, module } of entries) {
    const kind = kindOf(module, name);
    const form = kind.takes?.(module);
    if (form) return form;
    if (kind.traits?.anyForm) continue;
    throw new ArgumentError(
      "network",
      "input",
      `must say what ${name} takes: images as [channels, height, width], { length, features } or { indices, length }`,
    );
  }
  // Nothing to train: that is what the plan says next.
  return { kind: "vector", features: 1 };
}

function requireVector({ name, form }: PlannedNode): void {
  if (form.kind === "vector") return;
  throw new ShapeError(
    "network",
    `the output (${name})`,
    sizesOf(form),
    ["outputs"],
    "end with flatten() or globalAveragePool(), and a dense layer",
  );
}
