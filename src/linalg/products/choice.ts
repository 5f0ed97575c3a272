import type { Capabilities } from "../../device/index.js";
import { duration, type ProductSize } from "./cost.js";
import { lowerTiles, type ProductForm, TILES, type TileName, type TileShape } from "./tiles.js";

/**
 * What to choose from, by the kind of adapter and the lanes of its subgroups. Software adapters run a workgroup as vector lanes, one
 * load at a time, so that a subgroup which shares its loads is two to three times as fast, and barriers cost more than they save.
 * GPUs want workgroup memory; which tile is decided by `duration`.
 */
export function candidates({ software, subgroupSize }: Capabilities): readonly TileName[] {
  if (!software) return ["workgroup128", "workgroup64", "sliced"];
  if (subgroupSize === 8) return ["subgroup8"];
  return subgroupSize === 4 ? ["subgroup4"] : ["registers"];
}

/** Every tile that a device of this kind can run. */
export function runnable({ subgroupSize }: Capabilities): readonly TileName[] {
  const everywhere = ["workgroup128", "workgroup64", "sliced", "registers"] as const;
  if (subgroupSize === 8) return [...everywhere, "subgroup8"];
  return subgroupSize === 4 ? [...everywhere, "subgroup4"] : everywhere;
}

/** What was measured on a device: the fastest tile for the products of a dispatch, by `keyOf` of them. */
export interface Measured {
  readonly tiles: Map<string, TileName>;
  /** Where somebody listens: all dispatches that were asked for. */
  asked: Map<string, readonly ProductSize[]> | undefined;
}

const measured = new WeakMap<Capabilities, Measured>();

/** Where measurements on a device of these capabilities are kept. */
export function measuredOn(capabilities: Capabilities): Measured {
  const known = measured.get(capabilities) ?? { tiles: new Map(), asked: undefined };
  measured.set(capabilities, known);
  return known;
}

/** A text for a dispatch of products: their sizes in order, each with how often it comes. */
export function keyOf(products: readonly ProductSize[]): string {
  const texts = products.map(({ m, n, k, lower }) => `${m}x${n}x${k}${lower ? "l" : ""}`);
  const key: string[] = [];
  for (let first = 0, next = 0; first < texts.length; first = next) {
    while (texts[next] === texts[first]) next++;
    key.push(next - first > 1 ? `${next - first}*${texts[first]}` : texts[first]!);
  }
  return key.join(" ");
}

const forced = new WeakMap<Capabilities, TileName>();

/** Makes every product on a device of these capabilities use one tile: for tests and measurements. */
export function forceTile(capabilities: Capabilities, tile: TileName): void {
  forced.set(capabilities, tile);
}

/** The forms of a kernel that has not all of them. */
export type Forms = Readonly<Partial<Record<ProductForm, unknown>>>;

/** The tile for a dispatch of such products on this kind of adapter, of those whose forms the kernel has. */
export function tileShape(
  capabilities: Capabilities,
  products: readonly ProductSize[],
  forms?: Forms,
): TileShape {
  const tile = forced.get(capabilities) ?? lookedUp(capabilities, products);
  if (tile && (!forms || TILES[tile].form in forms)) return TILES[tile];
  return TILES[fastest(capabilities, products, forms)];
}

function lookedUp(capabilities: Capabilities, products: readonly ProductSize[]): TileName | undefined {
  const known = measured.get(capabilities);
  if (!known || products.length === 0) return undefined;
  const key = keyOf(products);
  known.asked?.set(key, products);
  return known.tiles.get(key);
}

/** What a dispatch may use here, of the tiles whose forms its kernel has. */
export function usable(capabilities: Capabilities, forms?: Forms): readonly TileName[] {
  const tile = forced.get(capabilities);
  if (tile && !forms) return [tile];
  return candidates(capabilities).filter((name) => !forms || TILES[name].form in forms);
}

/** The tile that `duration` thinks fastest. */
export function fastest(
  capabilities: Capabilities,
  products: readonly ProductSize[],
  forms?: Forms,
): TileName {
  const [first, ...others] = usable(capabilities, forms);
  if (others.length === 0) return first!;
  return [first!, ...others]
    .map((tile) => ({ tile, time: duration(capabilities, tile, products) }))
    .reduce((best, other) => (other.time < best.time ? other : best)).tile;
}

/** Numbers in the tiles of a d × d Gram matrix of k examples that hold something on or below the diagonal. */
export function lowerArea(capabilities: Capabilities, size: number, k: number): number {
  const tile = tileShape(capabilities, [{ m: size, n: size, k, lower: true }]);
  return lowerTiles(tile, size) * tile.rows * tile.cols;
}
