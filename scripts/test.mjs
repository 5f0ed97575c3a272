// Runs every test there is, in every place there is, and says so. `npm test -- --help` explains how to run fewer.
import { availableParallelism } from "node:os";
import { parseArgs } from "node:util";
import { environments } from "../test/harness/environments.mjs";
import { runEnvironment } from "../test/harness/run-environment.mjs";
import { printSummary } from "../test/harness/summary.mjs";

const HELP = `npm test [-- environment … file part … -t pattern --verbose --jobs n]

  Environments, all by default:
    cpu          unit tests without a GPU
    gpu, lavapipe, swiftshader
                 the kernel suite in Node, on each driver that this machine has
    chromium     the kernel suite in a page of headless Chrome or Chromium
    demo         the demo page, built, in headless Chrome or Chromium
    deno         the kernel suite under Deno: wgpu and naga, as in Firefox
    package      the packed library, installed into an empty project, in Node and in a page

  Any other word keeps only the test files whose path contains it: npm test -- lavapipe linalg/gram
  -t pattern     only tests whose name matches
  --verbose      a line for every test, not only for failures
  --jobs n       how many environments run at a time (2 where there are cores for it)
`;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    testNamePattern: { type: "string", short: "t" },
    verbose: { type: "boolean", default: false },
    jobs: { type: "string", default: String(Math.min(2, availableParallelism())) },
    help: { type: "boolean", short: "h", default: false },
  },
});

if (values.help) {
  process.stdout.write(HELP);
} else {
  process.exitCode = await main();
}

/** The longest first, so that none is left to run alone at the end. @param {string} id */
function place(id) {
  return ["gpu", "lavapipe", "chromium", "deno", "swiftshader", "demo", "cpu", "package"].indexOf(id);
}

async function main() {
  const { names, all } = environments();
  const wanted = positionals.filter((word) => names.includes(word));
  const files = positionals.filter((word) => !names.includes(word));
  const chosen = all.filter(({ id }) => wanted.length === 0 || wanted.includes(id));
  const absent = wanted.filter((id) => !all.some((environment) => environment.id === id));
  for (const id of absent) chosen.push({ id, title: "", problem: `this machine has no ${id}` });

  console.log("Environments:");
  for (const { id, title, problem } of chosen) console.log(`  ${id.padEnd(12)} ${problem ?? title}`);

  const options = { files, name: values.testNamePattern, verbose: values.verbose };
  const queue = chosen
    .map((environment, index) => ({ environment, index }))
    .sort((a, b) => place(a.environment.id) - place(b.environment.id));
  /** @type {import("../test/harness/run-environment.mjs").Result[]} */
  const results = [];
  const worker = async () => {
    for (let next = queue.shift(); next; next = queue.shift()) {
      results[next.index] = await runEnvironment(next.environment, options);
    }
  };
  await Promise.all(Array.from({ length: Math.max(1, Number(values.jobs) || 1) }, worker));
  return printSummary(results);
}
