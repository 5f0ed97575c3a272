// The preprocessor of shaders/source/: WGSL with two additions.
//
//   # code     a line of JavaScript: loops unroll, conditions choose, calls include; functions hold text for later
//   ${value}   in a line of WGSL: a JavaScript expression
//
// All other lines are written as they are, comments too. In scope are the parameters, and
//
//   include("name", { … })      the piece of that name with these parameters beside the present ones, moved in as far as
//                               the `#` stands
//   bindings("module", "layout", { field: "comment" }, { binding: "Alias" })
//                               the structs and bindings of a layout that src/module.ts exports; an alias that the source
//                               declares may stand for the elements of a binding
//   upTo(n)                     0, 1 … n − 1
//   each(n, f)                  f(0) f(1) … f(n − 1), on one line

import { compileFunction } from "node:vm";

/**
 * What a source may draw on.
 * @typedef {object} Surroundings
 * @property {(name: string) => { file: string, text: string }} read a source or piece, with its file's name for messages
 * @property {(...what: never[]) => string[]} bindings lines for `bindings(…)`
 */

/**
 * Writes out a source.
 * @param {string} name of the source
 * @param {Record<string, unknown>} parameters what is in scope
 * @param {Surroundings} surroundings
 * @returns {string}
 * @throws {Error} that names the file and line at fault
 */
export function write(name, parameters, { read, bindings }) {
  /** @type {string[]} */
  const lines = [];
  /** @type {Set<string>} */
  const files = new Set();
  let margin = "";
  const emit = (/** @type {string} */ line) => lines.push(line === "" ? "" : margin + line);

  /** @param {string} indent @param {string} piece @param {Record<string, unknown>} scope */
  const run = (indent, piece, scope) => {
    const { file, text } = read(piece);
    files.add(file);
    const names = {
      ...scope,
      emit,
      upTo,
      each,
      bindings: (/** @type {never[]} */ ...what) => bindings(...what).forEach(emit),
      include: (/** @type {string} */ by, /** @type {string} */ inner, /** @type {object} */ own) =>
        run(by, inner, { ...scope, ...own }),
    };
    const before = margin;
    margin += indent;
    try {
      compileFunction(translated(text), Object.keys(names), { filename: file })(...Object.values(names));
    } finally {
      margin = before;
    }
  };
  try {
    run("", name, parameters);
  } catch (error) {
    throw placed(error, files);
  }
  return `${lines.join("\n")}\n`;
}

/** @param {number} count */
const upTo = (count) => [...Array(count).keys()];

/** @param {number} count @param {(index: number) => unknown} f */
const each = (count, f) => upTo(count).map(f).join(" ");

/**
 * The JavaScript of a source, line by line.
 * @param {string} text
 */
function translated(text) {
  const lines = text.replace(/\n$/, "").split("\n").map(statement);
  return `"use strict";${lines.join("\n")}`;
}

/** @param {string} line */
function statement(line) {
  const [, indent, code] = /^( *)# ?(.*)$/.exec(line) ?? [];
  if (code !== undefined) return code.replace(/^include\(/, `include(${JSON.stringify(indent)}, `);
  const text = literal(line);
  return text ? `emit(${text});` : 'throw new SyntaxError("a brace is not closed");';
}

/**
 * A line of WGSL as a JavaScript expression; undefined where a brace is not closed.
 * @param {string} line
 */
function literal(line) {
  let parts = "`";
  for (let at = 0; at < line.length; ) {
    const end = line.startsWith("${", at) ? closing(line, at + 1) : at;
    if (end < 0) return undefined;
    parts += end > at ? line.slice(at, end + 1) : line[at]?.replace(/[`\\$]/, "\\$&");
    at = end + 1;
  }
  return `${parts}\``;
}

/**
 * Where the brace that opens at `at` is closed, or -1. Braces in strings count too: they come in pairs.
 * @param {string} line @param {number} at
 */
function closing(line, at) {
  let open = 0;
  for (let i = at; i < line.length; i++) {
    if (line[i] === "{") open++;
    if (line[i] === "}" && --open === 0) return i;
  }
  return -1;
}

/**
 * The error with the innermost place in a source that it came from.
 * @param {unknown} error @param {Set<string>} files
 */
function placed(error, files) {
  const cause = error instanceof Error ? error : new Error(String(error));
  const places = (cause.stack ?? "").match(/[\w./-]+\.wgsl:\d+/g) ?? [];
  const place = places.find((one) => files.has(one.replace(/:\d+$/, ""))) ?? [...files].at(-1);
  return new Error(`${place}: ${cause.message}`, { cause });
}
