/** The command line: finds the command, runs it, turns what it throws into one sentence and an exit code. */
import { createRequire } from "node:module";
import { KfacError } from "../errors.js";
import type { Command } from "./command.js";
import { compare } from "./commands/compare.js";
import { mnist } from "./commands/mnist.js";
import { newton } from "./commands/newton.js";
import { train } from "./commands/train.js";
import { verify } from "./commands/verify.js";
import { type Environment, processEnvironment } from "./environment.js";
import { Failure, UsageError } from "./failure.js";
import { suggestion } from "./options.js";

const COMMANDS: Readonly<Record<string, Command>> = { train, mnist, newton, compare, verify };

/** `npm start` runs it under this name. */
const OTHER_NAMES: Readonly<Record<string, string>> = { "demo-run": "mnist" };

/** Runs the command line `argv` (without node and script) and returns the exit code. */
export async function main(
  argv: readonly string[],
  environment: Environment = processEnvironment(),
): Promise<number> {
  const [name, ...rest] = argv;
  try {
    if (name === "--version" || name === "-v") {
      environment.stdout.write(`${version()}\n`);
      return 0;
    }
    if (name === "--help" || name === "-h" || name === "help") {
      environment.stdout.write(help());
      return 0;
    }
    if (name === undefined) throw new UsageError(`kfac: a command is missing (see kfac --help).`);
    const command = COMMANDS[OTHER_NAMES[name] ?? name];
    if (!command || !Object.hasOwn(COMMANDS, OTHER_NAMES[name] ?? name)) {
      const what = name.startsWith("-") ? "option" : "command";
      const hint = what === "command" ? suggestion(name, Object.keys(COMMANDS), "") : "";
      throw new UsageError(`kfac: unknown ${what} ${name}${hint} (see kfac --help).`);
    }
    return await command.run(rest, environment);
  } catch (error) {
    if (!(error instanceof Failure || error instanceof KfacError)) throw error;
    const debug = process.env.KFAC_DEBUG === "1" ? `\n${error.stack}` : "";
    environment.stderr.write(`${error.message}${debug}\n`);
    return error instanceof Failure ? error.exitCode : 1;
  }
}

function help(): string {
  const lines = Object.entries(COMMANDS).map(([name, { summary }]) => `  ${name.padEnd(8)} ${summary}`);
  return `kfac: second-order training (K-FAC) on WebGPU

Usage: kfac <command> [options]

${lines.join("\n")}

  kfac <command> --help   options of a command
  kfac --version          version of the package

Exit codes: 0 done, 1 failed, 2 wrong command line, 130 and 143 stopped by SIGINT and SIGTERM.
`;
}

function version(): string {
  const require = createRequire(import.meta.url);
  const { version } = require("kfac-webgpu/package.json") as { version: string };
  return version;
}
