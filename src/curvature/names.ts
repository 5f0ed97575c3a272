/** The kinds of curvature by name. This file knows no GPU, so that the names can be listed without one. */

/** Every approximation of a layer's exact block, in the order in which comparisons show them. */
export const APPROXIMATIONS = [
  "diagonal",
  "expand",
  "expandFactored",
  "reduce",
  "ekfac",
  "kfoc",
  "meanFluctuation",
] as const;

/**
 * `"diagonal"` of H; `"expand"` (KFC), with λI added (`"expandFactored"`: to each factor by the π rule); `"reduce"`;
 * `"ekfac"`; `"kfoc"`, the nearest Kronecker product; `"meanFluctuation"`, a sum of two.
 */
export type ApproximationKind = (typeof APPROXIMATIONS)[number];

const MOVING_KINDS = [
  "kronecker",
  "expand",
  "reduce",
  "eigen",
  "ekfac",
  "full",
  "diagonal",
  "gradient",
] as const;

/** The kinds with a memory: moving means, renewed by each batch. */
export type MovingKind = (typeof MOVING_KINDS)[number];

/**
 * A kind of block by name. `"kronecker"` is K-FAC's own, `"expand"` and `"reduce"` are that with
 * positions (of convolutions, sequences, tied layers) treated so, whatever the layer was built with, `"eigen"` the same product with λI added exactly, `"ekfac"` keeps the
 * spectrum in its eigenbases, `"full"` the whole block of a small layer, `"diagonal"` the diagonal, `"gradient"` nothing. With `"batch:"` before it, an approximation is fitted to each batch anew and forgets the one
 * before.
 */
export type BlockKind = MovingKind | `batch:${ApproximationKind}`;

export const BLOCK_KINDS: readonly BlockKind[] = [
  ...MOVING_KINDS,
  ...APPROXIMATIONS.map((kind) => `batch:${kind}` as const),
];

/** What becomes of layers whose curvature has no Kronecker form. */
export const FALLBACKS = ["diagonal", "gradient"] as const;
export type Fallback = (typeof FALLBACKS)[number];
