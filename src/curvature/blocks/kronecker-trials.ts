import { sandwich } from "../../linalg/index.js";
import type { Recorder } from "../../pipeline/index.js";
import type { BlockItem, BlockSite, BlockTrials } from "./block.js";
import { FactorPairs } from "./factor-means.js";
import type { FactorState, InversionWords } from "./factor-state.js";
import { dampTrials, judgeTrials, type TrialOperands } from "./factor-trials.js";

/** What the trials of a block of Kronecker products share with it. */
export interface KroneckerParts {
  readonly site: BlockSite;
  readonly inverses: FactorPairs;
  readonly state: FactorState;
  /** Records the traces of the factors. */
  trace(recorder: Recorder): void;
  /** Records inverses of the factors into each of the pairs, with the dampings and status from number 0 on. */
  invert(recorder: Recorder, targets: readonly FactorPairs[], words: Omit<InversionWords, "place">): void;
}

/** Inverses of K-FAC's factors at several dampings: a pair of buffers' worth of memory for each. */
export class KroneckerTrials implements BlockTrials {
  readonly #parts: KroneckerParts;
  readonly #operands: TrialOperands;
  readonly #inverses: readonly FactorPairs[];

  constructor(parts: KroneckerParts, multipliers: readonly number[], outcome: GPUBuffer) {
    const { site } = parts;
    const { manager, layers } = site;
    this.#parts = parts;
    // Of the trials, and of the block itself behind them.
    const words = 2 * layers.length * (multipliers.length + 1);
    const status = manager.createStorage("trial inversions", words);
    const dampings = manager.createStorage("trial dampings", words);
    const inverses: FactorPairs[] = [];
    this.#inverses = inverses;
    this.#operands = {
      site,
      state: parts.state,
      multipliers,
      words: { dampings, status, place: 0 },
      outcome,
    };
    try {
      for (const _ of multipliers) inverses.push(new FactorPairs(manager, "trial inverses", layers));
    } catch (error) {
      this.dispose();
      throw error;
    }
  }

  refresh(recorder: Recorder, own: boolean): void {
    const { state, inverses, site, trace, invert } = this.#parts;
    const { words, multipliers } = this.#operands;
    const behind = { ...words, place: multipliers.length * site.layers.length };
    const layers = site.layers.map((_, layer) => layer);
    trace(recorder);
    if (own) state.damp(recorder, layers, behind);
    dampTrials(recorder, this.#operands);
    invert(recorder, own ? [...this.#inverses, inverses] : this.#inverses, words);
    if (own) state.settle(recorder, layers, behind);
    judgeTrials(recorder, this.#operands);
  }

  precondition(recorder: Recorder, trial: number, items: readonly BlockItem[]): void {
    const pairs = this.#inverses[trial]!;
    sandwich(
      recorder,
      items.map(({ layer, G, into }) => ({ P: pairs.B(layer), G, Q: pairs.A(layer), into })),
    );
  }

  dispose(): void {
    const { manager } = this.#parts.site;
    for (const pairs of this.#inverses) pairs.dispose();
    manager.destroyBuffer(this.#operands.words.dampings);
    manager.destroyBuffer(this.#operands.words.status);
  }
}
