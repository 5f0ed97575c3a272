/**
 * Every kernel's TypeGPU layout, resolved to WGSL, says what the shader file says: binding numbers, names, address
 * spaces, access, types, and the fields of structs in their order. Which layout goes with which file is read from the
 * kernels' definitions in src/.
 */

import tgpu from "typegpu";
import { modules, texts } from "#kernel-sources";
import { matmulLayout } from "../../src/linalg/products/matmul.js";
import type { Kernel } from "../../src/pipeline/index.js";
import { assert, assertEqual, kernelTest } from "../harness/kernel-test.js";

type Layout = Kernel["layout"];

const shaders = import.meta.glob("/shaders/*.wgsl", {
  query: "?raw",
  import: "default",
  eager: true,
}) as Record<string, string>;

/** A definition `{ name, code, layout }` of a kernel, or of several that differ in their entry points. */
interface Definition {
  name: string;
  /** The shader file that `code` was imported from. */
  file: string;
  layout: Layout | undefined;
  where: string;
}

const definitions = Object.entries(texts).flatMap(([path, text]) => {
  const imports = new Map<string, string>();
  for (const [, identifier, file] of text.matchAll(
    /import (\w+) from "(?:\.\.\/)+(shaders\/\w+\.wgsl)\?raw"/g,
  )) {
    imports.set(identifier!, `/${file}`);
  }
  const single = [...text.matchAll(/\bname: "(\w+)",\s*code(?:: (\w+))?,\s*layout: (\w+)/g)].map(
    ([, name, code = "code", layout]) => ({ name: name!, code, layout: layout! }),
  );
  // Forms of one kernel: a function makes them from their names and texts.
  const forms = [
    ...text.matchAll(/const (\w+) = \(.*\) => defineKernel\(\{ name, code, layout: (\w+) \}\)/g),
  ];
  const several = forms.flatMap(([, make, layout]) =>
    [...text.matchAll(new RegExp(`\\b${make}\\("(\\w+)", (\\w+)\\)`, "g"))].map(([, name, code]) => ({
      name: name!,
      code: code!,
      layout: layout!,
    })),
  );
  return [...single, ...several].map(
    ({ name, code, layout }): Definition => ({
      name,
      file: imports.get(code) ?? "an unknown file",
      layout: modules[path]![layout] as Layout | undefined,
      where: `${layout} in ${path.slice(1)}`,
    }),
  );
});

/** The bindings of a WGSL text, one line each, with every struct and alias spelt out in place of its name. */
function bindingsOf(wgsl: string): string[] {
  const text = wgsl.replace(/\/\*[\s\S]*?\*\//g, "").replace(/\/\/.*$/gm, "");
  const structs = new Map<string, string>();
  for (const [, name, body] of text.matchAll(/\bstruct\s+(\w+)\s*\{([^}]*)\}/g)) structs.set(name!, body!);
  const aliases = new Map<string, string>();
  for (const [, name, type] of text.matchAll(/\balias\s+(\w+)\s*=\s*([^;]+);/g)) aliases.set(name!, type!);
  const spellOut = (type: string): string =>
    type
      .replace(/\w+/g, (word) => aliases.get(word) ?? word)
      .replace(/\s+/g, "")
      .replace(/\b(vec[234]|mat[234]x[234])<(f|i|u)(32|16)>/g, (_, base, kind, bits) =>
        bits === "16" ? `${base}h` : `${base}${kind}`,
      )
      .replace(/\w+/g, (word) => {
        const body = structs.get(word);
        if (body === undefined) return word;
        const fields = splitFields(body).map((field) => {
          const [, attributes = "", name, fieldType] =
            /^((?:@\w+(?:\([^)]*\))?\s*)*)(\w+)\s*:\s*([\s\S]+)$/.exec(field)!;
          return `${attributes.replace(/\s+/g, "")}${name}:${spellOut(fieldType!)}`;
        });
        return `{${fields.join(";")}}`;
      });
  const lines: string[] = [];
  for (const [, attributes, space, name, type] of text.matchAll(
    /((?:@(?:group|binding)\s*\([^)]*\)\s*)+)var<([^>]*)>\s*(\w+)\s*:\s*([^;]+);/g,
  )) {
    const number = (what: string) => new RegExp(`@${what}\\s*\\(\\s*(\\d+)`).exec(attributes!)?.[1];
    const [address, access = address === "storage" ? "read" : ""] = space!
      .split(",")
      .map((word) => word.trim());
    lines.push(
      `group ${number("group")} binding ${number("binding")} ${address} ${access} ${name}: ${spellOut(type!)}`,
    );
  }
  return lines;
}

