// Points a program at a driver, in this process or in one of its own.
import { spawn } from "node:child_process";
import { constants } from "node:os";

/**
 * The dynamic linker reads its path once, at the start of a process, so a driver that needs another path needs another
 * process: the program is then run again there.
 * @param {Readonly<Record<string, string>>} environment what the driver needs
 * @param {{ program: string, args: readonly string[] }} us the file that runs, and its command line
 * @returns {Promise<number | undefined>} the exit code of that other process; undefined where this one is to go on
 */
export async function enterDriver(environment, us) {
  const { LD_LIBRARY_PATH } = environment;
  if (LD_LIBRARY_PATH && LD_LIBRARY_PATH !== process.env.LD_LIBRARY_PATH)
    return await relaunch(environment, us);
  Object.assign(process.env, environment);
  return undefined;
}

/** @param {Readonly<Record<string, string>>} environment @param {{ program: string, args: readonly string[] }} us @returns {Promise<number>} */
function relaunch(environment, { program, args }) {
  const child = spawn(process.execPath, [program, ...args], {
    stdio: "inherit",
    env: { ...process.env, ...environment },
  });
  for (const signal of /** @type {const} */ (["SIGINT", "SIGTERM"]))
    process.on(signal, () => child.kill(signal));
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("exit", (code, signal) => resolve(code ?? 128 + constants.signals[signal ?? "SIGTERM"]));
  });
}
