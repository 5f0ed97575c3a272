import type { Environment } from "./environment.js";

export interface Command {
  /** One line for `kfac --help`. */
  readonly summary: string;
  /** Runs with the arguments after the command's name; resolves to the exit code. */
  run(argv: readonly string[], environment: Environment): Promise<number>;
}
