import type { InputForm } from "../layers/form.js";
import type { LayerModule } from "../layers/kind.js";

/** A module, or a short chain of them, and the names of what the first one reads. */
export type GraphValue = readonly [
  module: LayerModule | readonly LayerModule[],
  ...inputs: readonly string[],
];

/**
 * A network whose values may be read by several others: plain data, holding no memory. Values may stand in any order; every
 * one leads to the output.
 */
export interface Graph {
  /** What the network takes, by name. */
  readonly inputs: Readonly<Record<string, InputForm>>;
  /** What is computed, by name. The name is also that of the value's layer (the one with weights, of a chain). */
  readonly values: Readonly<Record<string, GraphValue>>;
  /** The value that goes into the loss: a vector. */
  readonly output: string;
}

/**
 * A network that is not a chain:
 *
 *     graph({
 *       inputs: { x: 64 },
 *       values: {
 *         branch: [[relu(), dense(64, 64)], "x"],
 *         sum: [add(), "x", "branch"],
 *         out: [dense(64, 10), "sum"],
 *       },
 *       output: "out",
 *     })
 *
 * What does not fit together is refused by `engine.network`.
 */
export function graph(description: Graph): Graph {
  return description;
}
