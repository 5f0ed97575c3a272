import { ArgumentError, ShapeError, UnsupportedLayerError } from "../errors.js";
import { ActivationLayer } from "./activation.js";
import { DenseLayer } from "./dense.js";
import type { Layer, Values, Workspace } from "./layer.js";
import { type Module, requireSize } from "./modules.js";

/** Layers ready for use once the workspace's storage is allocated. */
export interface Built {
  readonly layers: Layer[];
  readonly input: Values;
  readonly output: Values;
}

/**
 * Turns descriptions into layers and takes their places in the workspace.
 *
 * @throws UnsupportedLayerError for an unknown kind, ShapeError where sizes do not meet, ArgumentError for a list
 *   without a dense layer or with a name used twice.
 */
export function buildLayers(modules: readonly Module[], workspace: Workspace): Built {
  const names = namesOf(modules);
  const features = checkSizes(modules, names);
  const input: Values = { features, place: workspace.values.place(features + 1), delta: undefined };
  const layers: Layer[] = [];
  let current = input;
  for (const [index, module] of modules.entries()) {
    const before = modules[index - 1];
    const after = modules[index + 1];
    const name = names[index]!;
    let layer: Layer;
    if (module.kind === "dense") {
      layer = new DenseLayer(workspace, module, current, {
        name,
        inputTransposed: isActivation(before),
        deltaTransposed: isActivation(after),
      });
    } else {
      layer = new ActivationLayer(workspace, module, current, {
        name,
        // A dense layer needs its output no more; an activation's own output gives its derivative.
        inPlace: before?.kind === "dense",
        transposesOutput: after?.kind === "dense",
        // The lowest dense layer sends nothing further down.
        transposesDelta: before?.kind === "dense" && layers.at(-1)?.input.delta !== undefined,
      });
    }
    layers.push(layer);
    current = layer.output;
  }
  return { layers, input, output: current };
}

function isActivation(module: Module | undefined): boolean {
  return module !== undefined && module.kind !== "dense";
}

const KINDS: readonly string[] = ["dense", "relu", "leakyRelu", "tanh", "logistic"];

/** `dense1`, `relu1`, `dense2` … where no name is given. */
function namesOf(modules: readonly Module[]): string[] {
  const counts = new Map<string, number>();
  const names = modules.map((module) => {
    const number = (counts.get(module.kind) ?? 0) + 1;
    counts.set(module.kind, number);
    return (module.kind === "dense" ? module.name : undefined) ?? `${module.kind}${number}`;
  });
  for (const [index, name] of names.entries()) {
    if (names.indexOf(name) !== index) {
      throw new ArgumentError("network", "modules", `must have distinct names, got ${name} twice`);
    }
  }
  return names;
}

/** Checks kinds and sizes and returns the network's number of inputs. */
function checkSizes(modules: readonly Module[], names: readonly string[]): number {
  let inputs: number | undefined;
  let current: number | undefined;
  for (const [index, module] of modules.entries()) {
    const name = names[index]!;
    if (!KINDS.includes(module.kind)) {
      throw new UnsupportedLayerError(name, String(module.kind), `use one of ${KINDS.join(", ")}`);
    }
    if (module.kind !== "dense") continue;
    requireSize("network", `${name}.in`, module.in);
    requireSize("network", `${name}.out`, module.out);
    if (current !== undefined && current !== module.in) {
      throw new ShapeError(
        "network",
        `the weights of ${name}`,
        [module.out, module.in],
        [module.out, current],
        `the layer before has ${current} outputs`,
      );
    }
    inputs ??= module.in;
    current = module.out;
  }
  if (inputs === undefined) {
    throw new ArgumentError("network", "modules", "must hold at least one dense layer");
  }
  return inputs;
}
