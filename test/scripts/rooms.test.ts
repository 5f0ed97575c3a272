/** The list of rooms, held against what there is. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { kernelSources, knownTo, ROOMS, roomOf, testFiles } from "../../scripts/rooms.mjs";

const root = fileURLToPath(new URL("../..", import.meta.url));

/** Files below a folder, by their path from the project's root. */
function filesIn(folder: string): string[] {
  const entries = readdirSync(join(root, folder), { recursive: true, withFileTypes: true });
  const files = entries
    .filter((entry) => entry.isFile())
    .map(({ parentPath, name }) => join(parentPath, name));
  return files.map((file) => relative(root, file).replaceAll("\\", "/"));
}

/** Whether a pattern of the form `folder/**` + `/*.ending` takes a file. */
function takes(pattern: string, file: string): boolean {
  const [folder = "", ending = ""] = pattern.split("**/*");
  return file.startsWith(folder) && file.endsWith(ending);
}

const names = ROOMS.map(({ name }) => name);

test("each name stands once, and a room knows only rooms before it", () => {
  expect(new Set(names).size).toBe(names.length);
  for (const [at, { name, knows }] of ROOMS.entries()) {
    for (const other of knows) expect(names.slice(0, at), `${name} knows ${other}`).toContain(other);
  }
});

test("what a room knows, those that it knows know as well, but for the shaders", () => {
  expect([...knownTo("network")!]).toEqual(expect.arrayContaining(["layers", "linalg", "errors", "shaders"]));
  expect(knownTo("network")).not.toContain("optimizers");
  expect(knownTo("linalg")).toContain("shaders");
  expect(knownTo("host")).toContain("linalg");
  expect(knownTo("host")).not.toContain("shaders");
  expect(knownTo("attic")).toBeUndefined();
});

test("the room of a file", () => {
  const files = ["src/errors.ts", "src/engine.ts", "src/node.ts", "src/linalg/x/y.ts", "shaders/gram.wgsl"];
  expect(files.map(roomOf)).toEqual(["errors", "engine", "top", "linalg", "shaders"]);
});

test("charts stay out of what the library exports", () => {
  expect([...knownTo("top")!].filter((name) => ["charts", "timing", "cli"].includes(name))).toEqual([]);
});

describe("what there is", () => {
  test("every folder of src is a room", () => {
    for (const entry of readdirSync(join(root, "src"), { withFileTypes: true })) {
      if (entry.isDirectory()) expect(names, entry.name).toContain(entry.name);
    }
  });

  test("every test file runs in one place", () => {
    const patterns = [...testFiles("cpu"), ...testFiles("kernel"), "test/package/**/*.test.ts"];
    for (const file of filesIn("test").filter((name) => name.endsWith(".test.ts"))) {
      const ofDemo = /^test\/demo\/[^/]*$/.test(file) ? 1 : 0;
      expect(patterns.filter((pattern) => takes(pattern, file)).length + ofDemo, file).toBe(1);
    }
  });

  test("kernels are defined where the list says", () => {
    for (const file of filesIn("src").filter((name) => name.endsWith(".ts"))) {
      if (!/\.wgsl\?raw"/.test(readFileSync(join(root, file), "utf8"))) continue;
      expect(
        kernelSources().some((pattern) => takes(pattern, file)),
        file,
      ).toBe(true);
    }
  });

  test("the architecture's table has a row for each", () => {
    const text = readFileSync(join(root, "docs/architecture.md"), "utf8");
    const inSrc = ({ name }: { name: string }) =>
      name === "top" || ["", ".ts"].some((ending) => existsSync(join(root, "src", name + ending)));
    for (const { name } of ROOMS.filter(inSrc)) {
      expect(text).toMatch(name === "top" ? "src/index.ts" : new RegExp(`\`src/${name}(\\.ts)?\``));
    }
  });
});
