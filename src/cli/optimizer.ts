/** An optimiser of the library from what the command line says. */
import type { Engine } from "../engine.js";
import type { Model } from "../model/index.js";
import type { Optimizer } from "../optimizers/index.js";
import type { HyperParameters, OptimizerKind } from "./choices.js";

/** `settings` may hold more than the optimiser takes: what it does not know is left out. */
export function optimizerOf(
  engine: Engine,
  kind: OptimizerKind,
  model: Model,
  settings: HyperParameters,
  seed: number,
): Optimizer {
  const { learningRate, finalRate: _schedule, momentum, weightDecay, fisher, samples, ...kfac } = settings;
  if (kind === "sgd") return engine.sgd(model, { learningRate: learningRate ?? 0.1, momentum, weightDecay });
  if (kind === "adam") return engine.adam(model, { learningRate, weightDecay });
  return engine.kfac(model, {
    ...kfac,
    learningRate,
    momentum,
    weightDecay,
    ...(fisher === undefined ? {} : { fisher: { kind: fisher, samples } }),
    seed,
  });
}
