import { ShapeError } from "../errors.js";
import { axpy, copyStrided, type Matrix } from "../linalg/index.js";
import { copyInto } from "../linalg/layout/pack.js";
import type { Recorder } from "../pipeline/index.js";
import { addOp } from "../reference/ops.js";
import { refuseForm, sameForm, sizesOf } from "./form.js";
import type { LayerKind, LayerModule, Site } from "./kind.js";
import type { Layer } from "./layer.js";
import { exampleRows, type Values } from "./values.js";

/** Several values added up, number by number. */
export interface AddModule extends LayerModule {
  readonly kind: "add";
}

/** The sum of two or more values of one form: where a residual branch meets its trunk. */
export function add(): AddModule {
  return { kind: "add" };
}

export const addKind: LayerKind<AddModule> = {
  kind: "add",
  treatment: "nothing to train",
  repeats: true,
  arity: "several",
  traits: { sparesOutput: true },
  shape(_module, inputs, name) {
    const first = inputs[0]!;
    for (const input of inputs) {
      if (input.kind === "indices") refuseForm(name, input, "numbers", "");
      if (sameForm(input, first)) continue;
      const hint = "all that is added up has one form";
      throw new ShapeError("network", `an input of ${name}`, sizesOf(input), sizesOf(first), hint);
    }
    return first;
  },
  build: (_module, site) => new AddLayer(site),
  twin: () => addOp(),
};

class AddLayer implements Layer {
  readonly kind = "add";
  readonly name: string;
  readonly parameters = 0;
  readonly inputs: readonly Values[];
  readonly output: Values;

  constructor(site: Site) {
    this.name = site.name;
    this.inputs = site.inputs;
    this.output = site.output({ delta: sharedDelta(site.inputs) });
  }

  forward(recorder: Recorder, count: number): void {
    this.#sum(
      recorder,
      this.inputs.map((input) => input.rows(count)),
      this.output.rows(count),
    );
  }

  tangent(recorder: Recorder, _count: number, rows: number): void {
    const moving = this.inputs.filter(({ tangent }) => tangent);
    this.#sum(
      recorder,
      moving.map((input) => input.tangents(rows)),
      this.output.tangents(rows),
    );
  }

  #sum(recorder: Recorder, terms: readonly Matrix[], into: Matrix): void {
    const { positions } = this.output;
    const sum = exampleRows(into, positions);
    const [first, ...others] = terms.map((term) => exampleRows(term, positions));
    copyStrided(recorder, [copyInto(first!, sum, false)]);
    // One after another where their buffers differ, and so in order in any case: the sum is the same each time.
    for (const X of others) axpy(recorder, [{ alpha: 1, X, Y: sum }]);
  }

  backward(recorder: Recorder, _count: number, rows: number): void {
    const { delta, positions } = this.output;
    if (!delta) return;
    const derivative = exampleRows(this.output.deltas(rows), positions);
    copyStrided(
      recorder,
      this.inputs
        .filter((input) => input.delta && input.delta !== delta)
        .map((input) => copyInto(derivative, exampleRows(input.deltas(rows), positions), false)),
    );
  }
}

/** The first input's derivative, if the output's may be the same: the others are copied from it, so they lie elsewhere. */
function sharedDelta(inputs: readonly Values[]): Values["delta"] {
  const [first, ...others] = inputs.flatMap(({ delta }) => (delta ? [delta] : []));
  return first && others.every(({ storage }) => storage !== first.storage) ? first : undefined;
}
