import { ArgumentError, ShapeError, UnsupportedLayerError } from "../errors.js";
import { ActivationLayer } from "../layers/activation.js";
import { Conv2dLayer } from "../layers/conv/conv.js";
import { convGeometry, type ImageShape, outputSize, sizeOf } from "../layers/conv/geometry.js";
import { DenseLayer } from "../layers/dense.js";
import type { Layer, Values } from "../layers/layer.js";
import { type ActivationModule, type Module, type Pair, requireSize } from "../layers/modules.js";
import { AveragePoolLayer, MaxPoolLayer } from "../layers/pool.js";
import { FlattenLayer, ImageInput } from "../layers/reshape.js";
import type { Workspace } from "../memory/workspace.js";

/** Layers ready for use once the workspace's storage is allocated. */
export interface Built {
  readonly layers: Layer[];
  readonly input: Values;
  readonly output: Values;
}

/** [channels, height, width] of the images that a network takes. */
export type InputShape = readonly [channels: number, height: number, width: number];

/**
 * Turns descriptions into layers and takes their places in the workspace.
 *
 * @throws UnsupportedLayerError for an unknown kind, ShapeError where sizes do not meet or images meet vectors,
 *   ArgumentError for a list without a layer to train, without an input shape where one is needed, or with a name used
 *   twice.
 */
export function buildLayers(
  modules: readonly Module[],
  workspace: Workspace,
  inputShape: InputShape | undefined,
): Built {
  const names = namesOf(modules);
  const shape = imageShape(inputShape);
  const features = checkSizes(modules, names, shape);
  const input: Values = {
    features,
    shape: undefined,
    place: shape ? vectorPlace(workspace, features) : workspace.values.place(features + 1),
    delta: undefined,
  };
  const layers: Layer[] = shape ? [new ImageInput(workspace, input, shape)] : [];
  let current = layers.at(-1)?.output ?? input;
  for (const [index, module] of modules.entries()) {
    const layer = buildLayer(workspace, module, current, {
      name: names[index]!,
      before: modules[index - 1],
      after: modules[index + 1],
      last: layers.at(-1),
    });
    layers.push(layer);
    current = layer.output;
  }
  return { layers, input, output: current };
}

interface Surroundings {
  readonly name: string;
  readonly before: Module | undefined;
  readonly after: Module | undefined;
  /** The layer built before this one. */
  readonly last: Layer | undefined;
}

function buildLayer(
  workspace: Workspace,
  module: Module,
  input: Values,
  { name, before, after, last }: Surroundings,
): Layer {
  switch (module.kind) {
    case "dense":
      return new DenseLayer(workspace, module, input, {
        name,
        inputTransposed: isActivation(before),
        deltaTransposed: isActivation(after),
      });
    case "conv2d": {
      const geometry = convGeometry(name, module, input.shape!);
      return new Conv2dLayer(workspace, module, input, { name, geometry });
    }
    case "maxPool2d":
      return new MaxPoolLayer(workspace, module, input, name);
    case "averagePool2d":
      return new AveragePoolLayer(workspace, module, input, name);
    case "globalAveragePool":
      return new AveragePoolLayer(workspace, undefined, input, name);
    case "flatten":
      return new FlattenLayer(workspace, input, name);
    default:
      return new ActivationLayer(workspace, module, input, {
        name,
        // Other layers need their output no more; an activation's own output gives its derivative.
        inPlace: before !== undefined && !isActivation(before),
        transposesOutput: after?.kind === "dense",
        // The lowest dense layer sends nothing further down.
        transposesDelta: before?.kind === "dense" && last?.input.delta !== undefined,
      });
  }
}

/** Inputs that are only read by the copy into images: no transposes, no bias column. */
function vectorPlace(workspace: Workspace, features: number) {
  return workspace.images(1).place(features);
}

const ACTIVATIONS: readonly string[] = ["relu", "leakyRelu", "tanh", "logistic"];
const KINDS: readonly string[] = [
  "dense",
  "conv2d",
  "maxPool2d",
  "averagePool2d",
  "globalAveragePool",
  "flatten",
  ...ACTIVATIONS,
];

