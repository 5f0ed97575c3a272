// The command line of `npm run bench -- --only optimizers`.
import { parseArgs } from "node:util";
import { variant } from "./contestants.mjs";

export const HELP = `npm run bench -- --only optimizers [options]

  --tasks A,B          of: TASKS
                       (the first eight unless named)
  --optimizers A,B     of: OPTIMIZERS (DEFAULT)
  --variant NAME=JSON  K-FAC with these options as well, under a name of its own; may be given several times
  --rates A,B          of optimisers that are tried at several learning rates only these
  --steps N            steps of a run (600); losses are told at 150, 600 and N where it gets so far
  --seeds N            seeds 1 … N (3; 1 for the auto-encoder)
  --epochs N           of the task autoencoder (20)
  --resume             go on after a run that was cut off; what is there already is not run again
  --trace DIR          every record of every step, a file a run
  --no-cost            leave out the time of a step with and without adaptation
  --report             run nothing; write tables and charts of what is there
  --quick              30 steps, one seed, two tasks: half a minute
  --adapter NAME       lavapipe, swiftshader or hardware; defaults to the best there is
  --out DIR            where results go; defaults to bench/results/ADAPTER/optimizers, with --quick to nowhere
  --json [FILE]        the results as JSON to FILE, or to standard output without FILE
`;

/** Of a full run and of a quick one. */
const STEPS = { full: 600, quick: 30 };
const QUICK = { tasks: ["batch-8", "sparse"], rates: [1e-2] };

/**
 * @typedef {object} Options
 * @property {string[]} tasks
 * @property {import("./contestants.mjs").Contestant[]} contestants with the settings that are wanted
 * @property {number} steps
 * @property {number | undefined} seeds
 * @property {number} epochs
 * @property {boolean} resume
 * @property {string | undefined} trace
 * @property {boolean} cost
 * @property {boolean} report
 * @property {boolean} quick
 * @property {string | undefined} adapter
 * @property {string | undefined} out
 * @property {string | undefined} json a file, or "-" for standard output
 * @property {boolean} help
 *
 * @typedef {object} Known
 * @property {readonly string[]} tasks those that run unless others are named
 * @property {readonly string[]} more tasks that have to be named
 * @property {readonly import("./contestants.mjs").Contestant[]} contestants
 * @property {readonly string[]} defaults ids of the contestants that run unless others are named
 * @property {readonly string[]} adapters
 */

/** Whether a command line asks for this part, which runs alone. @param {readonly string[]} argv */
export function asksForOptimizers(argv) {
  return argv.some(
    (word, k) => word === "--only=optimizers" || (word === "--only" && argv[k + 1] === "optimizers"),
  );
}

/**
 * @param {readonly string[]} argv @param {Known} known
 * @returns {Options}
 * @throws Error that says what is wrong with the command line
 */
export function readArguments(argv, known) {
  const { values } = parseArgs({
    // `--json` may stand alone, which parseArgs does not know.
    args: argv.map((word, at) => (word === "--json" && !isValue(argv[at + 1]) ? "--json=-" : word)),
    options: {
      only: { type: "string" },
      tasks: { type: "string" },
      optimizers: { type: "string" },
      variant: { type: "string", multiple: true, default: [] },
      rates: { type: "string" },
      steps: { type: "string" },
      seeds: { type: "string" },
      epochs: { type: "string" },
      resume: { type: "boolean", default: false },
      trace: { type: "string" },
      "no-cost": { type: "boolean", default: false },
      report: { type: "boolean", default: false },
      quick: { type: "boolean", default: false },
      adapter: { type: "string" },
      out: { type: "string" },
      json: { type: "string" },
      help: { type: "boolean", short: "h", default: false },
    },
  });
  const { quick, adapter, resume, report, trace, out, json, help } = values;
  if (adapter !== undefined && !known.adapters.includes(adapter)) {
    throw new Error(`--adapter must be one of ${known.adapters.join(", ")}, got ${adapter}`);
  }
  const rates = values.rates?.split(",").map(Number) ?? (quick ? QUICK.rates : undefined);
  if (rates?.some((rate) => !(rate > 0)))
    throw new Error(`--rates must be positive numbers, got ${values.rates}`);
  const every = [...known.tasks, ...known.more];
  return {
    tasks: choice("--tasks", values.tasks, every, quick ? QUICK.tasks : known.tasks),
    contestants: contestantsOf(values, known, rates),
    steps: count("--steps", values.steps, quick ? STEPS.quick : STEPS.full),
    seeds: values.seeds === undefined ? (quick ? 1 : undefined) : count("--seeds", values.seeds, 1),
    epochs: count("--epochs", values.epochs, 20),
    ...{ resume, trace, report, quick, adapter, out, json, help },
    cost: !values["no-cost"],
  };
}

