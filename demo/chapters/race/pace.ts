// How many steps to take between two frames.

const MOST = 8;
/** Milliseconds that one optimiser's turn should take. */
const SHORT = 12;
const LONG = 30;

/**
 * Steps of a turn: more while a turn is short, fewer once it is long, so that a fast GPU is kept busy and a slow one leaves
 * the page its frames.
 */
export class Pace {
  #steps = 1;

  get steps(): number {
    return this.#steps;
  }

  /** Tells how long the longest turn took. */
  took(milliseconds: number): void {
    if (milliseconds > LONG) this.#steps = Math.max(1, Math.floor(this.#steps / 2));
    else if (milliseconds < SHORT) this.#steps = Math.min(MOST, this.#steps + 1);
  }
}
