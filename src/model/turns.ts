/** Work that takes its turn: each piece begins once what was asked for before is done, or has failed. */
export class Turns {
  #waiting = 0;
  #open = false;
  #last: Promise<void> = Promise.resolve();

  /** Nothing is under way: whoever asks now begins at once. */
  get idle(): boolean {
    return this.#waiting === 0;
  }

  /** Whoever asks for `within` begins at once. */
  get free(): boolean {
    return this.idle || this.#open;
  }

  /** Works in its turn, which begins at once where nothing is under way. */
  take<T>(work: () => T | Promise<T>): Promise<T> {
    const { idle } = this;
    this.#waiting++;
    const begun = idle ? new Promise<T>((resolve) => resolve(work())) : this.#last.then(work);
    const turn = begun.finally(() => {
      this.#waiting--;
    });
    this.#last = turn.then(
      () => {},
      () => {},
    );
    return turn;
  }

  /** As `take`; what is asked for by `within` until it is over is part of it. */
  open<T>(work: () => T | Promise<T>): Promise<T> {
    return this.take(async () => {
      this.#open = true;
      try {
        return await work();
      } finally {
        this.#open = false;
      }
    });
  }

  /** As `take`, or at once while an open turn is under way. */
  within<T>(work: () => T | Promise<T>): Promise<T> {
    return this.#open ? new Promise<T>((resolve) => resolve(work())) : this.take(work);
  }
}

const turns = new WeakMap<object, Turns>();

/** The turns of a model: steps of all its optimisers, and what is asked of its weights, act in the order of the calls. */
export function turnsOf(model: object): Turns {
  const known = turns.get(model) ?? new Turns();
  turns.set(model, known);
  return known;
}
