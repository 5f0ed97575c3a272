/** Ends a command with a sentence on stderr and an exit code. */
export class Failure extends Error {
  override readonly name: string = "Failure";
  readonly exitCode: number;

  constructor(message: string, exitCode = 1) {
    super(message);
    this.exitCode = exitCode;
  }
}

/** The command line itself is wrong: an unknown option, a value out of range. */
export class UsageError extends Failure {
  override readonly name = "UsageError";

  constructor(message: string) {
    super(message, 2);
  }
}
