// The results as a markdown table and a chart of each task.
import { charts } from "../library.mjs";
import { reached } from "./epochs.mjs";
import { HELD_OUT } from "./held-out.mjs";
import { EVERY, WINDOW } from "./steps.mjs";
import { bestOf, compareAt, countsOf, linesOf } from "./summary.mjs";
import { ALL_TASKS, AUTOENCODER, TASKS } from "./tasks.mjs";

/**
 * @typedef {import("./summary.mjs").Line} Line
 * @typedef {import("./store.mjs").Results} Results
 * @typedef {import("./contestants.mjs").Contestant} Contestant
 * @typedef {import("../../src/charts/index.js").Point} Point
 */

/** Steps at which losses are told, beside the last of a shorter or longer run. */
export const MARKS = [150, 600];

/** @type {import("../../src/charts/index.js").Looks} */
export const LOOKS = {
  kfac: { light: "#0072b2", dark: "#4db2ee", mark: "circle", strong: true },
  ekfac: { light: "#00805c", dark: "#20c095", mark: "triangle" },
  "kfac-rates": { light: "#8a2be2", dark: "#b98cff", mark: "diamond" },
  adam: { light: "#d55e00", dark: "#f08040", mark: "square" },
  sgd: { light: "#b8568c", dark: "#e39ac2", mark: "diamond" },
};
/** Of variants, in turn. */
const OTHERS = [...["#777777", "#7a5a2f", "#c98500", "#3f9fd0"].map((light) => ({ light, dark: "#c0c0c0" }))];
/** Losses above so many times the start are left out of a chart. */
const SHOWN = 30;

/** @param {readonly string[]} ids @returns {import("../../src/charts/index.js").Looks} */
function looksOf(ids) {
  const more = ids.filter((id) => !(id in LOOKS));
  const own = more.map((id, k) => [
    id,
    { ...OTHERS[k % OTHERS.length], mark: /** @type {const} */ ("triangle") },
  ]);
  return { ...LOOKS, ...Object.fromEntries(own) };
}

/** The marks that a run of so many steps has. @param {number} steps */
export const marksOf = (steps) => [...new Set([...MARKS.filter((mark) => mark < steps), steps])];

const unique = (/** @type {readonly string[]} */ words) => [...new Set(words)];

/**
 * @param {Results} results @param {readonly Contestant[]} contestants whose names are known
 * @returns {string} markdown
 */
export function markdown({ machine, runs, epochs, cost }, contestants) {
  const nameOf = (/** @type {string} */ id) =>
    contestants.find((one) => one.id === id)?.name ?? `K-FAC, ${id}`;
  const lines = linesOf(runs);
  const where = machine
    ? `${machine.adapter}; ${machine.cpu}, ${machine.cores} cores; ${machine.date.slice(0, 10)}`
    : "";
  const parts = [`# Optimisers against each other\n\n${where}`, ABOUT, budgets([...runs, ...epochs], nameOf)];
  for (const id of unique(lines.map(({ optimizer }) => optimizer)).filter((one) => one !== "adam")) {
    const known = besideAdam(`${nameOf(id)} beside the best Adam`, nameOf(id), { id, lines, tasks: TASKS });
    const unseen = `${nameOf(id)} on problems made up afterwards`;
    const others = besideAdam(unseen, nameOf(id), { id, lines, tasks: HELD_OUT });
    parts.push(...[known, others].filter((part) => part !== undefined));
  }
  if (lines.length > 0) parts.push(everyLine(lines, nameOf));
  if (epochs.length > 0) parts.push(epochTable(epochs, nameOf));
  if (cost.length > 0) parts.push(costTable(cost));
  const commits = unique(
    [...runs, ...epochs].map(({ optimizer, commit }) => `${optimizer} ${commit ?? "unknown"}`),
  );
  parts.push(`Commits: ${commits.sort().join(", ")}.`);
  return `${parts.join("\n\n")}\n`;
}

const ABOUT = `Losses are means of the last ${WINDOW} steps' batch losses up to a step, then over seeds; lower is better. The start is the
mean loss of the first weights on the first ${WINDOW} batches. All optimisers see the same batches and begin with the same weights.
Milliseconds are of whole steps, with whatever else the machine did.`;

/** @param {readonly import("./run.mjs").Identity[]} runs @param {(id: string) => string} nameOf */
function budgets(runs, nameOf) {
  const ids = unique(runs.map(({ optimizer }) => optimizer));
  const words = ids.map((id) => {
    const settings = unique(runs.filter(({ optimizer }) => optimizer === id).map(({ setting }) => setting));
    return `- ${nameOf(id)}: ${settings.length === 1 ? "one run a seed" : `${settings.length} runs a seed`} (${settings.join(", ")})`;
  });
  return `Tuning budget, the same on every task:\n\n${words.join("\n")}`;
}

/**
 * @param {string} title @param {string} name
 * @param {{ id: string, lines: readonly Line[], tasks: readonly import("./tasks.mjs").Task[] }} of
 */
