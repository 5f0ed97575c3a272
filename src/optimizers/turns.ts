/** Work that has to wait, done in the order in which it was asked for. */
export class Turns {
  #waiting = 0;
  #last: Promise<void> = Promise.resolve();

  /** Nothing is under way: whoever asks now may as well work at once. */
  get idle(): boolean {
    return this.#waiting === 0;
  }

  /** Works once everything that was asked for before is done, or has failed. */
  take<T>(work: () => T | Promise<T>): Promise<T> {
    this.#waiting++;
    const turn = this.#last.then(work).finally(() => {
      this.#waiting--;
    });
    this.#last = turn.then(
      () => {},
      () => {},
    );
    return turn;
  }
}
