import { copyStrided, type Matrix, packed, packedTarget, type StridedCopy } from "../../linalg/index.js";
import { copyInto } from "../../linalg/layout/pack.js";
import type { Directions } from "../../memory/directions.js";
import type { ParameterPlace } from "../../memory/parameters.js";
import type { Workspace } from "../../memory/workspace.js";
import type { Recorder } from "../../pipeline/index.js";
import type { ConvGeometry } from "./geometry.js";

/** A sum that was computed for the whole kernel, and what brings it to where it belongs. */
export interface Target {
  readonly target: Matrix;
  finish(): void;
}

/**
 * A convolution's weights in the forms that its products read. W is out × in, a group's channels only; products take the
 * whole kernel, out × (features + bias), in which a group's rows are zero at other groups' channels. With one group the two
 * are the same.
 */
export class ConvWeights {
  readonly #geometry: ConvGeometry;
  readonly #place: ParameterPlace;
  readonly #columns: number;
  /** Of more groups than one: W, W', a direction V' and a sum, for the whole kernel. Their zeros are never written. */
  readonly #whole: Record<"W" | "transposed" | "direction" | "sum", () => Matrix> | undefined;

  constructor(workspace: Workspace, geometry: ConvGeometry, place: ParameterPlace) {
    const { groups, features, bias, output } = geometry;
    this.#geometry = geometry;
    this.#columns = features + (bias ? 1 : 0);
    this.#place = place;
    if (groups === 1) return;
    const lease = (label: string, rows: number, cols: number) => {
      const stride = Math.ceil(cols / 4) * 4;
      const buffer = workspace.lease(label, rows * stride);
      return (): Matrix => ({ buffer: buffer(), offset: 0, rows, cols, stride });
    };
    this.#whole = {
      W: lease("whole kernel", output.channels, this.#columns),
      transposed: lease("whole kernel'", this.#columns, output.channels),
      direction: lease("whole direction'", this.#columns, output.channels),
      sum: lease("whole sum", output.channels, this.#columns),
    };
  }

  /** out × in. */
  get W(): Matrix {
    return this.#place.W;
  }

  /** out × in. */
  get G(): Matrix {
    return this.#place.G;
  }

  /** The whole kernel without bias, out × features. */
  get kernel(): Matrix {
    return { ...(this.#whole?.W() ?? this.W), cols: this.#geometry.features };
  }

  /** The whole kernel transposed, (features + bias) × out. */
  get transposed(): Matrix {
    return this.#whole?.transposed() ?? this.#place.transposed;
  }

  /** What must be copied before `kernel` and `transposed` are W as it is now. */
  copies(): StridedCopy[] {
    if (!this.#whole) return [copyInto(this.W, this.#place.transposed, true)];
    return [
      ...this.#blocks(this.W, this.#whole.W(), false),
      ...this.#blocks(this.W, this.#whole.transposed(), true),
    ];
  }

  /** Some V, out × in, as the whole kernel transposed. */
  direction(recorder: Recorder, V: Matrix): Matrix {
    if (!this.#whole) return packed(recorder, V, true);
    const whole = this.#whole.direction();
    copyStrided(recorder, this.#blocks(V, whole, true));
    return whole;
  }

  /** Each V_k', where the whole kernel is the layer's own; undefined with several groups. */
  transposesOf(directions: Directions): Matrix[] | undefined {
    return this.#whole ? undefined : directions.transposed(this.#place);
  }

  /** Each V_k, out × in. */
  directionsOf(directions: Directions): Matrix[] {
    return directions.of(this.#place);
  }

  /** Where a sum for the whole kernel goes that is meant for `into`, out × in. */
  sum(recorder: Recorder, into: Matrix): Target {
    if (!this.#whole) {
      const { target, unpack } = packedTarget(recorder, into, false);
      return { target, finish: unpack };
    }
    const whole = this.#whole.sum();
    const back = this.#blocks(into, whole, false).map(
      ({ source, target, ...sizes }): StridedCopy => ({ source: target, target: source!, ...sizes }),
    );
    return { target: whole, finish: () => copyStrided(recorder, back) };
  }

  /** The copies of a group's rows to its channels, and of the bias. */
  #blocks(W: Matrix, whole: Matrix, transpose: boolean): StridedCopy[] {
    const { groups, features, bias, output } = this.#geometry;
    const rows = output.channels / groups;
    const cols = features / groups;
    const [row, col] = transpose ? [1, whole.stride] : [whole.stride, 1];
    const blocks: StridedCopy = {
      source: { buffer: W.buffer, offset: W.offset, batch: rows * W.stride, row: W.stride, col: 1 },
      target: { buffer: whole.buffer, offset: whole.offset, batch: rows * row + cols * col, row, col },
      batch: groups,
      rows,
      cols,
    };
    if (!bias) return [blocks];
    return [
      blocks,
      {
        source: { buffer: W.buffer, offset: W.offset + cols, row: W.stride, col: 1 },
        target: { buffer: whole.buffer, offset: whole.offset + features * col, row, col },
        rows: output.channels,
        cols: 1,
      },
    ];
  }
}
