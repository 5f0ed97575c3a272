import { type Kernel, withConstants } from "../../pipeline/index.js";

/** Forms of the product kernels, each a shader file of its own; what the file says of the adapter it is for. */
export type ProductForm = "registers" | "subgroup4" | "subgroup8" | "workgroup64" | "workgroup128" | "sliced";

/** The tile of C that one workgroup of a product kernel computes, and the kernel's form and constants that make it so. */
export interface TileShape {
  readonly form: ProductForm;
  readonly rows: number;
  readonly cols: number;
  readonly constants: Readonly<Record<string, number>>;
  /** Threads that share the sum of one number, by default 1. */
  readonly slices?: number;
}

/** Every tile there is. */
export const TILES = {
  registers: { form: "registers", rows: 8, cols: 64, constants: { THREADS_I: 1, THREADS_J: 8 } },
  subgroup4: { form: "subgroup4", rows: 32, cols: 32, constants: {} },
  subgroup8: { form: "subgroup8", rows: 32, cols: 32, constants: {} },
  workgroup64: { form: "workgroup64", rows: 64, cols: 64, constants: {} },
  workgroup128: { form: "workgroup128", rows: 128, cols: 128, constants: {} },
  sliced: { form: "sliced", rows: 8, cols: 8, constants: {}, slices: 64 },
} as const satisfies Record<string, TileShape>;

export type TileName = keyof typeof TILES;

/** A product kernel in the form that the tile asks for. */
export function productKernel(
  forms: Readonly<Partial<Record<ProductForm, Kernel>>>,
  tile: TileShape,
): Kernel {
  return withConstants(forms[tile.form]!, { ...tile.constants });
}

/** Tiles that cover an m × n matrix. */
export function tilesOf(shape: Pick<TileShape, "rows" | "cols">, m: number, n: number): number {
  return Math.ceil(m / shape.rows) * Math.ceil(n / shape.cols);
}

/** Tiles of a d × d matrix that reach to the diagonal or below. */
export function lowerTiles({ rows, cols }: Pick<TileShape, "rows" | "cols">, size: number): number {
  let tiles = 0;
  for (let bottom = rows; bottom < size + rows; bottom += rows) {
    tiles += Math.ceil(Math.min(bottom, size) / cols);
  }
  return tiles;
}
