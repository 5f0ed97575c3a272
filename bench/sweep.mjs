// Which learning rates suit K-FAC, SGD and Adam on MNIST: runs the built command line over a grid and keeps the results in
// bench/results/sweep.json. The presets of the command line (src/cli/presets.ts) are chosen from it.
//
//   node bench/sweep.mjs [--optimizer sgd,adam] [--epochs 2] [--rates 0.03,0.1] [-- options for kfac train]
//
// Results of optimisers that are not swept now are kept.
import { spawn } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

const path = (/** @type {string} */ relative) => fileURLToPath(new URL(relative, import.meta.url));

/** @type {Record<string, number[]>} */
const RATES = {
  kfac: [0.05, 0.1, 0.2, 0.3, 0.5],
  sgd: [0.01, 0.03, 0.1, 0.2, 0.3],
  adam: [0.0005, 0.001, 0.002, 0.003, 0.005],
};

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    optimizer: { type: "string", default: Object.keys(RATES).join(",") },
    epochs: { type: "string", default: "2" },
    rates: { type: "string" },
    out: { type: "string", default: path("results/sweep.json") },
  },
});

/**
 * One run. A run that diverges has no final loss.
 * @param {string} optimizer @param {number} rate
 */
async function run(optimizer, rate) {
  const args = [
    ...["train", "--json", "--optimizer", optimizer, "--learning-rate", String(rate)],
    ...["--epochs", values.epochs, ...positionals],
  ];
  const child = spawn(process.execPath, [path("../bin/kfac.mjs"), ...args], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  let notes = "";
  child.stderr.setEncoding("utf8").on("data", (text) => {
    notes += text;
  });
  /** @type {{ epoch: number, trainLoss: number, testAccuracy: number | null, seconds: number }[]} */
  const epochs = [];
  let steps = 0;
  const exit = new Promise((resolve) => {
    child.on("close", resolve);
  });
  for await (const line of createInterface({ input: child.stdout })) {
    const record = JSON.parse(line);
    if ("trainLoss" in record) epochs.push(record);
    else steps = record.step;
  }
  const code = await exit;
  const last = code === 0 ? epochs.at(-1) : undefined;
  // A wrong command line is no result.
  if (code === 2 || (code !== 0 && steps === 0)) throw new Error(notes.trim());
  return {
    optimizer,
    learningRate: rate,
    options: positionals,
    steps,
    trainLoss: last?.trainLoss ?? null,
    testAccuracy: last?.testAccuracy ?? null,
    seconds: last?.seconds ?? null,
    epochs,
    adapter: / on (.*): \d+-/.exec(notes)?.[1] ?? "",
  };
}

const swept = values.optimizer.split(",");
for (const name of swept) if (!RATES[name]) throw new Error(`No optimiser ${name}: pass kfac, sgd or adam.`);

/** @type {Awaited<ReturnType<typeof run>>[]} */
let results = [];
try {
  results = JSON.parse(readFileSync(values.out, "utf8")).runs;
} catch {
  // The first sweep.
}
results = results.filter(({ optimizer }) => !swept.includes(optimizer));
for (const optimizer of swept) {
  const rates = values.rates?.split(",").map(Number) ?? RATES[optimizer] ?? [];
  for (const rate of rates) {
    const result = await run(optimizer, rate);
    results.push(result);
    const loss = result.trainLoss === null ? "diverged" : `training loss ${result.trainLoss.toPrecision(4)}`;
    console.log(
      `${optimizer} ${rate}: ${loss}, test accuracy ${result.testAccuracy ?? "–"}, ${result.seconds?.toFixed(1) ?? "–"} s`,
    );
    const best = Object.fromEntries(
      Object.keys(RATES).map((name) => {
        const own = results.filter((one) => one.optimizer === name && one.trainLoss !== null);
        own.sort((a, b) => (a.trainLoss ?? 0) - (b.trainLoss ?? 0));
        return [name, own[0]?.learningRate ?? null];
      }),
    );
    mkdirSync(path("results"), { recursive: true });
    writeFileSync(
      values.out,
      `${JSON.stringify({ epochs: Number(values.epochs), best, runs: results }, null, 1)}\n`,
    );
  }
}
