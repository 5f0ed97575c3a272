import type { Capabilities } from "../../device/index.js";
import { lowerTiles, TILES, type TileName, type TileShape, tilesOf } from "./tiles.js";

/** A result m × n whose numbers are sums of k products; of a Gram matrix only the tiles at the diagonal or below are computed. */
export interface ProductSize {
  readonly m: number;
  readonly n: number;
  readonly k: number;
  readonly lower?: boolean;
}

/**
 * What a dispatch takes on a GPU, in units of the time in which one of its processors does a multiply-add with the fastest tile. The
 * numbers are those of an H200 (132 processors, 43 TF/s with tiles of 128 × 128, 32 TF/s with 64 × 64): what is compared are
 * their ratios, which differ less from card to card than their sizes.
 */
const GPU = {
  /** Multiply-adds a processor does with each tile, beside the fastest one: with several workgroups at a time, and with one alone. */
  speed: { workgroup128: [1, 0.75], workgroup64: [0.75, 0.6], sliced: [0.15, 0.6] } as Partial<
    Record<TileName, readonly [full: number, alone: number]>
  >,
  /** Rows of the sum in whose time a workgroup begins and ends. */
  startup: 32,
  /** A further dispatch that waits for this one. */
  launch: 800_000,
  /** To write a number of a partial result, and read it again. */
  move: 36,
  /** To wait for one more part of a number, as the parts are added one after another. */
  wait: 25_000,
};

/** Terms that one thread adds up one after another: few enough to keep the rounding error of long sums small. */
const LONGEST = 8192;
/** How much longer a dispatch may take for sums that are not longer than that. */
const ACCURACY = 2;

/** The longest sums that a tile takes in one part. */
export function longestSum(tile: TileName): number {
  const { slices = 1 }: TileShape = TILES[tile];
  return LONGEST * slices;
}

/** Whether a tile takes all sums of a dispatch in one part. */
export function takesWhole(tile: TileName, products: readonly ProductSize[]): boolean {
  return products.every(({ k }) => k <= longestSum(tile));
}

/** Processors of a GPU, as far as its vendor tells: WebGPU does not. */
const PROCESSORS: Readonly<Record<string, number>> = { nvidia: 100, amd: 64, intel: 24, apple: 20 };
/** Of phones and of cards nobody knows. */
const FEW = 16;

export function processorsOf({ vendor }: Capabilities): number {
  return PROCESSORS[vendor.toLowerCase()] ?? FEW;
}

/**
 * The time of a dispatch. Where each workgroup has a processor to itself, that of the longest. Otherwise no schedule is longer than
 * the sum of all, shared evenly, and the longest of them (Graham 1969, Bounds on multiprocessing timing anomalies), and a
 * GPU's comes near that, since a last wave that does not fill it takes as long as a full one. Where sums are taken in
 * parts, there is a second dispatch that adds those. Sums too long for the tile count double.
 *
 * @param parts of each product's sum, by default 1
 */
export function duration(
  capabilities: Capabilities,
  name: TileName,
  products: readonly ProductSize[],
  parts: readonly number[] = [],
): number {
  const tile = TILES[name];
  const processors = processorsOf(capabilities);
  const [full, alone] = GPU.speed[name] ?? GPU.speed.sliced!;
  let [groups, sum, longest, moved, most, terms] = [0, 0, 0, 0, 1, 0];
  for (const [index, { m, n, k, lower }] of products.entries()) {
    const own = parts[index] ?? 1;
    const work = tile.rows * tile.cols * (Math.ceil(k / own) + GPU.startup);
    const count = (lower ? lowerTiles(tile, m) : tilesOf(tile, m, n)) * own;
    groups += count;
    sum += (count * work) / full;
    longest = Math.max(longest, work / alone);
    if (own > 1) moved += own * m * n;
    most = Math.max(most, own);
    terms = Math.max(terms, Math.ceil(k / own));
  }
  const second = most > 1 ? GPU.launch + GPU.wait * most + (GPU.move * moved) / processors : 0;
  const shared = groups > processors ? sum / processors : 0;
  return (terms > longestSum(name) ? ACCURACY : 1) * (shared + longest + second);
}