/** Fields separated by commas that are not inside angle brackets. */
function splitFields(body: string): string[] {
  const fields: string[] = [];
  let depth = 0;
  let start = 0;
  for (let i = 0; i <= body.length; i++) {
    if (body[i] === "<") depth++;
    else if (body[i] === ">") depth--;
    else if (i === body.length || (body[i] === "," && depth === 0)) {
      fields.push(body.slice(start, i).trim());
      start = i + 1;
    }
  }
  return fields.filter((field) => field !== "");
}

/** What TypeGPU makes of a layout. */
function resolved(layout: Layout): string {
  const names = Object.keys(layout.entries);
  const template = names.map((name) => `_ = &layout.$.${name};`).join("\n");
  return tgpu.resolve({ template, externals: { layout } });
}

/** The first line in which a text and a layout differ, or undefined. */
function difference(code: string, layout: Layout): string | undefined {
  const [file, typed] = [bindingsOf(code), bindingsOf(resolved(layout))];
  for (let i = 0; i < Math.max(file.length, typed.length); i++) {
    if (file[i] !== typed[i]) return `the file has  ${file[i]}\nthe layout has  ${typed[i]}`;
  }
  return undefined;
}

kernelTest("layouts: every shader file is used, by kernels of its name whose layout is exported", () => {
  const used = new Set(definitions.map(({ file }) => file));
  const forgotten = Object.keys(shaders).filter((path) => !used.has(path));
  assertEqual(forgotten.join(), "", "shader files that no kernel is defined over");
  for (const { name, file, layout, where } of definitions) {
    assertEqual(file, `/shaders/${name}.wgsl`, `the file of kernel ${name}`);
    assert(layout, `kernel ${name}: export ${where}`);
  }
});

// Kernels that differ in their entry points alone are one case.
for (const { name, file, layout, where } of new Map(definitions.map((one) => [one.where, one])).values()) {
  kernelTest(`layouts: ${name}.wgsl and ${where}`, () => {
    assert(layout, `export ${where}`);
    const code = shaders[file]!;
    const different = difference(code, layout);
    assert(different === undefined, `${name}.wgsl and its layout differ:\n${different}`);
    assertEqual(bindingsOf(code).length, Object.keys(layout.entries).length, "bindings");
    for (const [binding, entry] of Object.entries(layout.entries)) {
      assertEqual(String(entry?.visibility), "compute", `visibility of ${binding}`);
    }
  });
}

kernelTest("layouts: a file that says anything else is noticed", () => {
  const matmul = shaders["/shaders/matmul.wgsl"]!;
  const doctored: [change: string, from: string | RegExp, to: string][] = [
    ["fields swapped", "  m: u32,\n  n: u32,\n", "  n: u32,\n  m: u32,\n"],
    ["a field renamed", "  cOffset: u32,", "  offsetC: u32,"],
    ["a field of another type", "  alpha: f32,", "  alpha: u32,"],
    ["a field missing", "  transposed: u32,\n", ""],
    ["a field too many", "  beta: f32,\n", "  beta: f32,\n  gamma: f32,\n"],
    ["another binding number", "@binding(3)", "@binding(4)"],
    ["another group", "@group(0) @binding(2)", "@group(1) @binding(2)"],
    ["another access", "var<storage, read_write> c", "var<storage, read> c"],
    ["another address space", "var<storage, read> problems", "var<uniform> problems"],
    ["another name", "> a: array", "> first: array"],
    ["another element type", "b: array<Operand>", "b: array<f32>"],
    ["an alias of another type", "alias Operand = vec4f", "alias Operand = vec2f"],
    ["a binding missing", /@group\(0\) @binding\(1\).*\n/, ""],
  ];
  for (const [change, from, to] of doctored) {
    const text = matmul.replace(from, to);
    assert(text !== matmul, `the test itself: ${change}`);
    assert(difference(text, matmulLayout), `not noticed: ${change}`);
  }
  assertEqual(
    difference(`${matmul.replaceAll("vec4f", "vec4<f32>")}\n/* } */ // struct`, matmulLayout),
    undefined,
    "another spelling",
  );
});
