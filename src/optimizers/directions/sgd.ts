import type { Model } from "../../model/index.js";
import type { PipelineManager } from "../../pipeline/index.js";
import { defineDirection } from "../direction.js";
import { Optimizer } from "../optimizer.js";
import { SGD_OPTIONS } from "../options.js";
import type { OptionsOf } from "../schema.js";

/** Options of `Sgd`. */
export interface SgdOptions extends OptionsOf<typeof SGD_OPTIONS> {}

/** U is G itself. */
export const sgd = defineDirection({
  name: "sgd",
  options: SGD_OPTIONS,
  create: () => ({ recording: () => "" }),
});

/** Stochastic gradient descent with momentum: the yardstick, on the same engine. */
export class Sgd extends Optimizer<typeof sgd> {
  /** @throws ArgumentError for a bad option, LimitError when the device cannot hold V */
  constructor(manager: PipelineManager, model: Model, options: SgdOptions) {
    super(manager, model, sgd, options);
  }
}