function isActivation(module: Module | undefined): module is ActivationModule {
  return module !== undefined && ACTIVATIONS.includes(module.kind);
}

/** `dense1`, `relu1`, `dense2` … where no name is given. */
function namesOf(modules: readonly Module[]): string[] {
  const counts = new Map<string, number>();
  const names = modules.map((module) => {
    const number = (counts.get(module.kind) ?? 0) + 1;
    counts.set(module.kind, number);
    return ("name" in module ? module.name : undefined) ?? `${module.kind}${number}`;
  });
  for (const [index, name] of names.entries()) {
    if (names.indexOf(name) !== index) {
      throw new ArgumentError("network", "modules", `must have distinct names, got ${name} twice`);
    }
  }
  return names;
}

function imageShape(input: InputShape | undefined): ImageShape | undefined {
  if (input === undefined) return undefined;
  if (!Array.isArray(input) || input.length !== 3) {
    throw new ArgumentError(
      "network",
      "input",
      `must be [channels, height, width], got ${JSON.stringify(input)}`,
    );
  }
  for (const size of input) requireSize("network", "input", size);
  const [channels, height, width] = input;
  return { channels, height, width };
}

/** What is known of the values between two modules: images, so many numbers, or nothing yet. */
type Form = ImageShape | number | undefined;

/** Checks kinds and sizes and returns the network's number of inputs. */
function checkSizes(
  modules: readonly Module[],
  names: readonly string[],
  shape: ImageShape | undefined,
): number {
  let inputs = shape && sizeOf(shape);
  let form: Form = shape;
  for (const [index, module] of modules.entries()) {
    const name = names[index]!;
    if (!KINDS.includes(module.kind)) {
      throw new UnsupportedLayerError(name, String(module.kind), `use one of ${KINDS.join(", ")}`);
    }
    if (isActivation(module)) continue;
    form = module.kind === "dense" ? afterDense(module, name, form) : afterImages(module, name, form);
    if (module.kind === "dense") inputs ??= module.in;
  }
  if (inputs === undefined || !modules.some(({ kind }) => kind === "dense" || kind === "conv2d")) {
    throw new ArgumentError("network", "modules", "must hold at least one dense or conv2d layer");
  }
  if (typeof form === "object") {
    throw new ShapeError(
      "network",
      "the output",
      imageOf(form),
      ["outputs"],
      "end with flatten() or globalAveragePool(), and a dense layer",
    );
  }
  return inputs;
}

function afterDense(module: Module & { kind: "dense" }, name: string, form: Form): number {
  requireSize("network", `${name}.in`, module.in);
  requireSize("network", `${name}.out`, module.out);
  if (typeof form === "object") {
    throw new ShapeError(
      "network",
      `the input of ${name}`,
      imageOf(form),
      [module.in],
      "put flatten() or globalAveragePool() before it",
    );
  }
  if (form !== undefined && form !== module.in) {
    throw new ShapeError(
      "network",
      `the weights of ${name}`,
      [module.out, module.in],
      [module.out, form],
      `the layer before has ${form} outputs`,
    );
  }
  return module.out;
}

function afterImages(
  module: Exclude<Module, ActivationModule | { kind: "dense" }>,
  name: string,
  form: Form,
): Form {
  if (form === undefined) {
    throw new ArgumentError(
      "network",
      "input",
      `must be [channels, height, width], since ${name} takes images`,
    );
  }
  if (typeof form === "number") {
    throw new ShapeError(
      "network",
      `the input of ${name}`,
      [form],
      ["channels", "height", "width"],
      "it takes images, and a dense layer's outputs are none",
    );
  }
  switch (module.kind) {
    case "conv2d":
      return convGeometry(name, module, form).output;
    case "globalAveragePool":
      return form.channels;
    case "flatten":
      return sizeOf(form);
    default: {
      const [height, width]: Pair = outputSize(name, form, module);
      return { channels: form.channels, height, width };
    }
  }
}

function imageOf({ channels, height, width }: ImageShape): number[] {
  return [channels, height, width];
}
