/** Seconds of running time, without the pauses. It runs from the start. */
export class Stopwatch {
  readonly #now: () => number;
  #sum: number;
  #since: number | undefined;

  /** `now` gives milliseconds; `seconds` is what is already on the clock. */
  constructor(now: () => number, seconds = 0) {
    this.#now = now;
    this.#sum = 1000 * seconds;
    this.#since = now();
  }

  get seconds(): number {
    return (this.#sum + (this.#since === undefined ? 0 : this.#now() - this.#since)) / 1000;
  }

  pause(): void {
    if (this.#since === undefined) return;
    this.#sum += this.#now() - this.#since;
    this.#since = undefined;
  }

  resume(): void {
    this.#since ??= this.#now();
  }
}
