import type { Capabilities } from "../device/index.js";

/** The tile of C that one workgroup of a product kernel computes, and the constants that make it so. */
export interface TileShape {
  readonly rows: number;
  readonly cols: number;
  readonly constants: Readonly<Record<string, number>>;
}

/** Each thread of a product kernel keeps 8 × 8 numbers in registers. */
const THREAD_TILE = 8;

function tile(threadsI: number, threadsJ: number): TileShape {
  return {
    rows: THREAD_TILE * threadsI,
    cols: THREAD_TILE * threadsJ,
    constants: { THREADS_I: threadsI, THREADS_J: threadsJ },
  };
}

/** Software adapters run a workgroup as one row of vector lanes; GPUs want 64 threads with a square footprint. */
const TILES = { software: tile(1, 8), gpu: tile(8, 8) } as const;

/** The tile for this kind of adapter: the one place where product kernels are tuned. */
export function tileShape(capabilities: Capabilities): TileShape {
  return capabilities.software ? TILES.software : TILES.gpu;
}

/** Tiles that cover an m × n matrix. */
export function tilesOf(shape: TileShape, m: number, n: number): number {
  return Math.ceil(m / shape.rows) * Math.ceil(n / shape.cols);
}
