import type { Capabilities } from "../device/index.js";
import { type Kernel, withConstants } from "../pipeline/index.js";

/** Forms of the product kernels, each a shader file of its own; what the file says of the adapter it is for. */
export type ProductForm = "registers" | "subgroup4" | "subgroup8";

/** The tile of C that one workgroup of a product kernel computes, and the kernel's form and constants that make it so. */
export interface TileShape {
  readonly form: ProductForm;
  readonly rows: number;
  readonly cols: number;
  readonly constants: Readonly<Record<string, number>>;
}

/** Each thread keeps 8 × 8 numbers in registers. */
function registers(threadsI: number, threadsJ: number): TileShape {
  return {
    form: "registers",
    rows: 8 * threadsI,
    cols: 8 * threadsJ,
    constants: { THREADS_I: threadsI, THREADS_J: threadsJ },
  };
}

/**
 * The one place where product kernels are tuned. Software adapters run a workgroup as vector lanes, one load at a time, so
 * that a subgroup which shares its loads is two to three times as fast; GPUs want 64 threads with a square footprint.
 */
const TILES = {
  software: registers(1, 8),
  subgroup4: { form: "subgroup4", rows: 32, cols: 32, constants: {} },
  subgroup8: { form: "subgroup8", rows: 32, cols: 64, constants: {} },
  gpu: registers(8, 8),
} as const satisfies Record<string, TileShape>;

/** The tile for this kind of adapter. */
export function tileShape({ software, subgroupSize }: Capabilities): TileShape {
  if (!software) return TILES.gpu;
  if (subgroupSize === 8) return TILES.subgroup8;
  return subgroupSize === 4 ? TILES.subgroup4 : TILES.software;
}

/** A product kernel in the form that the tile asks for. */
export function productKernel(forms: Readonly<Record<ProductForm, Kernel>>, tile: TileShape): Kernel {
  return withConstants(forms[tile.form], { ...tile.constants });
}

/** Tiles that cover an m × n matrix. */
export function tilesOf(shape: TileShape, m: number, n: number): number {
  return Math.ceil(m / shape.rows) * Math.ceil(n / shape.cols);
}
