/** Requests to stop: Ctrl-C, SIGTERM, or a reader of stdout that has gone away. */
import type { Environment, StopSignal } from "./environment.js";

const EXIT_CODES: Readonly<Record<StopSignal, number>> = { SIGINT: 130, SIGTERM: 143 };

/** One Ctrl-C may arrive twice, from the terminal and passed on by npm; a person needs longer than this. */
const ECHO_MS = 250;

export class Interrupt {
  #cause: StopSignal | "closed" | undefined;
  readonly #unlisten: () => void;

  /** From now on the first signal is a request to stop and the next ends the process. */
  constructor(environment: Environment) {
    let first = 0;
    this.#unlisten = environment.onSignal((signal) => {
      if (this.signal === undefined) {
        this.#cause = signal;
        first = environment.now();
        environment.stderr.write("\nStopping after the step in flight; once more to leave at once.\n");
      } else if (environment.now() - first > ECHO_MS) {
        environment.exit(EXIT_CODES[signal]);
      }
    });
    environment.stdout.onClosed(() => {
      this.#cause ??= "closed";
    });
  }

  get requested(): boolean {
    return this.#cause !== undefined;
  }

  /** The signal that asked to stop, if it was one. */
  get signal(): StopSignal | undefined {
    return this.#cause === "closed" ? undefined : this.#cause;
  }

  /** What to leave with: 128 + the signal's number, or 0 when nobody reads on. */
  get exitCode(): number {
    return this.signal === undefined ? 0 : EXIT_CODES[this.signal];
  }

  /** Stops listening, unless the process is about to leave because of a signal: another one must not change how. */
  dispose(): void {
    if (this.signal === undefined) this.#unlisten();
  }
}
