import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { unroll, unrolled } from "../../scripts/unroll.mjs";

const folder = new URL("../../shaders/", import.meta.url);
const textOf = (file: string) => readFileSync(new URL(file, folder), "utf8");

describe("the unrolled text of the shaders", () => {
  const files = [...unrolled()];

  test("covers every file with unrolled text", () => {
    const marked = readdirSync(folder).filter((file) => textOf(file).includes("// unroll "));
    expect(marked.length).toBeGreaterThan(0);
    expect(files.map(([file]) => file).sort()).toEqual(marked.sort());
  });

  test.each(files)("%s is what the generator makes", (file, text) => {
    expect(textOf(file)).toBe(text);
  });

  test("is the same when unrolled again", () => {
    for (const [, text] of files) expect(unroll(text)).toBe(text);
  });

  test("all that stands between the marks is replaced, and nothing else", () => {
    const text = "a\n  // unroll accumulators rows=2\n  var x;\n  // end\nb\n";
    const expected = [
      "a",
      "  // unroll accumulators rows=2",
      "  var c0_0 = vec4f(); var c0_1 = vec4f();",
      "  var c1_0 = vec4f(); var c1_1 = vec4f();",
      "  // end",
      "b",
      "",
    ];
    expect(unroll(text)).toBe(expected.join("\n"));
  });

  test.each(["// unroll accumulators rows=2\n", "// unroll accumulators rows: 2\n// end\n"])(
    "%j is refused",
    (text) => {
      expect(() => unroll(text)).toThrow("1 of 1 blocks");
    },
  );

  test.each(["steeps", "constructor", "toString"])("a block named %s is refused", (kind) => {
    expect(() => unroll(`// unroll ${kind} rows=8\n// end`)).toThrow(`nothing named ${kind} to unroll`);
  });
});
