import type { ParameterPlace } from "../memory/parameters.js";
import type { RowPlace } from "../memory/storage.js";
import type { Workspace } from "../memory/workspace.js";
import type { ReferenceOp } from "../reference/graph.js";
import type { Form } from "./form.js";
import type { Layer } from "./layer.js";
import type { Activation } from "./layer-product.js";
import type { Values } from "./values.js";

/** One part of a network, as its constructor makes it: a description, holding no memory. */
export interface LayerModule {
  /** A registered kind (`registerLayer`). */
  readonly kind: string;
  /** Names the layer in descriptions, errors and checkpoints; defaults to the kind with a number, or its value's name. */
  readonly name?: string;
}

/** Where a layer stands in its network. */
export interface Site {
  readonly name: string;
  /** What it reads, in order. */
  readonly inputs: readonly Values[];
  /** What it makes, as the kind's `shape` says. */
  readonly form: Form;
  readonly workspace: Workspace;
  readonly neighbours: Neighbours;
  /** Room for what it makes. To be called once. */
  output(places?: OutputPlaces): Values;
  /** Room for its weights, out × in: one W and one G however often the layer is applied. */
  weights(out: number, inputs: number): ParameterPlace;
}

/** Where a layer puts what it makes, if not in a place of its own. */
export interface OutputPlaces {
  place?: RowPlace;
  /** Defaults to a place of its own where an input has a derivative or the layer has weights, else to none. */
  delta?: RowPlace;
  /** Defaults to a place of its own where an input has a tangent or the layer has weights, else to none. */
  tangent?: RowPlace;
}

/** What the layers around leave, and ask for. Only kinds that say so in their traits need to look. */
export interface Neighbours {
  /** Nobody else reads the (first) input. */
  readonly alone: boolean;
  /** The output may overwrite the input: nobody reads that again. */
  readonly inPlace: boolean;
  /** The (first) input is what batches are loaded to. */
  readonly loaded: boolean;
  /** The input's transpose is left by a layer before. */
  readonly inputTransposed: boolean;
  /** So is that of the input's tangents; `"aligned"`: where each direction's begin at a multiple of four. */
  readonly tangentTransposed: boolean | "aligned";
  /** The transpose of the output's derivative is left by the layer after. */
  readonly deltaTransposed: boolean;
  /** A layer after reads the output's transpose: to be left here. */
  readonly transposesOutput: boolean;
  /** The layer before reads the transpose of its output's derivative: to be left here. */
  readonly transposesDelta: boolean;
  /** The function that is all that reads the output: to be applied to it here, and its derivative in `tangent`. */
  readonly activationAfter: Activation | undefined;
  /** The function that made the (first) input, which nobody else reads: the derivative that is sent back is to be times φ'. */
  readonly activationBefore: Activation | undefined;
  /** Of a function: what the layers around do in its place, so that these methods have nothing left to do. */
  readonly done: Readonly<Record<"forward" | "backward" | "tangent", boolean>>;
}

/**
 * What lets neighbours save work. All default to false, which is right for any kind: its output gets a buffer of its own, and
 * nobody overwrites what it reads or wrote.
 */
export interface Traits {
  /** The output has the form of the input, whatever that is. */
  readonly anyForm?: boolean;
  /** No dispatch binds one vector to be read and another to be written: all may lie in one buffer. */
  readonly sharesBuffer?: boolean;
  /** Its backward pass does not read its output: the next layer may overwrite that. */
  readonly sparesOutput?: boolean;
  /** It applies the function that `neighbours` say comes after, to all forms or vectors alone. Needs `sparesOutput`. */
  readonly appliesActivation?: boolean | "vectors";
  /** On the way back it multiplies by the derivative of the function that `neighbours` say comes before. */
  readonly appliesDerivative?: boolean | "vectors";
  /** It leaves transposes of vectors on its way where `neighbours` ask for them. */
  readonly leavesTransposes?: boolean;
  /** It reads transposes of vectors, and makes them itself unless `neighbours` have. */
  readonly readsTransposes?: boolean;
}

/**
 * All there is to know about a kind of layer. `shape` and `twin` work on descriptions alone; `build` takes memory.
 */
export interface LayerKind<M extends LayerModule = LayerModule> {
  readonly kind: string;
  /** What K-FAC does with it, in a line. */
  readonly treatment: string;
  /** Defaults to `"one"`. */
  readonly arity?: "one" | "several";
  /** Whether it has weights; defaults to false. */
  readonly trainable?: boolean;
  readonly traits?: Traits;
  /**
   * What its layers record for so many examples and rows is always the same, and they write nothing themselves meanwhile: then
   * a training step records them once and sends the same commands again. Defaults to false.
   */
  readonly repeats?: boolean;
  /** The element-wise function that it is, which its neighbours may apply in its place. */
  activation?(module: M): Activation;
  /** The form that it takes, where the description alone says so: a network that begins with it needs no `input`. */
  takes?(module: M): Form | undefined;
  /** What it makes of its inputs. @throws ShapeError for inputs that it cannot take, ArgumentError for a bad description */
  shape(module: M, inputs: readonly Form[], name: string): Form;
  /** The layer at work on the GPU. */
  build(module: M, site: Site): Layer;
  /** The same in f64, with a derivative of its own: what tests hold the layer against. */
  twin(module: M, inputs: readonly Form[]): ReferenceOp;
}
