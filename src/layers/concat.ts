import { ShapeError } from "../errors.js";
import { copyStrided, type Matrix } from "../linalg/index.js";
import { copyInto } from "../linalg/layout/pack.js";
import type { Recorder } from "../pipeline/index.js";
import { concatOp } from "../reference/ops.js";
import { type Form, refuseForm, sizesOf } from "./form.js";
import type { LayerKind, LayerModule, Site } from "./kind.js";
import type { Layer } from "./layer.js";
import type { Values } from "./values.js";

/** Several values side by side. */
export interface ConcatModule extends LayerModule {
  readonly kind: "concat";
}

/**
 * Two or more values side by side: the numbers of vectors, the channels of images of one size, the features of sequences of
 * one length.
 */
export function concat(): ConcatModule {
  return { kind: "concat" };
}

export const concatKind: LayerKind<ConcatModule> = {
  kind: "concat",
  treatment: "nothing to train",
  repeats: true,
  arity: "several",
  traits: { sparesOutput: true },
  shape(_module, inputs, name) {
    return inputs.reduce((all, next) => joined(all, next, name));
  },
  build: (_module, site) => new ConcatLayer(site),
  twin: () => concatOp(),
};

function joined(all: Form, next: Form, name: string): Form {
  if (all.kind === "vector" && next.kind === "vector") {
    return { ...all, features: all.features + next.features };
  }
  if (all.kind === "image" && next.kind === "image") {
    if (all.height === next.height && all.width === next.width) {
      return { ...all, channels: all.channels + next.channels };
    }
  }
  if (all.kind === "sequence" && next.kind === "sequence" && all.length === next.length) {
    return { ...all, features: all.features + next.features };
  }
  if (all.kind === "indices") return refuseForm(name, all, "numbers", "");
  if (next.kind === "indices") return refuseForm(name, next, "numbers", "");
  const expected = sizesOf(all).map((size, axis) =>
    axis === (all.kind === "sequence" ? 1 : 0) ? "any" : size,
  );
  const hint = "all that is put side by side agrees in the other sizes";
  throw new ShapeError("network", `an input of ${name}`, sizesOf(next), expected, hint);
}

class ConcatLayer implements Layer {
  readonly kind = "concat";
  readonly name: string;
  readonly parameters = 0;
  readonly inputs: readonly Values[];
  readonly output: Values;

  /** A zero, for the tangents of what does not move. */
  readonly #zero: () => GPUBuffer;

  constructor(site: Site) {
    this.name = site.name;
    this.inputs = site.inputs;
    this.output = site.output();
    this.#zero = site.workspace.lease("zero", 1);
  }

  forward(recorder: Recorder, count: number): void {
    const all = this.output.rows(count);
    copyStrided(
      recorder,
      this.#parts(all).map(({ input, part }) => copyInto(input.rows(count), part, false)),
    );
  }

  backward(recorder: Recorder, _count: number, rows: number): void {
    if (!this.output.delta) return;
    const all = this.output.deltas(rows);
    copyStrided(
      recorder,
      this.#parts(all)
        .filter(({ input }) => input.delta)
        .map(({ input, part }) => copyInto(part, input.deltas(rows), false)),
    );
  }

  tangent(recorder: Recorder, _count: number, rows: number): void {
    const all = this.output.tangents(rows);
    copyStrided(
      recorder,
      this.#parts(all).map(({ input, part }) => {
        if (input.tangent) return copyInto(input.tangents(rows), part, false);
        const zeros = copyInto(part, part, false);
        return { ...zeros, source: { buffer: this.#zero(), offset: 0, row: 0, col: 0 } };
      }),
    );
  }

  /** The columns of each input. */
  #parts(all: Matrix): { input: Values; part: Matrix }[] {
    let before = 0;
    return this.inputs.map((input) => {
      const part = { ...all, offset: all.offset + before, cols: input.columns };
      before += input.columns;
      return { input, part };
    });
  }
}
