/** A network's modules from what `--layers` says. */
import {
  averagePool2d,
  conv2d,
  dense,
  flatten,
  globalAveragePool,
  leakyRelu,
  logistic,
  type Module,
  maxPool2d,
  relu,
  tanh,
} from "../../network/index.js";
import type { Activation } from "../engine.js";
import { type Size, shapeOf, specOf } from "../layers.js";

const ACTIVATION = { relu, leakyRelu: () => leakyRelu(), tanh, logistic };

/** `sizes` begins with the input's size or shape. An activation stands behind each convolution and hidden layer. */
export function modulesOf(sizes: readonly Size[], activation: Activation): Module[] {
  const act = ACTIVATION[activation];
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
