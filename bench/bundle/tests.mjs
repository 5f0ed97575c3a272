// Runs the bundled kernel suite in a Node process of its own, and goes on in a new one behind a test that crashes or hangs.
// Usage: node tests.mjs [driver] [file part …]
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { parse } from "../../test/harness/protocol.mjs";
import { supervise } from "../../test/harness/supervise.mjs";

const suite = fileURLToPath(new URL("../../tests/main.js", import.meta.url));
const [driver = "gpu", ...files] = process.argv.slice(2);

await supervise(async (from, onEvent) => {
  const child = spawn(process.execPath, [suite, JSON.stringify({ driver, from, files })], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  /** @type {string[]} */
  const lastWords = [];
  for (const stream of [child.stdout, child.stderr]) {
    createInterface(stream).on("line", (line) => {
      const event = parse(line);
      if (event) return onEvent(event);
      lastWords.push(line);
      if (lastWords.length > 20) lastWords.shift();
    });
  }
  const done = once(child, "close").then(
    ([code, signal]) => `Node ended with ${signal ?? code}\n${lastWords.join("\n")}`,
  );
  const stop = async () => {
    child.kill("SIGKILL");
    await done;
  };
  return { done, stop };
});
