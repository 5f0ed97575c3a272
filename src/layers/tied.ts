import { must, optionsOf, TEXT } from "../arguments.js";
import type { LayerModule } from "./kind.js";

export const TIED = "tied";

/** Another application of a layer. */
export interface TiedModule extends LayerModule {
  readonly kind: typeof TIED;
  /** The layer's name. */
  readonly layer: string;
}

/**
 * The layer of that name once more, with the same weights. There is one W, one gradient (the sum over the places where the
 * layer is applied) and one block of curvature, in which the positions of all places count as the layer's: Ā is the mean
 * over examples and all positions, B̄ the mean over examples of the sum over positions.
 *
 * @param layer one that is applied before this
 * @throws ArgumentError when `layer` is not a name.
 */
export function tied(layer: string, options: { name?: string } = {}): TiedModule {
  must("tied", "layer", layer, { ...TEXT, words: "the name of a layer" });
  return { kind: TIED, layer, name: optionsOf("tied", { name: TEXT }, options).name };
}

export function isTied(module: LayerModule): module is TiedModule {
  return module.kind === TIED;
}
