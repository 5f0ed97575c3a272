import { LIST, must } from "../arguments.js";
import { ArgumentError, DataError, ShapeError } from "../errors.js";
import { packRows, unpackRows } from "../host/index.js";
import { requireType } from "../model/arrays.js";
import type { Trainable } from "../model/index.js";

/** Copies weights (out × in each, no padding) into the network's layout of `length` numbers, zeros between them. */
export function packWeights(
  layers: readonly Trainable[],
  weights: readonly Float32Array[],
  length: number,
): Float32Array<ArrayBuffer> {
  const packed = new Float32Array(length);
  for (const [l, { W }] of layers.entries()) packRows(weights[l]!, W, packed);
  return packed;
}

/** The opposite of `packWeights`. */
export function unpackWeights(layers: readonly Trainable[], packed: Float32Array): Float32Array[] {
  return layers.map(({ W }) => unpackRows(packed, W));
}

/** @throws ArgumentError for a wrong number of arrays, ShapeError for a wrong length, DataError for a bad value. */
export function checkWeights(layers: readonly Trainable[], weights: readonly Float32Array[]): void {
  must("setWeights", "weights", weights, LIST);
  if (weights.length !== layers.length) {
    throw new ArgumentError(
      "setWeights",
      "weights",
      `must hold one array per layer, ${layers.length}, got ${weights.length}`,
    );
  }
  for (const [l, { name, W }] of layers.entries()) {
    const own = weights[l]!;
    requireType("setWeights", `weights of ${name}`, own, Float32Array);
    if (own.length !== W.rows * W.cols) {
      throw new ShapeError("setWeights", `weights of ${name}`, [own.length], [W.rows, W.cols]);
    }
    const bad = own.findIndex((w) => !Number.isFinite(w));
    if (bad >= 0) {
      const message = `hold ${own[bad]} at (${Math.floor(bad / W.cols)}, ${bad % W.cols}); pass finite numbers`;
      throw new DataError(`weights of ${name}`, message, { actual: own[bad] });
    }
  }
}
