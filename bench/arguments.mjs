// The command line of the benchmark.
import { parseArgs } from "node:util";

export const HELP = `npm run bench [-- options]

  --quick             small sizes, few samples: the whole thing in about a minute
  --only A,B          of: OPERATIONS; or optimizers or host, which run alone and have options of their own:
                      npm run bench -- --only optimizers --help
  --cases A,B         only cases whose name holds one of these, such as "512x4096" or "invert 1024"
  --peers A,B         of: PEERS (none for no peers)
  --adapter NAME      lavapipe, swiftshader or hardware; defaults to the best there is
  --pairs N           samples of each comparison (15; 5 with --quick)
  --cap SECONDS       leave out a peer whose one call would take longer (10; 3 with --quick)
  --out DIR           where results go; defaults to bench/results/ADAPTER, with --quick to nowhere
  --json [FILE]       all samples as JSON to FILE, or to standard output without FILE
  --no-install        do not install the peers where they are missing
`;

export const ADAPTERS = ["lavapipe", "swiftshader", "hardware"];

/**
 * @typedef {object} Options
 * @property {boolean} quick
 * @property {string[]} only
 * @property {string[]} cases parts of names; all cases where it is empty
 * @property {string[]} peers
 * @property {string | undefined} adapter
 * @property {number} pairs
 * @property {number} sampleMs
 * @property {number} capMs the longest call of a peer
 * @property {number} budgetMs the longest comparison with one peer
 * @property {string | undefined} out
 * @property {string | undefined} json a file, or "-" for standard output
 * @property {boolean} install
 * @property {boolean} help
 */

/**
 * @param {readonly string[]} argv
 * @param {{ operations: readonly string[], peers: readonly string[] }} known
 * @returns {Options}
 * @throws Error that says what is wrong with the command line
 */
export function readArguments(argv, known) {
  const { values } = parseArgs({
    // `--json` may stand alone, which parseArgs does not know.
    args: argv.map((word, at) => (word === "--json" && !isFile(argv[at + 1]) ? "--json=-" : word)),
    options: {
      quick: { type: "boolean", default: false },
      only: { type: "string" },
      cases: { type: "string" },
      peers: { type: "string" },
      adapter: { type: "string" },
      pairs: { type: "string" },
      cap: { type: "string" },
      out: { type: "string" },
      json: { type: "string" },
      "no-install": { type: "boolean", default: false },
      help: { type: "boolean", short: "h", default: false },
    },
  });
  const { quick, adapter } = values;
  if (adapter !== undefined && !ADAPTERS.includes(adapter)) {
    throw new Error(`--adapter must be one of ${ADAPTERS.join(", ")}, got ${adapter}`);
  }
  return {
    quick,
    only: choice("--only", values.only, known.operations),
    cases: values.cases?.split(",").filter(Boolean) ?? [],
    peers: values.peers === "none" ? [] : choice("--peers", values.peers, known.peers),
    adapter,
    pairs: positive("--pairs", values.pairs, quick ? 5 : 15, true),
    sampleMs: quick ? 5 : 50,
    capMs: 1000 * positive("--cap", values.cap, quick ? 3 : 10, false),
    budgetMs: quick ? 250 : 6000,
    out: values.out,
    json: values.json,
    install: !values["no-install"],
    help: values.help,
  };
}

/** @param {string | undefined} word */
const isFile = (word) => word !== undefined && !word.startsWith("-");

/** @param {string} option @param {string | undefined} text @param {readonly string[]} known */
function choice(option, text, known) {
  if (text === undefined) return [...known];
  const words = text.split(",").filter(Boolean);
  const unknown = words.find((word) => !known.includes(word));
  if (unknown !== undefined || words.length === 0) {
    throw new Error(`${option} takes ${known.join(", ")}; got ${unknown ?? "nothing"}`);
  }
  // In the order of the list, not of the command line.
  return known.filter((name) => words.includes(name));
}

/** @param {string} option @param {string | undefined} text @param {number} otherwise @param {boolean} whole */
function positive(option, text, otherwise, whole) {
  if (text === undefined) return otherwise;
  const value = Number(text);
  if (!(value > 0 && Number.isFinite(value)) || (whole && !Number.isInteger(value))) {
    throw new Error(`${option} must be a positive ${whole ? "whole " : ""}number, got ${text}`);
  }
  return value;
}
