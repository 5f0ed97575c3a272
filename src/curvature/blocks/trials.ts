import { LIST, must, POSITIVE } from "../../arguments.js";
import { ArgumentError } from "../../errors.js";
import type { PipelineManager, Recorder } from "../../pipeline/index.js";
import type { Block, BlockItem, BlockTrials } from "./block.js";

/** What a trial of a curvature asks of it: its blocks, and who has which layer. */
export interface TrialSite {
  readonly manager: PipelineManager;
  readonly blocks: readonly Block[];
  /** Hands items out to the blocks of their layers, under their numbers there. */
  hand(items: readonly BlockItem[], give: (block: number, own: readonly BlockItem[]) => void): void;
}

/**
 * The solutions of a curvature at several dampings at once, λ times each of `multipliers`, from the same moving means: what λ is
 * judged by. `refresh` renews all of them in one set of grouped dispatches, as many as one refresh has; K-FAC's own block keeps a
 * pair of inverses for each, the blocks that only divide by another λ nothing. A trial that fails leaves boosts and readiness of
 * the layers alone; a factor that does not invert keeps the trial's last inverse.
 */
export class CurvatureTrials implements Disposable {
  readonly multipliers: readonly number[];
  /**
   * A word a trial, u32: 0 where the last refresh gave solutions for all layers, bits of `InvertStatus` where it did not (1 too
   * while there is no data).
   */
  readonly status: GPUBuffer;
  readonly #site: TrialSite;
  readonly #trials: readonly (BlockTrials | undefined)[];

  /** @throws ArgumentError unless the multipliers are positive numbers, at least one */
  constructor(site: TrialSite, multipliers: readonly number[]) {
    must("trials", "multipliers", multipliers, LIST);
    if (multipliers.length === 0) throw new ArgumentError("trials", "multipliers", "must be at least one");
    for (const one of multipliers) {
      must("trials", "multipliers", one, { ...POSITIVE, words: "positive numbers" });
    }
    this.multipliers = [...multipliers];
    this.#site = site;
    this.status = site.manager.createStorage("trial status", multipliers.length);
    const made: (BlockTrials | undefined)[] = [];
    this.#trials = made;
    try {
      for (const block of site.blocks) made.push(block.trials?.(this.multipliers, this.status));
    } catch (error) {
      this.dispose();
      throw error;
    }
  }

  /**
   * Records what renews the solutions of all trials, at λ as it is when the commands run. With `own`, the curvature's own is
   * renewed with them, as by `Curvature.refresh`, in the same dispatches.
   */
  refresh(recorder: Recorder, options: { own?: boolean } = {}): void {
    const { own = false } = options;
    recorder.clear(this.status);
    for (const [index, block] of this.#site.blocks.entries()) {
      const trials = this.#trials[index];
      if (trials) trials.refresh(recorder, own);
      else if (own) block.refresh(recorder);
    }
  }

  /**
   * Records U ← (H̃ + mλI)⁻¹ G with the multiplier m of a trial, of some of the layers; zero until its first refresh that
   * succeeds. @throws ArgumentError for a trial that there is not
   */
  precondition(recorder: Recorder, trial: number, items: readonly BlockItem[]): void {
    if (this.multipliers[trial] === undefined) {
      throw new ArgumentError("trials", "trial", `must be below ${this.multipliers.length}, got ${trial}`);
    }
    this.#site.hand(items, (index, own) => {
      const trials = this.#trials[index];
      if (trials) trials.precondition(recorder, trial, own);
      else this.#site.blocks[index]!.precondition(recorder, own);
    });
  }

  /** Frees their memory; before the curvature's own. */
  dispose(): void {
    for (const trials of this.#trials) trials?.dispose();
    this.#site.manager.destroyBuffer(this.status);
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}

/** Trials of a block whose solution only divides by another λ: nothing to keep, nothing that can fail. */
export class DividingTrials implements BlockTrials {
  readonly #multipliers: readonly number[];
  readonly #block: Block;
  readonly #solve: (recorder: Recorder, items: readonly BlockItem[], multiplier: number) => void;

  constructor(
    multipliers: readonly number[],
    block: Block,
    solve: (recorder: Recorder, items: readonly BlockItem[], multiplier: number) => void,
  ) {
    this.#multipliers = multipliers;
    this.#block = block;
    this.#solve = solve;
  }

  refresh(recorder: Recorder, own: boolean): void {
    if (own) this.#block.refresh(recorder);
  }

  precondition(recorder: Recorder, trial: number, items: readonly BlockItem[]): void {
    this.#solve(recorder, items, this.#multipliers[trial]!);
  }

  dispose(): void {}
}
