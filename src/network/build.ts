import { ShapeError } from "../errors.js";
import type { Form } from "../layers/form.js";
import { ImageInput } from "../layers/image-input.js";
import type { Neighbours, OutputPlaces, Site } from "../layers/kind.js";
import { isTrainable, type Layer, type TrainableLayer } from "../layers/layer.js";
import { columnsOfForm, positionsOfForm, Values } from "../layers/values.js";
import type { ParameterPlace } from "../memory/parameters.js";
import type { RowPlace } from "../memory/storage.js";
import type { Workspace } from "../memory/workspace.js";
import { Fork } from "./fork.js";
import { InputPort } from "./inputs.js";
import type { NetworkPlan, PlannedNode } from "./plan.js";

/** Layers ready for use once the workspace's storage is allocated. */
export interface Built {
  readonly ports: readonly InputPort[];
  /** In the order of a forward pass. */
  readonly layers: readonly Layer[];
  /** Layers with weights in the order of their first use, each with all its uses. */
  readonly trainable: readonly (readonly TrainableLayer[])[];
  readonly output: Values;
  /** Whether the derivative at the outputs is wanted transposed too, by the layer that makes them. */
  readonly outputTransposed: boolean;
  /** Whether commands may be sent again without asking any layer: all are of kinds that `repeats`. */
  readonly repeats: boolean;
}

/** Turns a plan into layers and takes their places in the workspace. */
export function buildLayers(plan: NetworkPlan, workspace: Workspace): Built {
  const readers = readersOf(plan);
  const layers: Layer[] = [];
  const built = new Map<string, Layer>();
  /** What is left for the readers of each value. */
  const views = new Map<string, Values[]>();
  const offer = (name: string, value: Values) => {
    const uses = viewsOf(workspace, value, readers.get(name)?.length ?? 0);
    views.set(name, [...uses]);
    if (uses.length > 1 && value.delta) layers.push(new Fork(`fork of ${name}`, value, uses.slice(1)));
  };
  const ports = plan.inputs.map(({ name, form }) => {
    const port = new InputPort(workspace, name, form);
    if (form.kind !== "image") offer(name, port.values);
    else {
      const images = new ImageInput(workspace, port.values, form, name);
      layers.push(images);
      offer(name, images.output);
    }
    return port;
  });
  const places = new Map<string, ParameterPlace>();
  const uses = new Map<string, TrainableLayer[]>();
  for (const node of plan.nodes) {
    const inputs = node.inputs.map((name) => views.get(name)!.shift()!);
    const neighbours = neighboursOf(node, plan, readers, built);
    const layer = node.kind.build(node.module, siteOf(workspace, node, { inputs, neighbours, places }));
    layers.push(layer);
    built.set(node.name, layer);
    if (isTrainable(layer)) {
      const key = node.weights ?? node.name;
      uses.set(key, [...(uses.get(key) ?? []), layer]);
    }
    offer(node.name, layer.output);
  }
  return {
    ports,
    layers,
    trainable: [...uses.values()],
    output: built.get(plan.output)!.output,
    outputTransposed: plan.nodes.some((node) => isLastReader(node, plan, readers)),
    repeats: plan.nodes.every(({ kind }) => kind.repeats === true),
  };
}

/** The layers that read each value, as often as they read it. */
function readersOf({ nodes }: NetworkPlan): Map<string, PlannedNode[]> {
  const readers = new Map<string, PlannedNode[]>();
  for (const node of nodes) {
    for (const name of node.inputs) readers.set(name, [...(readers.get(name) ?? []), node]);
  }
  return readers;
}

/** Whether a layer reads transposes where they lie, and so the derivative in what it makes. */
function reads({ kind, inputForms }: PlannedNode): boolean {
  return kind.traits?.readsTransposes === true && inputForms[0]?.kind === "vector";
}

/** Whether the layer makes the network's output, and reads its derivative transposed: the loss then leaves it. */
function isLastReader(
  node: PlannedNode,
  { output }: Pick<NetworkPlan, "output">,
  readers: ReadonlyMap<string, readonly PlannedNode[]>,
): boolean {
  return node.name === output && reads(node) && !readers.has(output);
}

/** The value as each of its readers sees it: the derivatives of all but the first have places of their own. */
function viewsOf(workspace: Workspace, value: Values, count: number): Values[] {
  return Array.from({ length: count }, (_, index) => {
    if (index === 0 || !value.delta) return value;
    return value.withDelta(workspace.ownDeltas(value.positions).place(value.columns));
  });
}

