/** docs/extending.md and the README's example: their code is code of the files that they name. */
import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";

const path = (file: string) => fileURLToPath(new URL(`../../${file}`, import.meta.url));
const page = readFileSync(path("docs/extending.md"), "utf8");
const trimmed = (text: string) =>
  text
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "");

interface Block {
  readonly line: number;
  /** The last file of the repository that the text before it names. */
  readonly file: string | undefined;
  readonly code: readonly string[];
}

function blocksOf(text: string): Block[] {
  return [...text.matchAll(/^```ts\n(.*?)^```$/gms)].map(({ index, 1: code }) => {
    const before = text.slice(0, index).replaceAll(/^```ts\n.*?^```$/gms, "");
    const file = [
      ...before.matchAll(/`((?:src|test|examples|scripts|shaders)\/[\w./-]+\.m?ts|[\w./-]+\.mjs)`/g),
    ].at(-1)?.[1];
    return { line: text.slice(0, index).split("\n").length, file, code: trimmed(code!) };
  });
}

/** The first line of `code` that does not follow those before it in `source`; undefined where all do. */
function firstMissing(code: readonly string[], source: readonly string[]): string | undefined {
  let at = 0;
  for (const line of code) {
    const found = source.indexOf(line, at);
    if (found < 0) return line;
    at = found + 1;
  }
  return undefined;
}

describe("docs/extending.md", () => {
  const blocks = blocksOf(page);

  test("has code in each of its sections, and all of it is looked at", () => {
    const sections = page.split(/^## /m).slice(1);
    expect(sections.length).toBeGreaterThanOrEqual(6);
    expect(sections.filter((section) => blocksOf(section).length === 0)).toEqual([]);
    expect(page.match(/^```/gm)).toHaveLength(2 * blocks.length);
  });

  test.each(blocks)("line $line: the code is that of $file", ({ file, code }) => {
    const source = trimmed(readFileSync(path(file!), "utf8"));
    expect(firstMissing(code, source)).toBeUndefined();
  });

  test("names files that there are", () => {
    const files = [...page.matchAll(/`((?:src|test|examples|scripts|shaders|docs)\/[\w./-]+)`/g)].map(
      (match) => match[1]!,
    );
    expect(files.filter((file) => !existsSync(path(file)))).toEqual([]);
  });

  test("the comparison sees lines that are missing or in another order", () => {
    expect(firstMissing(["a", "c"], ["a", "b", "c"])).toBeUndefined();
    expect(firstMissing(["a", "d"], ["a", "b", "c"])).toBe("d");
    expect(firstMissing(["c", "a"], ["a", "b", "c"])).toBe("a");
  });
});

test("README.md: its first example is that of examples/fit", () => {
  const { code } = blocksOf(readFileSync(path("README.md"), "utf8"))[0]!;
  const own = code.filter((line) => !/createNodeEngine|engine\.dispose/.test(line));
  expect(own.length).toBeGreaterThan(10);
  expect(firstMissing(own, trimmed(readFileSync(path("examples/fit/ring.mjs"), "utf8")))).toBeUndefined();
});
