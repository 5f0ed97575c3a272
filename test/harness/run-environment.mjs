// Runs one environment in a process of its own and collects what it reports.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { root } from "./bundle.mjs";
import { parse } from "./protocol.mjs";

const HEARTBEAT_SECONDS = 20;
/** Dawn tells this about every software driver and every device. */
const NOISE = /^Warning: maxDynamic\w+ artificially reduced/;
/** A driver that blocks its process stops every timer inside it; only somebody outside can end that. */
const SILENCE_SECONDS = 400;

/**
 * @typedef {{ id: string, adapters: Set<string>, passed: number, failed: number, skipped: Map<string, number>, seconds: number }} Result
 * @param {import("./environments.mjs").Environment} environment
 * @param {{ files: string[], name?: string, verbose: boolean }} options
 * @returns {Promise<Result>}
 */
export async function runEnvironment(environment, options) {
  const { id } = environment;
  const started = performance.now();
  const say = (text) => console.log(text.replace(/^/gm, `[${id}] `));
  /** @type {Result} */
  const result = { id, adapters: new Set(), passed: 0, failed: 0, skipped: new Map(), seconds: 0 };
  const fail = (title, detail = "") => {
    result.failed++;
    say(`✗ ${title}${detail && `\n${detail.replace(/^/gm, "    ")}`}`);
  };

  if (environment.problem) {
    fail(environment.problem);
    return result;
  }

  let ended = false;
  let running;
  const heartbeat = setInterval(() => say(tally(result)), HEARTBEAT_SECONDS * 1000);
  const onEvent = (event) => {
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
  const { code, signal, silent } = await run(environment, options, onEvent, say);
  clearInterval(heartbeat);

  const last = running ? `${running.file} › ${running.name}` : "(no test yet)";
  if (silent) fail(last, `nothing happened for ${SILENCE_SECONDS} s; the run was ended`);
  else if (!ended) fail(last, `the run ended here, before its last test: exit ${signal ?? code}`);
  else if (code !== 0 && result.failed === 0)
    fail("all tests passed, but the process failed", `exit ${signal ?? code}`);
  const filtered = options.files.length > 0 || options.name !== undefined;
  if (!filtered && result.passed + result.failed === 0) fail("nothing ran");
  result.seconds = (performance.now() - started) / 1000;
  say(`${tally(result)} in ${result.seconds.toFixed(1)} s`);
  return result;
}

const tally = ({ passed, failed }) => `${passed} passed, ${failed} failed`;

async function run(environment, { files, name }, onEvent, say) {
  const filters = [...(name === undefined ? [] : ["-t", name]), ...files];
  const child = spawn(process.execPath, [...environment.arguments, ...filters], {
    cwd: root,
    env: { ...process.env, NO_COLOR: "1", ...environment.env },
    stdio: ["ignore", "pipe", "pipe"],
    // A group of its own, so that ending it reaches vitest's workers and the browser as well.
    detached: grouped,
  });
  const forget = endWithUs(child);
  let silent = false;
  const silence = setTimeout(() => {
    silent = true;
    end(child);
  }, SILENCE_SECONDS * 1000);
  for (const stream of [child.stdout, child.stderr]) {
    createInterface(stream).on("line", (line) => {
      silence.refresh();
      const event = parse(line);
      if (event) onEvent(event);
      else if (line.trim() && !NOISE.test(line)) say(line);
    });
  }
  const [code, signal] = await once(child, "close");
  clearTimeout(silence);
  forget();
  return { code, signal, silent };
}

const grouped = process.platform !== "win32";

function end(child) {
  try {
    if (grouped) process.kill(-child.pid, "SIGKILL");
    else child.kill();
  } catch {
    // It is gone already.
  }
}

/** A group of its own does not hear the terminal's Ctrl-C. */
function endWithUs(child) {
  const onExit = () => end(child);
  const onSignal = () => process.exit(130);
  process.on("exit", onExit);
  process.on("SIGINT", onSignal).on("SIGTERM", onSignal);
  return () => {
    process.off("exit", onExit);
    process.off("SIGINT", onSignal).off("SIGTERM", onSignal);
  };
}
