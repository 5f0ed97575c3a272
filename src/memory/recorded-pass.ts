import { ArgumentError } from "../errors.js";
import type { FisherOptions } from "../model/index.js";

/** What a pass was over. */
export interface PassFacts {
  /** Examples N. */
  readonly count: number;
  /** Columns of Bᵢ that were propagated beside the gradient's own: outputs, samples, or none. */
  readonly columns: number;
  readonly fisher: Readonly<FisherOptions> | undefined;
}

/** Where the columns of Bᵢ are among the derivatives of a pass. */
export interface ColumnBlocks {
  readonly count: number;
  /** The first of them in blocks of `count` rows. */
  readonly first: number;
  readonly columns: number;
  /** What BB' is divided by. */
  readonly divisor: number;
}

/** A pass whose rows lie in a network's memory until the next batch or pass. */
export class RecordedPass implements PassFacts {
  readonly count: number;
  readonly columns: number;
  readonly fisher: Readonly<FisherOptions> | undefined;
  readonly #isCurrent: (pass: RecordedPass) => boolean;

  constructor({ count, columns, fisher }: PassFacts, isCurrent: (pass: RecordedPass) => boolean) {
    this.count = count;
    this.columns = columns;
    this.fisher = fisher && Object.freeze({ ...fisher });
    this.#isCurrent = isCurrent;
  }

  /** The first `count` examples of this one, over when it is. */
  part(count: number): RecordedPass {
    const { columns, fisher } = this;
    return new RecordedPass({ count, columns, fisher }, () => this.#isCurrent(this));
  }

  /** @throws ArgumentError when another batch or pass has taken this one's memory. */
  requireCurrent(operation: string): void {
    if (this.#isCurrent(this)) return;
    throw new ArgumentError(
      operation,
      "pass",
      "is over: another batch or pass has taken its memory; use a pass before the next load() or recordPass()",
    );
  }

  /** @throws ArgumentError when the pass is over, or was recorded without `fisher`. */
  columnBlocks(operation: string): ColumnBlocks {
    this.requireCurrent(operation);
    const { count, columns, fisher } = this;
    if (!fisher) {
      throw new ArgumentError(operation, "pass", "has no columns: give recordPass() a kind of Fisher matrix");
    }
    // The empirical Fisher's column is the gradient's own; other columns lie below it.
    if (fisher.kind === "empirical") return { count, first: 0, columns: 1, divisor: count };
    return { count, first: 1, columns, divisor: fisher.kind === "monteCarlo" ? count * columns : count };
  }
}