function besideAdam(title, name, { id, lines, tasks }) {
  const rows = tasks.flatMap((task) => {
    const own = lines.filter((line) => line.task === task.id && line.optimizer === id);
    const rivals = lines.filter((line) => line.task === task.id && line.optimizer === "adam");
    if (own.length === 0 || rivals.length === 0) return [];
    const marks = marksOf(own[0].steps);
    // Of several settings the best, at each mark for itself, as for Adam.
    const comparisons = marks.flatMap((mark) => {
      const best = bestOf(own, mark);
      return best ? compareAt(best, rivals, [mark]) : [];
    });
    const last = bestOf(own, marks.at(-1) ?? 0) ?? own[0];
    return [{ task, own: last, marks, comparisons, above: last.above }];
  });
  if (rows.length === 0) return undefined;
  const marks = [...new Set(rows.flatMap((row) => row.marks))].sort((a, b) => a - b);
  const head = ["", "start"];
  for (const mark of marks) head.push(`Adam's best at ${mark}`, `${name} at ${mark}`, "ratio", "its steps");
  head.push("ended above start", "rejected", "ms a step, Adam's");
  const body = rows.map(({ task, own, comparisons }) => {
    const cells = [task.title, digits(own.start)];
    for (const mark of marks) {
      const one = comparisons.find((comparison) => comparison.mark === mark);
      cells.push(
        ...(one
          ? [`${digits(one.rival)} (${one.setting})`, digits(one.own), bold(digits(one.ratio), one.ratio < 1)]
          : ["–", "–", "–"]),
        one
          ? one.share === undefined
            ? "not reached"
            : bold(`${Math.round(100 * one.share)} %`, one.share <= 0.5)
          : "–",
      );
    }
    const rival = bestOf(
      lines.filter((line) => line.task === task.id && line.optimizer === "adam"),
      comparisons.at(-1)?.mark ?? 0,
    );
    cells.push(
      `${own.above} of ${own.seeds}`,
      String(own.rejected),
      `${digits(own.ms)}, ${digits(rival?.ms ?? Number.NaN)}`,
    );
    return cells;
  });
  const counts = countsOf(rows, marks);
  const told = [
    ...counts.ahead.map(({ mark, ahead, of }) => `below the best Adam at ${mark} steps on ${ahead} of ${of}`),
    `at every mark on ${counts.everywhere} of ${counts.tasks}`,
    `at worst ${digits(counts.worst)} × it`,
    ...counts.halved.map(
      ({ mark, count, of }) => `its end at ${mark} reached in half its steps on ${count} of ${of}`,
    ),
    `${counts.above} runs ended above their start`,
  ];
  return `## ${title}\n\n${table([head, ...body])}

"Its steps": the share of Adam's steps after which the running mean is as low as that Adam's end. ${capital(told.join("; "))}.`;
}

/** @param {readonly Line[]} lines @param {(id: string) => string} nameOf */
function everyLine(lines, nameOf) {
  const marks = unique(lines.flatMap(({ ends }) => Object.keys(ends))).sort((a, b) => Number(a) - Number(b));
  const head = ["task", "optimiser", "setting", "seeds", "start"];
  for (const mark of marks) head.push(`at ${mark}`, "of the seeds");
  head.push("highest", "ended above start", "rejected", "layers skipped", "ms a step", "status");
  const body = inTaskOrder(lines).map((line) => {
    const cells = [line.task, nameOf(line.optimizer), line.setting, String(line.seeds), digits(line.start)];
    for (const mark of marks) {
      const end = line.ends[mark];
      cells.push(end ? digits(end.mean) : "–", end ? `${digits(end.low)} … ${digits(end.high)}` : "–");
    }
    const troubles = [
      ...line.failures,
      ...Object.entries(line.statuses).map(([status, count]) => `${count} × ${status}`),
    ];
    cells.push(
      digits(line.highest),
      `${line.above} of ${line.seeds}`,
      String(line.rejected),
      String(line.skipped),
    );
    cells.push(digits(line.ms), troubles.slice(0, 3).join("; "));
    return cells;
  });
  return `## All runs\n\n${table([head, ...body])}`;
}

/** @param {readonly Line[]} lines */
function inTaskOrder(lines) {
  return ALL_TASKS.flatMap(({ id }) => lines.filter(({ task }) => task === id));
}

/** @param {Results["epochs"]} runs @param {(id: string) => string} nameOf */
function epochTable(runs, nameOf) {
  const { marks } = AUTOENCODER;
  const head = ["optimiser", "setting", "seed", "epochs", ...marks.map((mark) => `epochs to ≤ ${mark}`)];
  head.push(
    "training loss",
    "test loss, best",
    "last",
    ...marks.map((mark) => `seconds to ≤ ${mark}`),
    "rejected",
    "adapter",
  );
  const body = runs.map((run) => {
    const told = reached(run.epochs);
    return [
      ...[nameOf(run.optimizer), run.setting, String(run.seed), String(run.epochs.length)],
      ...told.epochs.map((epoch) => String(epoch ?? "–")),
      digits(run.epochs.at(-1)?.train ?? Number.NaN),
      ...[told.test?.best, told.test?.last].map((loss) => digits(loss ?? Number.NaN)),
      ...told.seconds.map((seconds) => (seconds === undefined ? "–" : digits(seconds))),
      ...[String(run.rejected), run.adapter],
    ];
  });
  return `## MNIST auto-encoder\n\n${AUTOENCODER.network}, batches of ${AUTOENCODER.batch}. The training loss is the mean over an epoch's own steps; seconds are of
training alone.\n\n${table([head, ...body])}`;
}

