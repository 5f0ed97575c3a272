// Another program, run until it ends or is ended, and heard line by line.
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";

/**
 * @typedef {{ code: number | null, reason?: string }} End `reason` is a signal that ended it, or why it did not start
 * @typedef {{ ended: Promise<End>, end(): void }} Program `end` ends it and all that it has started
 */

/** Dawn tells this about every software driver and every device. */
const NOISE = /^Warning: maxDynamic\w+ artificially reduced/;

/** Windows has no process groups. */
const grouped = process.platform !== "win32";

/** What is still running. @type {Set<Program>} */
const running = new Set();
const endAll = () => {
  for (const program of running) program.end();
};

/**
 * Starts a program in a process group of its own, so that ending it reaches what it has started in turn. It ends with us.
 * @param {string} command
 * @param {readonly string[]} args
 * @param {{ cwd?: string, env?: NodeJS.ProcessEnv, onLine: (line: string) => void }} how `onLine` hears both its outputs
 * @returns {Program}
 */
export function startProgram(command, args, { cwd, env, onLine }) {
  const child = spawn(command, args, { cwd, env, stdio: ["ignore", "pipe", "pipe"], detached: grouped });
  for (const stream of [child.stdout, child.stderr]) {
    createInterface(stream).on("line", (line) => {
      if (!NOISE.test(line)) onLine(line);
    });
  }
  /** @type {Program} */
  const program = {
    ended: new Promise((resolve) => {
      child.on("error", ({ message }) => resolve({ code: null, reason: message }));
      child.on("close", (code, signal) => {
        running.delete(program);
        resolve(signal ? { code, reason: `ended by ${signal}` } : { code });
      });
    }),
    end() {
      try {
        if (grouped && child.pid !== undefined) process.kill(-child.pid, "SIGKILL");
        else child.kill();
      } catch {
        // It is gone already.
      }
    },
  };
  watch();
  running.add(program);
  return program;
}

let watching = false;

/** A group of its own does not hear the terminal's Ctrl-C. */
function watch() {
  if (watching) return;
  watching = true;
  process.on("exit", endAll);
  for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => process.exit(130));
}
