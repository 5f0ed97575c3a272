/**
 * Prints one row per environment and, alone on the last line, the totals. Returns the exit code.
 * @param {import("./run-environment.mjs").Result[]} results
 */
export function printSummary(results) {
  const rows = results.map((result) => [
    result.id,
    [...result.adapters].join(", ") || "–",
    String(result.passed),
    String(result.failed),
    String(sum(result.skipped.values())),
    result.seconds.toFixed(1),
  ]);
  const titles = ["environment", "adapter", "passed", "failed", "skipped", "seconds"];
  const widths = titles.map((title, i) => Math.max(title.length, ...rows.map((row) => row[i].length)));
  const line = (/** @type {string[]} */ row) =>
    row.map((cell, i) => (i < 2 ? cell.padEnd(widths[i]) : cell.padStart(widths[i]))).join("  ");

  console.log(`\n${line(titles)}\n${widths.map((width) => "─".repeat(width)).join("  ")}`);
  for (const row of rows) console.log(line(row));
  for (const { id, skipped } of results) {
    for (const [reason, count] of skipped) console.log(`skipped on ${id}: ${count} × ${reason}`);
  }
  const passed = sum(results.map((result) => result.passed));
  const failed = sum(results.map((result) => result.failed));
  if (passed + failed === 0) console.log("\nNo test matched.");
  console.log(`\n${passed} passed, ${failed} failed`);
  return failed > 0 || passed === 0 ? 1 : 0;
}

/** @param {Iterable<number>} numbers */
const sum = (numbers) => [...numbers].reduce((total, number) => total + number, 0);
