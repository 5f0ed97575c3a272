// npm run bench -- --only host: what the CPU spends on a step before the GPU has anything to do. README.md of the folder above
// says how.
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { findDrivers } from "../../scripts/drivers.mjs";
import { enterDriver } from "../../scripts/enter-driver.mjs";
import { chooseDriver, describeMachine, ownVersions } from "../adapter.mjs";
import { ADAPTERS } from "../arguments.mjs";
import { loadLibrary } from "../library.mjs";
import { machineText } from "../report/table.mjs";
import { measureInversions, measureSteps } from "./measure.mjs";
import { tableOf } from "./table.mjs";

const HELP = `npm run bench -- --only host [options]

  --quick          a tenth of the steps
  --adapter NAME   ${ADAPTERS.join(", ")}, or null: Dawn alone, with nothing behind it. Defaults to hardware, else null
  --out DIR        where results go; defaults to bench/results/ADAPTER/host, with --quick to nowhere
  --json [FILE]    the results as JSON to FILE, or to standard output without FILE
`;

/** Takes commands and runs none of them: on a software adapter the CPU would be measured at work for the GPU. */
const NULL = { id: "null", name: "Dawn's null backend, which runs nothing", env: {} };
const STEPS = { full: 400, quick: 40 };

/** Whether a command line asks for this part, which runs alone. @param {readonly string[]} argv */
export function asksForHost(argv) {
  return argv.some((word, k) => word === "--only=host" || (word === "--only" && argv[k + 1] === "host"));
}

/**
 * @param {readonly string[]} argv @param {string} program what a driver is entered with
 * @returns {Promise<number>} the exit code
 */
export async function runHost(argv, program) {
  const { values, positionals } = parseArgs({
    args: argv.map((word, k) => (word === "--json" && !/^[^-]/.test(argv[k + 1] ?? "") ? "--json=-" : word)),
    options: {
      only: { type: "string" },
      quick: { type: "boolean", default: false },
      adapter: { type: "string" },
      out: { type: "string" },
      json: { type: "string" },
      help: { type: "boolean", default: false },
    },
    allowPositionals: true,
  });
  if (positionals.length > 0) throw new Error(`${positionals[0]} is not an option; see --only host --help`);
  if (values.help) {
    process.stdout.write(HELP);
    return 0;
  }
  const driver = driverFor(values.adapter);
  const done = await enterDriver(driver.env, { program, args: argv });
  if (done !== undefined) return done;
  const say = values.json === "-" ? console.error : console.log;
  const library = await loadLibrary();
  // Flags count at the first call: whoever asks for a GPU afterwards gets this one.
  await library.nodeGpu(driver.id === NULL.id ? ["backend=null"] : []);
  const engine = await library.createNodeEngine();
  const machine = describeMachine(engine, driver, ownVersions());
  say(`${machineText(machine)}\n`);
  const steps = STEPS[values.quick ? "quick" : "full"];
  const lab = { library, engine };
  const rows = [...(await measureSteps(lab, steps)), await measureInversions(lab, Math.ceil(steps / 4))];
  engine.dispose();
  const result = { machine, steps, rows };
  const [text, table] = [`${JSON.stringify(result, null, 1)}\n`, tableOf(rows)];
  say(table);
  if (values.json === "-") process.stdout.write(text);
  else if (values.json) writeFileSync(values.json, text);
  const results = fileURLToPath(new URL(`../results/${driver.id}/host`, import.meta.url));
  const out = values.out ?? (values.quick ? undefined : results);
  if (out) {
    mkdirSync(out, { recursive: true });
    writeFileSync(join(out, "host.json"), text);
    writeFileSync(join(out, "host.txt"), `${machineText(machine)}\n\n${table}\n`);
    say(`\nResults are in ${out}.`);
  }
  return 0;
}

/** @param {string | undefined} adapter @throws Error that says what is missing */
function driverFor(adapter) {
  if (adapter === undefined) return findDrivers().find(({ id }) => id === "gpu") ?? NULL;
  return adapter === NULL.id ? NULL : chooseDriver(adapter);
}
