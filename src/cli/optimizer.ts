/** An optimiser of the library from what the command line says. */
import type { Engine } from "../engine.js";
import type { Model } from "../model/index.js";
import type { Optimizer, SgdOptions } from "../optimizers/index.js";
import type { OptimizerKind } from "./choices.js";
import { type HyperParameters, settingsFor } from "./settings.js";

/** `settings` may hold more than the optimiser takes: what it does not know is left out. */
export function optimizerOf(
  engine: Engine,
  kind: OptimizerKind,
  model: Model,
  settings: HyperParameters,
  seed: number,
): Optimizer {
  const options = settingsFor(kind, settings);
  switch (kind) {
    case "kfac":
      return engine.kfac(model, { ...options, seed });
    case "sgd":
      return engine.sgd(model, options as SgdOptions);
    case "adam":
      return engine.adam(model, options);
  }
}
