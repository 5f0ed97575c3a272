import type { Environment, Output, StopSignal } from "../../src/cli/environment.js";
import { main } from "../../src/cli/main.js";
import { temporaryFolder } from "../data/idx-files.js";
import { type FakeHooks, fakeLibrary } from "./fake-library.js";

export interface FakeRun {
  code: number;
  stdout: string;
  stderr: string;
  /** Exit codes passed to `environment.exit`. */
  exits: number[];
}

export interface FakeOptions {
  cwd?: string;
  tty?: boolean;
  hooks?: FakeHooks;
  /** Called with the means to interrupt, after each step. */
  onStep?: (
    step: number,
    tools: { signal(name: StopSignal): void; closeStdout(): void; wait(ms: number): void },
  ) => void;
}

/** Runs the command line in this process. */
export async function run(argv: readonly string[], options: FakeOptions = {}): Promise<FakeRun> {
  const result: FakeRun = { code: -1, stdout: "", stderr: "", exits: [] };
  const listeners = new Set<(signal: StopSignal) => void>();
  const onClosed: (() => void)[] = [];
  let time = 0;
  const output = (name: "stdout" | "stderr"): Output => ({
    write(text) {
      result[name] += text;
    },
    isTTY: options.tty === true,
    columns: 100,
    onClosed(callback) {
      if (name === "stdout") onClosed.push(callback);
    },
  });
  const tools = {
    signal(name: StopSignal) {
      for (const listener of [...listeners]) listener(name);
    },
    closeStdout() {
      for (const callback of onClosed) callback();
    },
    wait(ms: number) {
      time += ms;
    },
  };
  const hooks: FakeHooks = options.hooks ?? {};
  const environment: Environment = {
    stdout: output("stdout"),
    stderr: output("stderr"),
    cwd: options.cwd ?? temporaryFolder(),
    library: async () => {
      const { onStep } = options;
      if (onStep) hooks.onStep = (step) => onStep(step, tools);
      return fakeLibrary(hooks);
    },
    now: () => {
      time += 10;
      return time;
    },
    onSignal(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    exit: (code) => {
      result.exits.push(code);
    },
  };
  result.code = await main(argv, environment);
  return result;
}

export function jsonLines(text: string): Record<string, unknown>[] {
  return text
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as Record<string, unknown>);
}
