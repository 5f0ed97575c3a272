// biome-ignore-all lint/suspicious/noTemplateCurlyInString: sources hold placeholders for the preprocessor.
/** The shaders say what their sources say, and the preprocessor that writes them. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { d } from "typegpu";
import { describe, expect, test } from "vitest";
import { bindingsOf } from "../../scripts/shaders/bindings.mjs";
import { write } from "../../scripts/shaders/template.mjs";
import { shaders } from "../../scripts/shaders.mjs";

const folder = new URL("../../shaders/", import.meta.url);
const files = [...(await shaders())];

describe("the shaders", () => {
  test("are all written from sources", () => {
    const present = readdirSync(folder).filter((file) => file.endsWith(".wgsl"));
    expect(present.sort()).toEqual(files.map(([file]) => file).sort());
  });

  test.each(files)("%s is what `npm run shaders` writes", (file, text) => {
    expect(readFileSync(new URL(file, folder), "utf8")).toBe(text);
  });

  test("name files of src/ that exist, each at least one", () => {
    const path = /src\/[\w/-]+\.ts/g;
    expect(files.filter(([, text]) => !text.match(path)).map(([file]) => file)).toEqual([]);
    const named = new Set(files.flatMap(([, text]) => text.match(path) ?? []));
    expect([...named].filter((one) => !existsSync(new URL(`../${one}`, folder)))).toEqual([]);
  });
});

describe("the preprocessor", () => {
  const from = (sources: Record<string, string>, parameters: Record<string, unknown> = {}) =>
    write("main", parameters, {
      read: (name) => {
        const text = sources[name];
        if (text === undefined) throw new Error(`no piece ${name}`);
        return { file: `${name}.wgsl`, text };
      },
      bindings: (...what) => [`bound ${what.join(" ")}`],
    });

  test("leaves WGSL as it is, comments too", () => {
    const text = "// `a` \\n costs $5, {x}\n\nfn f() -> vec4<f32> {\n  return vec4f(); // ⌈√λ⌉\n}\n";
    expect(from({ main: text })).toBe(text);
  });

  test("runs lines of JavaScript and fills in values", () => {
    const main = [
      "# for (const r of upTo(2)) {",
      '  ${each(2, (h) => `c${r}_${h} = ${["x", "y"][h]};`)}',
      "# }",
      "# if (count > 3) {",
      "never",
      "# }",
      "${count}u and ${{ a: count }.a}",
    ];
    expect(from({ main: main.join("\n") }, { count: 3 })).toBe(
      "  c0_0 = x; c0_1 = y;\n  c1_0 = x; c1_1 = y;\n3u and 3\n",
    );
  });

  test("moves a piece in as far as its include, with parameters of both, and not its empty lines", () => {
    const sources = {
      main: '{\n  # include("outer", { own: 1 });\n}\n',
      outer: 'a ${own} ${all}\n\n  # include("inner", { own: 2 });\nb ${own}\n',
      inner: "c ${own} ${all}\n",
    };
    expect(from(sources, { all: "!" })).toBe("{\n  a 1 !\n\n    c 2 !\n  b 1\n}\n");
  });

  test("lets a piece place text of whoever includes it", () => {
    const sources = {
      main: '# include("piece", {\n#   body: (name) => {\n  let ${name} = ${value};\n#   },\n# });\n',
      piece: "fn f() {\n# body(`x`);\n}\n",
    };
    expect(from(sources, { value: 7 })).toBe("fn f() {\n  let x = 7;\n}\n");
  });

  test("places bindings", () => {
    expect(from({ main: 'a\n# bindings("room/module", "layout");\nb\n' })).toBe(
      "a\nbound room/module layout\nb\n",
    );
  });

  test.each([
    ["a name that is not in scope", { main: "a\n\n${missing}\n" }, "main.wgsl:3: missing is not defined"],
    ["a piece that is not there", { main: 'a\n# include("none");\n' }, "main.wgsl:2: no piece none"],
    [
      "an error in a piece",
      { main: '# include("piece");\n', piece: "a\nb ${c.d}\n" },
      "piece.wgsl:2: c is not",
    ],
    [
      "an error in text that a piece places",
      {
        main: '# include("piece", {\n#   body: () => {\n${missing}\n#   },\n# });\n',
        piece: "a\n\n\n\n# body();\n",
      },
      "main.wgsl:3: missing is not defined",
    ],
    ["JavaScript that is none", { main: "a\nb\n# if (\nc\n" }, "main.wgsl:4: "],
    ["a brace that is not closed", { main: "a ${b\nc\n" }, "main.wgsl:1: a brace is not closed"],
  ])("names the place of %s", (_, sources, message) => {
    expect(() => from(sources)).toThrow(message);
  });
});

describe("bindings", () => {
  const Inner = d.struct({ low: d.vec2u, high: d.f32 });
  const Row = d.struct({ first: d.u32, inner: Inner, several: d.arrayOf(d.i32, 3) });
  const State = (count: number) => d.struct({ status: d.u32, words: d.arrayOf(d.u32, count) });
  const names = new Map<unknown, string>([
    [Inner, "Inner"],
    [Row, "Row"],
    [State, "State"],
  ]);
  const layout = {
    entries: {
      rows: { storage: d.arrayOf(Row), access: "readonly" },
      settings: { uniform: Inner },
      state: { storage: State, access: "mutable" },
      flags: { storage: d.arrayOf(d.atomic(d.u32)), access: "mutable" },
      key: { storage: d.vec2u },
    },
  } as unknown as Parameters<typeof bindingsOf>[0];
  const nameOf = (schema: unknown) => names.get(schema);

  test("are the structs, those within others first, and the bindings with their notes", () => {
    const lines = bindingsOf(layout, nameOf, { high: "above", key: "the key" });
    expect(lines.join("\n")).toBe(`struct Inner {
  low: vec2u,
  // above
  high: f32,
}

struct Row {
  first: u32,
  inner: Inner,
  several: array<i32, 3>,
}

struct State {
  status: u32,
  words: array<u32>,
}

@group(0) @binding(0) var<storage, read> rows: array<Row>;
@group(0) @binding(1) var<uniform> settings: Inner;
@group(0) @binding(2) var<storage, read_write> state: State;
@group(0) @binding(3) var<storage, read_write> flags: array<atomic<u32>>;
// the key
@group(0) @binding(4) var<storage, read> key: vec2u;`);
  });

  test("refuses a struct that is not exported, and a note on nothing", () => {
    expect(() => bindingsOf(layout, () => undefined)).toThrow(
      "the struct of first, inner, several is not exported",
    );
    expect(() => bindingsOf(layout, nameOf, { none: "?" })).toThrow("nothing is named none");
  });
});
