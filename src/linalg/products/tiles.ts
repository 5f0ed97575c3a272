import type { Capabilities } from "../../device/index.js";
import { type Kernel, withConstants } from "../../pipeline/index.js";

/** Forms of the product kernels, each a shader file of its own; what the file says of the adapter it is for. */
export type ProductForm = "registers" | "subgroup4" | "subgroup8" | "workgroup";

/** The tile of C that one workgroup of a product kernel computes, and the kernel's form and constants that make it so. */
export interface TileShape {
  readonly form: ProductForm;
  readonly rows: number;
  readonly cols: number;
  readonly constants: Readonly<Record<string, number>>;
}

/** Each thread keeps 8 × 8 numbers, and the threads of a workgroup share what they load. */
function workgroup(threads: number): TileShape {
  return { form: "workgroup", rows: 8 * threads, cols: 8 * threads, constants: { THREADS: threads } };
}

/** Every tile there is. */
export const TILES = {
  registers: { form: "registers", rows: 8, cols: 64, constants: { THREADS_I: 1, THREADS_J: 8 } },
  subgroup4: { form: "subgroup4", rows: 32, cols: 32, constants: {} },
  subgroup8: { form: "subgroup8", rows: 32, cols: 32, constants: {} },
  workgroup64: workgroup(8),
  workgroup128: workgroup(16),
} as const satisfies Record<string, TileShape>;

export type TileName = keyof typeof TILES;

/** What a tile is for. */
interface Use {
  readonly tile: TileName;
  readonly software: boolean;
  /** Lanes of every subgroup. */
  readonly lanes?: number;
  /** Only where the dispatch has that many tiles of this kind. */
  readonly least?: number;
  /** Only where they cover at most so many times what the tiles of the next use would. */
  readonly waste?: number;
}

/**
 * The one place where product kernels are tuned: the first use that fits decides. Software adapters run a workgroup as
 * vector lanes, one load at a time, so that a subgroup which shares its loads is two to three times as fast, and barriers
 * cost more than they save. GPUs want workgroup memory, and the larger tile, which loads half as much a product, as soon as
 * it keeps all of them busy.
 */
const USES: readonly Use[] = [
  { tile: "subgroup8", software: true, lanes: 8 },
  { tile: "subgroup4", software: true, lanes: 4 },
  { tile: "registers", software: true },
  { tile: "workgroup128", software: false, least: 256, waste: 1.25 },
  { tile: "workgroup64", software: false },
];

/** The sizes m × n of the results of a dispatch. */
export type Sizes = readonly (readonly [m: number, n: number])[];

const forced = new WeakMap<Capabilities, TileName>();

/** Makes every product on a device of these capabilities use one tile: for tests and measurements. */
export function forceTile(capabilities: Capabilities, tile: TileName): void {
  forced.set(capabilities, tile);
}

/** What to choose from on this kind of adapter; the last one always fits. */
function usesOn(capabilities: Capabilities): readonly Use[] {
  const { software, subgroupSize } = capabilities;
  const tile = forced.get(capabilities);
  if (tile) return [{ tile, software }];
  const uses = USES.filter(
    (use) => use.software === software && (use.lanes ?? subgroupSize) === subgroupSize,
  );
  return uses.slice(0, 1 + uses.findIndex(({ least }) => least === undefined));
}

/** The tile for a dispatch of results of these sizes on this kind of adapter. */
export function tileShape(capabilities: Capabilities, sizes: Sizes): TileShape {
  const uses = usesOn(capabilities);
  const fitting = uses.find(({ tile, least, waste = 1 }, index) => {
    if (least === undefined) return true;
    const tiles = tilesInAll(TILES[tile], sizes);
    return tiles.count >= least && tiles.area <= waste * tilesInAll(TILES[uses[index + 1]!.tile], sizes).area;
  });
  return TILES[fitting!.tile];
}

/** How many tiles cover the results, and how many numbers those have. */
export function tilesInAll(shape: TileShape, sizes: Sizes): { count: number; area: number } {
  const count = sizes.reduce((sum, [m, n]) => sum + tilesOf(shape, m, n), 0);
  return { count, area: count * shape.rows * shape.cols };
}

/** A product kernel in the form that the tile asks for. */
export function productKernel(forms: Readonly<Record<ProductForm, Kernel>>, tile: TileShape): Kernel {
  return withConstants(forms[tile.form], { ...tile.constants });
}

/** Tiles that cover an m × n matrix. */
export function tilesOf(shape: TileShape, m: number, n: number): number {
  return Math.ceil(m / shape.rows) * Math.ceil(n / shape.cols);
}

/** Numbers in the tiles of a d × d Gram matrix that hold something on or below the diagonal. */
export function lowerArea(capabilities: Capabilities, size: number): number {
  const tile = tileShape(capabilities, [[size, size]]);
  let tiles = 0;
  for (let bottom = tile.rows; bottom < size + tile.rows; bottom += tile.rows) {
    tiles += Math.ceil(Math.min(bottom, size) / tile.cols);
  }
  return tiles * tile.rows * tile.cols;
}
