// Runs the bundled kernel suite in a Node process of its own, and goes on in a new one behind a test that crashes or hangs.
// Usage: node tests.mjs [driver] [file part …]
import { fileURLToPath } from "node:url";
import { programHost } from "../../test/harness/host.mjs";
import { supervise } from "../../test/harness/supervise.mjs";

const suite = fileURLToPath(new URL("../../tests/main.js", import.meta.url));
const [driver = "gpu", ...files] = process.argv.slice(2);

await supervise(async (from, onEvent) =>
  programHost("Node", process.execPath, [suite, JSON.stringify({ driver, from, files })], { onEvent }),
);