function siteOf(
  workspace: Workspace,
  node: PlannedNode,
  around: { inputs: Values[]; neighbours: Neighbours; places: Map<string, ParameterPlace> },
): Site {
  const { name, form, kind, weights } = node;
  const { inputs, neighbours, places } = around;
  const shared = kind.traits?.sharesBuffer === true && form.kind === "vector";
  const [positions, columns] = [positionsOfForm(form), columnsOfForm(form)];
  const newPlace = (): RowPlace => {
    if (shared) return workspace.values.place(columns + 1);
    return workspace.ownValues(positions).place(form.kind === "vector" ? columns + 1 : columns);
  };
  const newDelta = (): RowPlace | undefined => {
    if (!(kind.trainable || inputs.some(({ delta }) => delta))) return undefined;
    return (shared ? workspace.deltas : workspace.ownDeltas(positions)).place(columns);
  };
  const newTangent = (): RowPlace | undefined => {
    if (!(kind.trainable || inputs.some(({ tangent }) => tangent))) return undefined;
    return (shared ? workspace.tangents : workspace.ownTangents(positions)).place(columns);
  };
  return {
    name,
    inputs,
    form,
    workspace,
    neighbours,
    output({ place, delta, tangent }: OutputPlaces = {}) {
      return new Values(form, place ?? newPlace(), delta ?? newDelta(), tangent ?? newTangent());
    },
    weights(out, columns) {
      const key = weights ?? name;
      const place = places.get(key) ?? workspace.parameters.place(out, columns);
      if (place.out !== out || place.in !== columns) {
        const hint = `it is tied to ${key}`;
        throw new ShapeError(
          "network",
          `the weights of ${name}`,
          [out, columns],
          [place.out, place.in],
          hint,
        );
      }
      places.set(key, place);
      return place;
    },
  };
}

function neighboursOf(
  node: PlannedNode,
  { nodes, output }: NetworkPlan,
  readers: ReadonlyMap<string, readonly PlannedNode[]>,
  built: ReadonlyMap<string, Layer>,
): Neighbours {
  const before = nodes.find(({ name }) => name === node.inputs[0]);
  const besides = readers.get(node.inputs[0]!)!;
  const after = readers.get(node.name) ?? [];
  const alone = besides.length === 1;
  const leaves = ({ kind }: PlannedNode) => kind.traits?.leavesTransposes === true;
  const depends = ({ name }: PlannedNode) => built.get(name)!.inputs.some(({ delta }) => delta !== undefined);
  const left = before !== undefined && leaves(before);
  const firstReader = besides.find(reads);
  const madeBeside = firstReader !== undefined && firstReader !== node;
  // Layers that do a function's work for it leave what it would leave.
  const follower = nodes.find((one) => one.inputs[0] === node.name && appliedBefore(one, nodes, readers));
  const preceded = before && derivedAfter(before, readers) === node ? before : undefined;
  const below = preceded ? nodes.find(({ name }) => name === preceded.inputs[0]) : before;
  const aloneBelow = alone && (!preceded || readers.get(preceded.inputs[0]!)!.length === 1);
  const applied = appliedBefore(node, nodes, readers);
  // What makes the input's tangents: a function that the layer before applies has nothing to do there.
  const applier = before && appliedBefore(before, nodes, readers) ? built.get(before.inputs[0]!) : undefined;
  const maker = before && (applier && tangentsLeft(applier) ? applier : built.get(before.name));
  return {
    alone,
    loaded: before === undefined,
    inPlace: alone && before?.kind.traits?.sparesOutput === true,
    // The producer leaves it, or an earlier reader has made it.
    inputTransposed: left || madeBeside,
    tangentTransposed: madeBeside || (left && tangentsLeft(maker!)),
    deltaTransposed: (after.length === 1 && leaves(after[0]!)) || isLastReader(node, { output }, readers),
    transposesOutput: (follower ? (readers.get(follower.name) ?? []) : after).some(reads),
    // The lowest such layer sends nothing further down.
    transposesDelta: aloneBelow && below !== undefined && reads(below) && depends(below),
    activationAfter: follower?.kind.activation?.(follower.module),
    activationBefore: preceded?.kind.activation?.(preceded.module),
    done: {
      forward: applied,
      backward: derivedAfter(node, readers) !== undefined,
      tangent: applied && tangentsLeft(built.get(before!.name)!) !== false,
    },
  };
}

/**
 * Whether a layer leaves the tangents of its output, and their transposes, as its neighbours ask for them: `tangent` does, and
 * `alongWeights` for each direction where no input moves.
 */
function tangentsLeft(layer: Layer): Neighbours["tangentTransposed"] {
  if (layer.inputs.some(({ tangent }) => tangent !== undefined)) return true;
  return isTrainable(layer) && layer.alongWeights !== undefined ? "aligned" : false;
}

/** Whether a node is a function that the layer before applies: one that alone reads what that makes. */
function appliedBefore(
  { kind, inputs, form }: PlannedNode,
  nodes: readonly PlannedNode[],
  readers: ReadonlyMap<string, readonly PlannedNode[]>,
): boolean {
  if (!kind.activation || readers.get(inputs[0]!)!.length > 1) return false;
  const before = nodes.find(({ name }) => name === inputs[0]);
  return takesOver(before?.kind.traits?.appliesActivation, form);
}

/** The layer that multiplies by the derivative of a node, which is a function, on the way back: the one that alone reads it. */
function derivedAfter(
  { kind, name, form }: PlannedNode,
  readers: ReadonlyMap<string, readonly PlannedNode[]>,
): PlannedNode | undefined {
  const [after, ...others] = readers.get(name) ?? [];
  if (!kind.activation || others.length > 0) return undefined;
  return takesOver(after?.kind.traits?.appliesDerivative, form) ? after : undefined;
}

/** Whether a trait covers values of this form. */
function takesOver(trait: boolean | "vectors" | undefined, form: Form): boolean {
  return trait === "vectors" ? form.kind === "vector" : trait === true;
}
