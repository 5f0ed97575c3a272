/** docs/promises.md names a test for everything it promises; those tests are there. */
import { existsSync, readFileSync } from "node:fs";
import { expect, test } from "vitest";

const root = new URL("../../", import.meta.url);
const text = readFileSync(new URL("docs/promises.md", root), "utf8");
const rows = text.split("\n").filter((line) => line.startsWith("| ") && !/^\| when/.test(line));

test("every promise names its test", () => {
  expect(rows.length).toBeGreaterThan(20);
  for (const row of rows) expect(row).toMatch(/\| `test\/\S+\.test\.ts` › [^|]+ \|$/);
});

test.each(
  rows.map((row) => [...row.matchAll(/`(test\/\S+)` › ([^|]+) \|$/g)][0]!.slice(1) as [string, string]),
)("%s › %s", (file, name) => {
  const place = new URL(file, root);
  expect(existsSync(place)).toBe(true);
  expect(readFileSync(place, "utf8")).toContain(name);
});
