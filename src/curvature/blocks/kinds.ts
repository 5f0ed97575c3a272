import type { Capabilities } from "../../device/index.js";
import { blendKernel } from "../../linalg/blend.js";
import { copyKernel, finiteKernel, guardKernel, matmulKernels } from "../../linalg/index.js";
import type { Kernel } from "../../pipeline/index.js";
import { batchBlock } from "../approximations/kinds.js";
import { spectrumKernels } from "../kernels/spectrum.js";
import {
  APPROXIMATIONS,
  type ApproximationKind,
  BLOCK_KINDS,
  type BlockKind,
  type MovingKind,
} from "../names.js";
import type { BlockFactory } from "./block.js";
import { blockStateKernels } from "./block-state.js";
import { DiagonalBlock, diagonalKernels } from "./diagonal.js";
import { EkfacBlock, ekfacKernels } from "./ekfac.js";
import { GradientBlock, gradientKernels } from "./gradient.js";
import { KroneckerBlock, kroneckerKernels } from "./kronecker.js";

/** A kind of block that comes with the library. */
interface BuiltIn {
  readonly create: BlockFactory;
  /** What it asks of a layer: a Kronecker form of its curvature, or nothing that some layer may lack. */
  readonly needs: "kronecker" | "nothing";
  readonly about: string;
  /** What it dispatches, for compiling ahead; what is missing is compiled at its first use. */
  kernels(capabilities: Capabilities): readonly Kernel[];
}

export { BLOCK_KINDS, type BlockKind, type MovingKind };

const MOVING: Readonly<Record<MovingKind, BuiltIn>> = {
  kronecker: {
    create: (site) => new KroneckerBlock(site),
    needs: "kronecker",
    about: "Ā ⊗ B̄ of moving means, damped by the π rule",
    kernels: kroneckerKernels,
  },
  ekfac: {
    create: (site) => new EkfacBlock(site),
    needs: "kronecker",
    about: "moving spectrum in the eigenbases of moving means, damped by λI",
    kernels: ekfacKernels,
  },
  diagonal: {
    create: (site) => new DiagonalBlock(site),
    needs: "nothing",
    about: "moving mean of the diagonal, damped by λI",
    kernels: () => diagonalKernels,
  },
  gradient: {
    create: (site) => new GradientBlock(site),
    needs: "nothing",
    about: "U = G",
    kernels: () => gradientKernels,
  },
};

function batch(kind: ApproximationKind): BuiltIn {
  return {
    create: (site) => batchBlock(site, kind),
    needs: kind === "diagonal" ? "nothing" : "kronecker",
    about: `${kind} of the last batch alone`,
    kernels: (capabilities) => [
      ...blockStateKernels,
      ...spectrumKernels,
      ...matmulKernels(capabilities),
      blendKernel,
      copyKernel,
      finiteKernel,
      guardKernel,
    ],
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
