import type { Capabilities } from "../../device/index.js";
import { type Matrix, paddedLength } from "../layout/view.js";

/**
 * Workgroups that keep an adapter busy, and the elements of a part: on a CPU, one should stay in the cache while all
 * workgroups read it.
 */
const WANTED = {
  software: { groups: 16, elements: 1 << 17 },
  gpu: { groups: 512, elements: Number.POSITIVE_INFINITY },
} as const;
/** Terms that one thread adds up one after another: few enough to keep the rounding error of long sums small. */
const LONGEST = 8192;
/** The fewest terms that are worth a partial result. */
const SHORTEST = 64;
/** Bounds of the partial results: their number, and their elements. */
const MOST_PARTS = 64;
const MOST_ELEMENTS = 1 << 22;

/**
 * The parts into which to split a sum of `terms` products, side by side, each with a partial result of its own, when the
 * whole dispatch has `tiles` tiles without that.
 */
export function partsOf(
  { software }: Capabilities,
  { rows, cols, terms, tiles }: { rows: number; cols: number; terms: number; tiles: number },
): number {
  const wanted = WANTED[software ? "software" : "gpu"];
  const parts = Math.max(
    Math.min(Math.ceil(wanted.groups / tiles), Math.floor(terms / SHORTEST)),
    Math.ceil((terms * cols) / wanted.elements),
    Math.ceil(terms / LONGEST),
  );
  const most = Math.min(MOST_PARTS, Math.ceil(MOST_ELEMENTS / paddedLength(rows, cols)));
  return Math.min(Math.max(parts, 1), most);
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
