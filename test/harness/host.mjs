// A program that runs the kernel suite and says so line by line: what `supervise` starts again when it crashes.
import { startProgram } from "./program.mjs";
import { parse } from "./protocol.mjs";

/** So many of its last unmarked lines are told with its end. */
const LAST_WORDS = 20;

/**
 * @param {string} name what its end is reported by
 * @param {string} command
 * @param {readonly string[]} args
 * @param {{ env?: NodeJS.ProcessEnv, onEvent: import("./supervise.mjs").OnEvent, aloud?: boolean }} how aloud passes its
 *   unmarked lines on
 * @returns {import("./supervise.mjs").Host}
 */
export function programHost(name, command, args, { env, onEvent, aloud = false }) {
  /** @type {string[]} */
  const lastWords = [];
  const program = startProgram(command, args, {
    env,
    onLine(line) {
      const event = parse(line);
      if (event) return onEvent(event);
      lastWords.push(line);
      if (lastWords.length > LAST_WORDS) lastWords.shift();
      if (aloud) console.log(line);
    },
  });
  const done = program.ended.then(
    ({ code, reason }) => `${name}: ${reason ?? `exit status ${code}`}\n${lastWords.join("\n")}`,
  );
  const stop = async () => {
    program.end();
    await done;
  };
  return { done, stop };
}