/**
 * @param {{ optimizers?: string, variant: string[] }} values @param {Known} known @param {number[] | undefined} rates
 * @returns {Options["contestants"]}
 */
function contestantsOf({ optimizers, variant: variants }, { contestants, defaults }, rates) {
  const ids = contestants.map(({ id }) => id);
  // A variant alone is set beside nothing, unless optimisers are named.
  const wanted = choice("--optimizers", optimizers, ids, variants.length > 0 ? [] : defaults);
  const named = contestants
    .filter(({ id }) => wanted.includes(id))
    .map((one) => ({ ...one, settings: one.settings.filter((setting) => isWanted(setting, one, rates)) }));
  const empty = named.find(({ settings }) => settings.length === 0);
  if (empty) {
    const all = contestants.find(({ id }) => id === empty.id)?.settings.map(({ label }) => label);
    throw new Error(`--rates must be of ${all?.join(", ")} for ${empty.id}, got ${rates?.join(", ")}`);
  }
  return [...named, ...variants.map((text) => variantOf(text, ids))];
}

/** @param {import("./contestants.mjs").Setting} setting @param {{ settings: readonly unknown[] }} of @param {number[] | undefined} rates */
function isWanted({ label }, { settings }, rates) {
  return settings.length === 1 || !rates || rates.includes(Number(label));
}

/** @param {string} text @param {readonly string[]} taken */
function variantOf(text, taken) {
  const at = text.indexOf("=");
  const name = text.slice(0, Math.max(at, 0));
  if (!/^[a-z][a-z0-9-]*$/.test(name) || taken.includes(name)) {
    throw new Error(
      `--variant must be NAME=JSON with a NAME of its own in small letters, digits and hyphens, got ${text}`,
    );
  }
  /** @type {unknown} */
  let options;
  try {
    options = JSON.parse(text.slice(at + 1));
  } catch {
    options = undefined;
  }
  if (typeof options !== "object" || options === null || Array.isArray(options)) {
    throw new Error(
      `--variant ${name} must be an object of K-FAC's options in JSON, got ${text.slice(at + 1)}`,
    );
  }
  return variant(name, /** @type {import("./contestants.mjs").Options} */ (options));
}

/** @param {string | undefined} word */
const isValue = (word) => word !== undefined && !word.startsWith("-");

/** @param {string} option @param {string | undefined} text @param {readonly string[]} known @param {readonly string[]} otherwise */
function choice(option, text, known, otherwise) {
  if (text === undefined) return [...otherwise];
  const words = text.split(",").filter(Boolean);
  const unknown = words.find((word) => !known.includes(word));
  if (unknown !== undefined || words.length === 0) {
    throw new Error(`${option} takes ${known.join(", ")}; got ${unknown ?? "nothing"}`);
  }
  return known.filter((name) => words.includes(name));
}

/** @param {string} option @param {string | undefined} text @param {number} otherwise */
function count(option, text, otherwise) {
  if (text === undefined) return otherwise;
  const value = Number(text);
  if (!(Number.isInteger(value) && value > 0)) {
    throw new Error(`${option} must be a positive whole number, got ${text}`);
  }
  return value;
}
