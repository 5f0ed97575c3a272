/** What a command may touch of the world outside: given to `main`, so that tests can stand in for all of it. */
import type { Library } from "./library.js";

export interface Output {
  write(text: string): void;
  readonly isTTY: boolean;
  /** Width of the terminal. */
  readonly columns: number;
  /** Calls back once when the reader has gone away (EPIPE). What is written after that is dropped. */
  onClosed(callback: () => void): void;
}

export type StopSignal = "SIGINT" | "SIGTERM";

export interface Environment {
  readonly stdout: Output;
  readonly stderr: Output;
  readonly cwd: string;
  /** Loads the library. */
  library(): Promise<Library>;
  /** Milliseconds of a clock that only runs forward. */
  now(): number;
  /** Listens to both stop signals; the result ends it. */
  onSignal(listener: (signal: StopSignal) => void): () => void;
  /** Ends the process at once. */
  exit(code: number): void;
}

export function processEnvironment(): Environment {
  return {
    stdout: outputOf(process.stdout),
    stderr: outputOf(process.stderr),
    cwd: process.cwd(),
    library: () => import("../node.js"),
    now: () => performance.now(),
    onSignal(listener) {
      process.on("SIGINT", listener);
      process.on("SIGTERM", listener);
      return () => {
        process.off("SIGINT", listener);
        process.off("SIGTERM", listener);
      };
    },
    exit: (code) => process.exit(code),
  };
}

function outputOf(stream: NodeJS.WriteStream): Output {
  const callbacks: (() => void)[] = [];
  let closed = false;
  stream.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code !== "EPIPE") throw error;
    closed = true;
    for (const callback of callbacks.splice(0)) callback();
  });
  return {
    write(text) {
      if (!closed) stream.write(text);
    },
    get isTTY() {
      return stream.isTTY === true;
    },
    get columns() {
      return stream.columns ?? 80;
    },
    onClosed(callback) {
      if (closed) callback();
      else callbacks.push(callback);
    },
  };
}
