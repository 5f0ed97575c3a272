// Runs one environment in a process of its own and collects what it reports.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { root } from "./bundle.mjs";
import { parse } from "./protocol.mjs";

const HEARTBEAT_SECONDS = 20;

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
  const heartbeat = setInterval(() => say(tally(result)), HEARTBEAT_SECONDS * 1000);
  const onEvent = (event) => {
    if (event.kind === "end") ended = true;
    if (event.kind === "adapter") result.adapters.add(event.name);
    if (event.kind !== "result") return;
    const title = `${event.file} › ${event.name} (${event.milliseconds} ms)`;
    if (!event.ok) return fail(title, event.error);
    if (event.skipped) result.skipped.set(event.skipped, (result.skipped.get(event.skipped) ?? 0) + 1);
    else result.passed++;
    if (options.verbose) say(event.skipped ? `- ${title}: skipped, ${event.skipped}` : `✓ ${title}`);
  };
  const { code, signal } = await run(environment, options, onEvent, say);
  clearInterval(heartbeat);

  if (!ended) fail("the run ended before its last test", `exit ${signal ?? code}`);
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
  });
  for (const stream of [child.stdout, child.stderr]) {
    createInterface(stream).on("line", (line) => {
      const event = parse(line);
      if (event) onEvent(event);
      else if (line.trim()) say(line);
    });
  }
  const [code, signal] = await once(child, "close");
  return { code, signal };
}
