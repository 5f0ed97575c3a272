// Every environment (a vitest run, a page, Deno) reports to scripts/test.mjs over its standard output, one marked line
// of JSON per event; unmarked lines are ordinary output.
/** @typedef {import("./suite.js").SuiteEvent} SuiteEvent */

export const MARK = "@kfac-test ";

/** @param {SuiteEvent} event */
export function send(event) {
  process.stdout.write(`${MARK}${JSON.stringify(event)}\n`);
}

/** @param {string} line @returns {SuiteEvent | undefined} */
export function parse(line) {
  const at = line.indexOf(MARK);
  return at < 0 ? undefined : JSON.parse(line.slice(at + MARK.length));
}
