import { must, objectsOf, SIZE, shown } from "../../arguments.js";
import { ArgumentError, UnsupportedLayerError } from "../../errors.js";
import { FALLBACKS, type Fallback } from "../names.js";
import type { BlockFactory, CurvatureLayer } from "./block.js";
import { BLOCK_KINDS, BLOCKS, type BlockKind } from "./kinds.js";

export { FALLBACKS, type Fallback };

/**
 * Which block each layer gets: one kind for all, or a function of the layer that names a kind or gives a factory of the
 * caller's own. Layers with the same kind or factory share one block; `() => factory` gives all of them to it.
 */
export type BlockChoice = BlockKind | ((layer: CurvatureLayer, index: number) => BlockKind | BlockFactory);

/** How a model's curvature is put together. */
export interface BlockOptions {
  /** Defaults to `"kronecker"`. A factory of the caller's own is taken at its word that it can do with the layer. */
  blocks?: BlockChoice;
  /**
   * The block of layers without a Kronecker form, where a kind was named that needs one: `"diagonal"`, or `"gradient"`, U = G.
   * None by default: such a layer is refused.
   */
  fallback?: Fallback;
}

/** Layers that share a block. */
export interface BlockPlan {
  readonly create: BlockFactory;
  /** The kind, where it is one of the library's. */
  readonly kind: BlockKind | undefined;
  /** The layers, by their numbers in the model. */
  readonly members: readonly number[];
  /** Why each of them is here. */
  readonly reasons: readonly string[];
}

/**
 * Sorts a model's layers into blocks, in the order in which they first appear.
 *
 * @throws ArgumentError for no layers, an unknown kind or fallback, UnsupportedLayerError for a layer without Kronecker form
 *   where neither its kind nor a fallback can do without.
 */
export function planBlocks(layers: readonly CurvatureLayer[], options: BlockOptions = {}): BlockPlan[] {
  const { blocks = "kronecker", fallback } = options;
  objectsOf("curvature", "layers", layers, { words: "a layer { name, in, out }" });
  for (const { name, in: inputs, out } of layers) {
    must("curvature", `in of layer ${shown(name)}`, inputs, SIZE);
    must("curvature", `out of layer ${shown(name)}`, out, SIZE);
  }
  if (layers.length === 0) throw new ArgumentError("curvature", "layers", "must be at least one");
  if (fallback !== undefined && !FALLBACKS.includes(fallback)) {
    throw new ArgumentError("curvature", "fallback", `must be ${FALLBACKS.join(" or ")}, got ${fallback}`);
  }
  const plans = new Map<BlockKind | BlockFactory, { members: number[]; reasons: string[] }>();
  for (const [index, layer] of layers.entries()) {
    const asked = typeof blocks === "function" ? blocks(layer, index) : blocks;
    const { choice, reason } = chosen(layer, asked, fallback, options.blocks !== undefined);
    const plan = plans.get(choice) ?? { members: [], reasons: [] };
    plan.members.push(index);
    plan.reasons.push(reason);
    plans.set(choice, plan);
  }
  return [...plans].map(([choice, { members, reasons }]) => {
    if (typeof choice === "function") return { create: choice, kind: undefined, members, reasons };
    return { create: BLOCKS[choice].create, kind: choice, members, reasons };
  });
}

function chosen(
  layer: CurvatureLayer,
  asked: BlockKind | BlockFactory,
  fallback: Fallback | undefined,
  named: boolean,
): { choice: BlockKind | BlockFactory; reason: string } {
  const reason = named ? "asked for" : "default";
  if (typeof asked === "function") return { choice: asked, reason };
  if (!(typeof asked === "string" && Object.hasOwn(BLOCKS, asked))) {
    const known = BLOCK_KINDS.join(", ");
    throw new ArgumentError(
      "curvature",
      `blocks of layer ${layer.name}`,
      `must be one of ${known}, or a factory from a function of the layer (() => factory), got ${shown(asked)}`,
    );
  }
  const { needs } = BLOCKS[asked];
  const lack =
    needs === "kronecker" ? (layer.withoutKronecker ?? layer.withoutExamples) : layer.withoutExamples;
  if (needs === "nothing" || lack === undefined) return { choice: asked, reason };
  if (fallback !== undefined) return { choice: fallback, reason: `fallback: ${lack}` };
  throw new UnsupportedLayerError(
    layer.name,
    lack,
    'name fallback: "diagonal" (a diagonal curvature) or fallback: "gradient" (its plain gradient) for such layers, or leave it out',
  );
}
