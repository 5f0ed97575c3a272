import { batchBlock } from "../approximations/kinds.js";
import {
  APPROXIMATIONS,
  type ApproximationKind,
  BLOCK_KINDS,
  type BlockKind,
  type MovingKind,
} from "../names.js";
import type { BlockFactory } from "./block.js";
import { DiagonalBlock } from "./diagonal.js";
import { EigenBlock } from "./eigen.js";
import { EkfacBlock } from "./ekfac.js";
import { FullBlock } from "./full.js";
import { GradientBlock } from "./gradient.js";
import { KroneckerBlock } from "./kronecker.js";

/** A kind of block that comes with the library. */
interface BuiltIn {
  readonly create: BlockFactory;
  /** What it asks of a layer: a Kronecker form of its curvature, derivatives example by example, or nothing that some layer may lack. */
  readonly needs: "kronecker" | "examples" | "nothing";
  readonly about: string;
}

export { BLOCK_KINDS, type BlockKind, type MovingKind };

const MOVING: Readonly<Record<MovingKind, BuiltIn>> = {
  kronecker: {
    create: (site) => new KroneckerBlock(site),
    needs: "kronecker",
    about: "Ā ⊗ B̄ of moving means, damped by the π rule",
  },
  expand: {
    create: (site) => new KroneckerBlock(site, "expand"),
    needs: "kronecker",
    about: "K-FAC's own, positions as further examples",
  },
  reduce: {
    create: (site) => new KroneckerBlock(site, "reduce"),
    needs: "kronecker",
    about: "K-FAC's own, positions by their mean and sum",
  },
  eigen: {
    create: (site) => new EigenBlock(site),
    needs: "kronecker",
    about: "Ā ⊗ B̄ of moving means in its eigenbases, damped by λI",
  },
  ekfac: {
    create: (site) => new EkfacBlock(site),
    needs: "kronecker",
    about: "moving spectrum in the eigenbases of moving means, damped by λI",
  },
  full: {
    create: (site) => new FullBlock(site),
    needs: "examples",
    about: "moving mean of the whole block of a small layer, damped by λI",
  },
  diagonal: {
    create: (site) => new DiagonalBlock(site),
    needs: "nothing",
    about: "moving mean of the diagonal, damped by λI",
  },
  gradient: {
    create: (site) => new GradientBlock(site),
    needs: "nothing",
    about: "U = G",
  },
};

function batch(kind: ApproximationKind): BuiltIn {
  return {
    create: (site) => batchBlock(site, kind),
    needs: kind === "diagonal" ? "nothing" : "kronecker",
    about: `${kind} of the last batch alone`,
  };
}

/** Every kind of block by its name: the one table of them. */
export const BLOCKS: Readonly<Record<BlockKind, BuiltIn>> = {
  ...MOVING,
  ...(Object.fromEntries(APPROXIMATIONS.map((kind) => [`batch:${kind}`, batch(kind)])) as Record<
    `batch:${ApproximationKind}`,
    BuiltIn
  >),
};
