import type { Block, BlockDescription } from "./block.js";
import { EigenbasisBlock } from "./eigenbasis-block.js";

/**
 * K-FAC's Kronecker product, H̃ = Ā ⊗ B̄ of moving means, with λI added exactly and not split between the factors:
 * U = U_B ((U_B' G U_A) ⊘ (s_B s_A' + λ)) U_A' = (Ā ⊗ B̄ + λI)⁻¹ G, by the eigenvalues s_A, s_B and eigenvectors of Ā and B̄ as of
 * the last refresh (Grosse & Martens 2016, appendix B; George et al. 2018, section 2).
 */
export class EigenBlock extends EigenbasisBlock implements Block {
  readonly name = "eigen";

  get tensors(): Readonly<Record<string, GPUBuffer>> {
    const { bases, transposes, spectra } = this.bases;
    return {
      ...this.means,
      spectrum: spectra.buffer,
      bases: bases.buffer,
      transposes: transposes.buffer,
    };
  }

  get means(): Readonly<Record<string, GPUBuffer>> {
    return { factors: this.factors.buffer };
  }

  describe(): readonly BlockDescription[] {
    return this.site.layers.map(({ name, in: inputs, out }) => ({
      layer: name,
      estimate: `Ā ⊗ B̄ in its eigenbases, moving means ${inputs} × ${inputs} and ${out} × ${out}`,
    }));
  }
}
