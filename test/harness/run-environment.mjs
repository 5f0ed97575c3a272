// Runs one environment in a process of its own and collects what it reports.
import { root } from "./bundle.mjs";
import { startProgram } from "./program.mjs";
import { parse } from "./protocol.mjs";

const HEARTBEAT_SECONDS = 20;
/** A driver that blocks its process stops every timer inside it; only somebody outside can end that. */
const SILENCE_SECONDS = 400;

/**
 * @typedef {{ id: string, adapters: Set<string>, passed: number, failed: number, skipped: Map<string, number>, seconds: number }} Result
 * @typedef {{ files: readonly string[], name?: string, verbose: boolean }} Options
 *
 * @param {import("./environments.mjs").Environment} environment
 * @param {Options} options
 * @returns {Promise<Result>}
 */
export async function runEnvironment(environment, options) {
  const { id } = environment;
  const started = performance.now();
  const say = (/** @type {string} */ text) => console.log(text.replace(/^/gm, `[${id}] `));
  /** @type {Result} */
  const result = { id, adapters: new Set(), passed: 0, failed: 0, skipped: new Map(), seconds: 0 };
  const fail = (/** @type {string} */ title, detail = "") => {
    result.failed++;
    say(`✗ ${title}${detail && `\n${detail.replace(/^/gm, "    ")}`}`);
  };

  if (environment.problem) {
    fail(environment.problem);
    return result;
  }

  let ended = false;
  /** @type {{ file: string, name: string } | undefined} */
  let running;
  const heartbeat = setInterval(() => say(tally(result)), HEARTBEAT_SECONDS * 1000);
  const onEvent = (/** @type {import("./suite.js").SuiteEvent} */ event) => {
    if (event.kind === "end") ended = true;
    if (event.kind === "start") running = event;
    if (event.kind === "adapter") result.adapters.add(event.name);
    if (event.kind !== "result") return;
    // A dead worker is nobody's result, but the last test that started is the one to look at.
    const { file, name } = event.file ? event : { ...event, ...running };
    const title = `${file} › ${name} (${event.milliseconds} ms)`;
    if (!event.ok) return fail(title, event.error);
    if (event.skipped) result.skipped.set(event.skipped, (result.skipped.get(event.skipped) ?? 0) + 1);
    else result.passed++;
    if (options.verbose) say(event.skipped ? `- ${title}: skipped, ${event.skipped}` : `✓ ${title}`);
  };
  const { code, reason, silent } = await run(environment, options, onEvent, say);
  clearInterval(heartbeat);

  const last = running ? `${running.file} › ${running.name}` : "(no test yet)";
  if (silent) fail(last, `nothing happened for ${SILENCE_SECONDS} s; the run was ended`);
  else if (!ended) fail(last, `the run ended here, before its last test: ${reason ?? `exit status ${code}`}`);
  else if (code !== 0 && result.failed === 0)
    fail("all tests passed, but the process failed", reason ?? `exit status ${code}`);
  const filtered = options.files.length > 0 || options.name !== undefined;
  if (!filtered && result.passed + result.failed === 0) fail("nothing ran");
  result.seconds = (performance.now() - started) / 1000;
  say(`${tally(result)} in ${result.seconds.toFixed(1)} s`);
  return result;
}

/** @param {Result} result */
const tally = ({ passed, failed }) => `${passed} passed, ${failed} failed`;

/**
 * @param {import("./environments.mjs").Environment} environment
 * @param {Options} options
 * @param {import("./supervise.mjs").OnEvent} onEvent
 * @param {(text: string) => void} say
 */
async function run(environment, { files, name }, onEvent, say) {
  const filters = [...(name === undefined ? [] : ["-t", name]), ...files];
  let silent = false;
  const silence = setTimeout(() => {
    silent = true;
    program.end();
  }, SILENCE_SECONDS * 1000);
  const program = startProgram(process.execPath, [...(environment.arguments ?? []), ...filters], {
    cwd: root,
    env: { ...process.env, NO_COLOR: "1", ...environment.env },
    onLine(line) {
      silence.refresh();
      const event = parse(line);
      if (event) onEvent(event);
      else if (line.trim()) say(line);
    },
  });
  const { code, reason } = await program.ended;
  clearTimeout(silence);
  return { code, reason, silent };
}
