/** Waiting that somebody else may end. */

/** What a wait that was cut short gives. */
export const CUT = Symbol("cut short");

/** One wait at a time. Unlike a race with a promise that lives long, it leaves nothing behind. */
export class Wait {
  #end: (() => void) | undefined;

  /** Ends the wait under way. */
  cut(): void {
    this.#end?.();
  }

  /** What `promise` gives, or `CUT`; then nobody minds any more what becomes of it. */
  async until<T>(promise: PromiseLike<T>): Promise<T | typeof CUT> {
    try {
      return await new Promise<T | typeof CUT>((resolve, reject) => {
        this.#end = () => resolve(CUT);
        promise.then(resolve, reject);
      });
    } finally {
      this.#end = undefined;
    }
  }
}
