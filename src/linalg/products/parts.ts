import type { Capabilities } from "../../device/index.js";
import { type Matrix, paddedLength } from "../layout/view.js";
import { usable } from "./choice.js";
import { duration, longestSum, type ProductSize } from "./cost.js";
import { TILES, type TileName, tilesOf } from "./tiles.js";

/** On a CPU: workgroups that keep it busy, and the elements of a part, which should stay in the cache while all read it. */
const SOFTWARE = { groups: 16, elements: 1 << 17 };
/** The fewest terms that are worth a partial result. */
const SHORTEST = 64;
/** Bounds of the partial results: their number, and their elements. */
const MOST_PARTS = 64;
const MOST_ELEMENTS = 1 << 22;
/** Numbers of parts that are considered on a GPU. */
const TRIED = [1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, MOST_PARTS];
/** More parts need more memory, and the model of the time is a rough one: they have to promise at least this share of it. */
const WORTH = 0.9;

/** The parts into which to split each sum of a dispatch, side by side, each with a partial result of its own. */
export function partsOf(capabilities: Capabilities, products: readonly ProductSize[]): number[] {
  const tiles = usable(capabilities);
  if (capabilities.software) return products.map((product) => softwareParts(tiles[0]!, product));
  const choices = TRIED.map((tried) => {
    const parts = products.map((product) => Math.min(tried, most(product)));
    const times = tiles.map((tile) => duration(capabilities, tile, products, parts));
    return { parts, time: Math.min(...times) };
  });
  return choices.reduce((best, more) => (more.time < WORTH * best.time ? more : best)).parts;
}

function softwareParts(tile: TileName, product: ProductSize): number {
  const { m, n, k } = product;
  const parts = Math.max(
    Math.min(Math.ceil(SOFTWARE.groups / tilesOf(TILES[tile], m, n)), Math.floor(k / SHORTEST)),
    Math.ceil((k * n) / SOFTWARE.elements),
    Math.ceil(k / longestSum(tile)),
    1,
  );
  return Math.min(parts, room(product));
}

function most(product: ProductSize): number {
  return Math.min(Math.max(Math.floor(product.k / SHORTEST), 1), room(product));
}

function room({ m, n }: ProductSize): number {
  return Math.min(MOST_PARTS, Math.ceil(MOST_ELEMENTS / paddedLength(m, n)));
}

/** The rows of a matrix in that many parts of about the same height; the last ones may be empty. */
export function rowsInParts(view: Matrix, parts: number): Matrix[] {
  const each = Math.ceil(view.rows / parts);
  return Array.from({ length: parts }, (_, part) => {
    const first = Math.min(part * each, view.rows);
    return { ...view, offset: view.offset + first * view.stride, rows: Math.min(each, view.rows - first) };
  });
}

/** Partial results that lie one behind the other, the first at `view`. */
export function partials(view: Matrix, parts: number): Matrix[] {
  return Array.from({ length: parts }, (_, part) => {
    return { ...view, offset: view.offset + part * view.rows * view.stride };
  });
}
