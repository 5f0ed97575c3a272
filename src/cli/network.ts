/** A network of the library from what the command line says. */
import type { Engine } from "../engine.js";
import type { Module, Network } from "../network/index.js";
import type { Activation, NetworkPlan } from "./choices.js";
import { type Size, shapeOf, specOf } from "./layers.js";
import type { Library } from "./library.js";

export function networkOf(library: Library, engine: Engine, plan: NetworkPlan): Network {
  const { sizes, activation, loss, batchSize, microBatch = batchSize, seed } = plan;
  const losses = {
    softmax: library.softmaxCrossEntropy,
    squared: library.halfSquaredError,
    sigmoid: library.sigmoidCrossEntropy,
  };
  return engine.network(modulesOf(library, sizes, activation), losses[loss](), {
    batchSize: Math.min(microBatch, batchSize),
    seed,
    input: shapeOf(sizes[0]!),
  });
}

/** `sizes` begins with the input's size or shape. An activation stands behind each convolution and hidden layer. */
function modulesOf(library: Library, sizes: readonly Size[], activation: Activation): Module[] {
  const { averagePool2d, conv2d, dense, flatten, globalAveragePool, maxPool2d } = library;
  const act = () => library[activation]();
  const modules: Module[] = [];
  let image = shapeOf(sizes[0]!);
  let features = image ? 0 : Number(sizes[0]);
  sizes.slice(1).forEach((size, l) => {
    const spec = specOf(size)!;
    if (spec.kind === "dense") {
      if (image) {
        modules.push(flatten());
        features = image.reduce((a, b) => a * b, 1);
        image = undefined;
      }
      modules.push(dense(features, spec.out), ...(l < sizes.length - 2 ? [act()] : []));
      features = spec.out;
      return;
    }
    const [channels, height, width] = image!;
    if (spec.kind === "globalAveragePool") {
      modules.push(globalAveragePool());
      features = channels;
      image = undefined;
      return;
    }
    const { kernel, stride } = spec;
    const padding = spec.kind === "conv" ? spec.padding : 0;
    const shrunk = (extent: number) => Math.floor((extent + 2 * padding - kernel) / stride) + 1;
    if (spec.kind === "conv") modules.push(conv2d(channels, spec.out, kernel, { stride, padding }), act());
    else modules.push((spec.kind === "maxPool" ? maxPool2d : averagePool2d)(kernel, { stride }));
    image = [spec.kind === "conv" ? spec.out : channels, shrunk(height), shrunk(width)];
  });
  return modules;
}
