// Runs a suite in a host that may crash or hang (a page, Deno). The test that was running then counts as failed, and a
// new host goes on behind it: one bad kernel must not hide the results of all others.
import { send } from "./protocol.mjs";

const MAX_CRASHES = 8;
/** Above the harness's own limits, for hosts that do not even run timers any more. */
const GRACE_SECONDS = 130;

/**
 * @typedef {(event: import("./suite.js").SuiteEvent) => void} OnEvent
 * @typedef {{ done: Promise<string>, stop(): Promise<void> }} Host `done` resolves with a reason once the host is gone,
 *   `stop` ends it
 * @typedef {(from: number, onEvent: OnEvent) => Promise<Host>} Launch starts a host behind the first `from` tests
 */

/** @param {Launch} launch */
export async function supervise(launch) {
  let from = 0;
  for (let crashes = 0; crashes <= MAX_CRASHES; crashes++) {
    const outcome = await runOnce(launch, from);
    if (outcome.ended) return send({ kind: "end" });
    if (outcome.restart !== undefined) {
      from = outcome.restart;
      continue;
    }
    const { running, reason } = outcome;
    const [file, name] = running ? [running.file, running.name] : ["", "(between tests)"];
    send({ kind: "result", file, name, ok: false, error: reason, milliseconds: outcome.milliseconds });
    if (!running) return;
    from = running.index + 1;
  }
  const error = `gave up after ${MAX_CRASHES} crashes`;
  send({ kind: "result", file: "", name: "(the whole suite)", ok: false, error, milliseconds: 0 });
}

/** @param {Launch} launch @param {number} from */
async function runOnce(launch, from) {
  let ended = false;
  /** @type {number | undefined} */
  let restart;
  /** @type {{ index: number, file: string, name: string } | undefined} */
  let running;
  /** @type {NodeJS.Timeout | undefined} */
  let watchdog;
  /** @type {(reason: string) => void} */
  let expire = () => {};
  /** @type {Promise<string>} */
  const expired = new Promise((resolve) => {
    expire = resolve;
  });
  const started = { at: performance.now() };
  const guard = (/** @type {number} */ seconds, /** @type {string} */ what) => {
    clearTimeout(watchdog);
    watchdog = setTimeout(() => expire(`${what} did not answer for ${seconds} s`), seconds * 1000);
  };
  guard(GRACE_SECONDS, "the host");
  const host = await launch(from, (event) => {
    if (event.kind === "end") {
      ended = true;
      return expire("ended");
    }
    if (event.kind === "restart") {
      restart = event.from;
      return expire("asked for a fresh host");
    }
    if (event.kind === "start") {
      running = event;
      started.at = performance.now();
      guard(event.seconds + GRACE_SECONDS, "the test");
      return;
    }
    send(event);
    if (event.kind !== "result") return;
    running = undefined;
    guard(GRACE_SECONDS, "the host");
  });
  const reason = await Promise.race([host.done, expired]);
  clearTimeout(watchdog);
  await host.stop();
  return { ended, restart, running, reason, milliseconds: Math.round(performance.now() - started.at) };
}