/** @param {Results["cost"]} rows */
function costTable(rows) {
  const head = [
    "task",
    "K-FAC, fixed numbers, ms a step",
    "adapting, ms a step",
    "times as long",
    "interval",
    "adapter",
  ];
  const body = rows.map(({ task, fixedMs, adaptiveMs, ratio, adapter }) => [
    ...[task, digits(fixedMs), digits(adaptiveMs), ratio.value.toFixed(2)],
    ...[`${ratio.low.toFixed(2)} – ${ratio.high.toFixed(2)}`, adapter],
  ]);
  return `## What adaptation costs\n\n${table([head, ...body])}`;
}

/** @param {readonly (readonly string[])[]} rows the first is the head */
function table([head, ...body]) {
  const line = (/** @type {readonly string[]} */ cells) => `| ${cells.join(" | ")} |`;
  return [line(head), line(head.map(() => "---")), ...body.map(line)].join("\n");
}

const bold = (/** @type {string} */ text, /** @type {boolean} */ good) => (good ? `**${text}**` : text);
const capital = (/** @type {string} */ text) => text[0].toUpperCase() + text.slice(1);

/** A number in three digits. @param {number} value */
export function digits(value) {
  if (!Number.isFinite(value)) return Number.isNaN(value) ? "–" : "not finite";
  if (value !== 0 && (Math.abs(value) >= 1e5 || Math.abs(value) < 1e-3)) return value.toExponential(2);
  return String(Number(value.toPrecision(3)));
}

/**
 * A chart of each task: the best setting of each optimiser by name, the others faint.
 * @param {Results} results @param {readonly Contestant[]} contestants
 * @returns {{ name: string, svg: string }[]}
 */
export function drawings({ machine, runs, epochs }, contestants) {
  const lines = linesOf(runs);
  const ids = unique([...runs, ...epochs].map(({ optimizer }) => optimizer));
  const looks = looksOf(ids);
  const nameOf = (/** @type {string} */ id) => contestants.find((one) => one.id === id)?.name ?? id;
  const where = machine ? `${machine.adapter}, ${machine.date.slice(0, 10)}` : "";
  const made = ALL_TASKS.flatMap((task) => {
    const own = lines.filter((line) => line.task === task.id);
    if (own.length === 0) return [];
    const series = unique(own.map(({ optimizer }) => optimizer)).flatMap((id) => {
      const settings = own.filter(({ optimizer }) => optimizer === id);
      const best = bestOf(settings, Math.min(...settings.map(({ steps }) => steps)));
      return settings.map((line) => ({
        ...{ id, name: settings.length > 1 ? `${nameOf(id)}, ${line.setting}` : nameOf(id) },
        ...{ points: pointsOf(line), faint: line !== best },
      }));
    });
    const svg = charts.lineChart({
      title: `${task.title}: ${task.network}`,
      heading: [`Loss, running mean of ${WINDOW} steps, mean over seeds; faint: other settings.`, where],
      looks,
      x: { label: "step" },
      y: { label: "loss", log: true },
      panels: [{ series }],
    });
    return [{ name: task.id, svg }];
  });
  return epochs.length > 0 ? [...made, epochChart(epochs, looks, nameOf, where)] : made;
}

/** @param {Line} line @returns {Point[]} */
function pointsOf({ curve, start }) {
  return curve
    .map((value, k) => /** @type {Point} */ ([(k + 1) * EVERY, value]))
    .filter(([, value]) => value <= SHOWN * start);
}

/**
 * @param {Results["epochs"]} runs @param {import("../../src/charts/index.js").Looks} looks
 * @param {(id: string) => string} nameOf @param {string} where
 */
function epochChart(runs, looks, nameOf, where) {
  const panel = (/** @type {string} */ title, /** @type {"train" | "test"} */ part) => ({
    title,
    series: runs.map(({ optimizer: id, setting, epochs }) => ({
      ...{ id, name: `${nameOf(id)}, ${setting}` },
      points: epochs.flatMap(({ epoch, [part]: loss }) =>
        loss === null || loss > 120 ? [] : [/** @type {Point} */ ([epoch, loss])],
      ),
    })),
  });
  const svg = charts.lineChart({
    title: `${AUTOENCODER.title}: ${AUTOENCODER.network}`,
    heading: [
      "Sigmoid cross entropy summed over pixels, mean over images; training: over an epoch's own steps.",
      where,
    ],
    looks,
    x: { label: "epoch", whole: true },
    y: { label: "loss" },
    panels: [panel("training", "train"), panel("test", "test")],
  });
  return { name: AUTOENCODER.id, svg };
}
