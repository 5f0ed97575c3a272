// npm run bench -- --only optimizers: optimisers against each other on this engine. README.md of the folder above says how.
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { enterDriver } from "../../scripts/enter-driver.mjs";
import { chooseDriver, describeMachine, ownVersions } from "../adapter.mjs";
import { ADAPTERS } from "../arguments.mjs";
import { loadLibrary } from "../library.mjs";
import { machineText } from "../report/table.mjs";
import { HELP, readArguments } from "./arguments.mjs";
import { CONTESTANTS, DEFAULT_CONTESTANTS } from "./contestants.mjs";
import { measureCost } from "./cost.mjs";
import { reached, runEpochs } from "./epochs.mjs";
import { HELD_OUT } from "./held-out.mjs";
import { digits, drawings, markdown, marksOf } from "./report.mjs";
import { run } from "./run.mjs";
import { keyOf, Store, textOf } from "./store.mjs";
import { ALL_TASKS, AUTOENCODER, TASKS } from "./tasks.mjs";

/** Seeds of a run of steps, and of one of epochs. */
const SEEDS = { steps: 3, epochs: 1 };
/** Tasks whose steps are timed with and without adaptation. */
const COST = { tasks: ["mnist", "mnist-cnn"], pairs: 6, steps: 40 };
const QUICK_COST = { tasks: ["batch-8"], pairs: 1, steps: 10 };

/**
 * @param {readonly string[]} argv @param {string} program what a driver is entered with
 * @returns {Promise<number>} the exit code
 */
export async function runOptimizers(argv, program) {
  const known = {
    ...{
      tasks: TASKS.map(({ id }) => id),
      more: [...HELD_OUT.map(({ id }) => id), AUTOENCODER.id],
      adapters: ADAPTERS,
    },
    ...{ contestants: CONTESTANTS, defaults: DEFAULT_CONTESTANTS },
  };
  const options = readArguments(argv, known);
  if (options.help) {
    const words = {
      TASKS: [...known.tasks, ...known.more].join(", "),
      OPTIMIZERS: CONTESTANTS.map(({ id }) => id).join(", "),
      DEFAULT: DEFAULT_CONTESTANTS.join(", "),
    };
    process.stdout.write(
      HELP.replace(/TASKS|OPTIMIZERS|DEFAULT/g, (word) => words[/** @type {"TASKS"} */ (word)]),
    );
    return 0;
  }
  const driver = chooseDriver(options.adapter);
  const done = await enterDriver(driver.env, { program, args: [...argv] });
  if (done !== undefined) return done;
  const say = options.json === "-" ? console.error : console.log;
  const results = fileURLToPath(new URL(`../results/${driver.id}/optimizers`, import.meta.url));
  const folder = options.out ?? (options.quick ? undefined : results);
  const store = new Store(folder);
  if (!options.report) await runAll(options, { store, folder, driver, say });
  publish(store, folder, options);
  if (options.json === "-") process.stdout.write(textOf(store.results));
  if (options.json && options.json !== "-") writeFileSync(options.json, textOf(store.results));
  if (folder) say(`Results are in ${folder}.`);
  else say(markdown(store.results, options.contestants));
  return store.results.runs.some(({ failure }) => failure) ? 1 : 0;
}

/**
 * @param {import("./arguments.mjs").Options} options
 * @param {{ store: Store, folder: string | undefined, driver: import("../../scripts/drivers.mjs").Driver,
 *   say: (line: string) => void }} place
 */
async function runAll(options, { store, folder, driver, say }) {
  const library = await loadLibrary();
  // One engine for all, so that a kernel is compiled once.
  const engine = await library.createNodeEngine();
  const lab = { library, engine };
  const versions = ownVersions();
  const machine = describeMachine(engine, driver, versions);
  const facts = { commit: versions.commit, adapter: machine.adapter };
  say(`${machineText(machine)}\n`);
  const wanted = [...planned(options)];
  if (!options.resume) store.forget(new Set(wanted.map(({ identity }) => keyOf(identity))));
  store.begin(machine);
  try {
    for (const { identity, task, contestant, setting } of wanted) {
      const { seed } = identity;
      const name = `${identity.task}, ${contestant.name} (${setting.label}), seed ${seed}`;
      if (task === undefined) {
        const before = store.epochs(identity);
        if (before && before.epochs.length >= options.epochs) continue;
        const place = { before, folder: folder && join(folder, "checkpoints"), facts };
        await runEpochs(lab, contestant, setting, { seed, epochs: options.epochs, ...place }, (one) => {
          store.putEpochs(one);
          const { epoch, train, test, seconds } = one.epochs[one.epochs.length - 1];
          const told = reached(one.epochs).epochs.map((count) => count ?? "–");
          say(
            `${name}: epoch ${epoch}, training loss ${train}, test ${test}, ${seconds.toFixed(0)} s; epochs to ${AUTOENCODER.marks.join("/")}: ${told.join(" / ")}`,
          );
        });
        continue;
      }
      const { steps, trace } = options;
      const there = store.run(identity);
      if (there && there.steps >= steps && !there.failure) continue;
      const one = await run(lab, task, contestant, setting, { seed, steps, marks: marksOf(steps), trace });
      store.putRun({ ...one, ...facts, date: new Date().toISOString() });
      const ends = Object.entries(one.ends).map(([mark, loss]) => `${digits(loss ?? Infinity)} at ${mark}`);
      say(
        one.failure
          ? `${name}: ${one.failure}`
          : `${name}: ${digits(one.start ?? Infinity)} at the start, ${ends.join(", ")}; ${digits(one.ms ?? NaN)} ms a step`,
      );
    }
    if (options.cost && options.contestants.some(({ id }) => id === "kfac")) {
      const { tasks, ...how } = options.quick ? QUICK_COST : COST;
      for (const task of TASKS.filter(({ id }) => tasks.includes(id) && options.tasks.includes(id))) {
        const row = await measureCost(lab, task, how);
        store.putCost({ ...row, ...facts });
        say(`${task.id}: a K-FAC step takes ${row.ratio.value.toFixed(2)} times as long with adaptation`);
      }
    }
  } finally {
    engine.dispose();
  }
}

/**
 * All that is asked for, seed by seed, so that what is there when a run is cut off covers all tasks. Without a task it is the
 * auto-encoder.
 * @param {import("./arguments.mjs").Options} options
 */
function* planned({ tasks, contestants, seeds }) {
  const most = Math.max(SEEDS.steps, seeds ?? 0);
  for (let seed = 1; seed <= most; seed++) {
    for (const id of tasks) {
      const task = ALL_TASKS.find((one) => one.id === id);
      if (seed > (seeds ?? (task ? SEEDS.steps : SEEDS.epochs))) continue;
      for (const contestant of contestants) {
        for (const setting of contestant.settings) {
          const identity = { task: id, optimizer: contestant.id, setting: setting.label, seed };
          yield { identity, task, contestant, setting };
        }
      }
    }
  }
}

/** @param {Store} store @param {string | undefined} folder @param {import("./arguments.mjs").Options} options */
function publish({ results }, folder, { contestants }) {
  if (folder === undefined) return;
  mkdirSync(folder, { recursive: true });
  const known = [...CONTESTANTS, ...contestants];
  writeFileSync(join(folder, "optimizers.md"), markdown(results, known));
  for (const { name, svg } of drawings(results, known))
    writeFileSync(join(folder, `${name}.svg`), `${svg}\n`);
}
