// Holds the imports under src/ to one direction: every room knows only the rooms before it, and no files form a ring.

import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, posix } from "node:path";
import { fileURLToPath } from "node:url";
import { knownTo, roomOf } from "./rooms.mjs";

/**
 * Everything wrong with the imports of these files.
 * @param {Record<string, string>} files path relative to the project → its text
 * @returns {string[]} one line for each violation
 */
export function violations(files) {
  const graph = Object.fromEntries(
    Object.entries(files).map(([file, text]) => [file, importsOf(file, text, files)]),
  );
  const wrong = Object.entries(graph).flatMap(([file, targets]) =>
    targets.flatMap((target) => {
      const [from, to] = [roomOf(file), roomOf(target)];
      const known = knownTo(from);
      if (!known) return [`${file}: there is no room "${from}" in the plan (scripts/rooms.mjs)`];
      return from === to || known.has(to) ? [] : [`${file} imports ${target}: ${from} may not know ${to}`];
    }),
  );
  return [...new Set(wrong), ...rings(graph)];
}

/**
 * The project's own files that a text imports, types included: a type is knowledge too.
 * @param {string} file
 * @param {string} text
 * @param {Record<string, string>} files
 */
function importsOf(file, text, files) {
  const code = text.replace(/\/\*[\s\S]*?\*\//g, "").replace(/^\s*\/\/.*$/gm, "");
  const specifiers = code.matchAll(/(?:\bfrom|\bimport)\s*\(?\s*["'](\.[^"']*)["']/g);
  return [...specifiers].map(([, specifier = ""]) => {
    const path = posix.join(posix.dirname(file), specifier.replace(/\?.*$/, ""));
    const stem = path.replace(/\.[jt]s$/, "");
    return [path, `${stem}.ts`, `${stem}/index.ts`].find((candidate) => candidate in files) ?? path;
  });
}

/** Each ring of imports once, found depth first. @param {Record<string, string[]>} graph */
function rings(graph) {
  /** @type {string[]} */
  const found = [];
  const done = new Set();
  /** @param {string} file @param {string[]} path */
  const visit = (file, path) => {
    const start = path.indexOf(file);
    if (start >= 0) found.push(`Ring of imports: ${[...path.slice(start), file].join(" → ")}`);
    if (start >= 0 || done.has(file)) return;
    for (const target of graph[file] ?? []) visit(target, [...path, file]);
    done.add(file);
  };
  for (const file of Object.keys(graph)) visit(file, []);
  return found;
}

/** @param {string} root @returns {Record<string, string>} */
function readSources(root) {
  const entries = readdirSync(join(root, "src"), { recursive: true, withFileTypes: true });
  const paths = entries
    .filter((entry) => entry.isFile() && entry.name.endsWith(".ts"))
    .map((entry) => join(entry.parentPath, entry.name));
  const relative = (/** @type {string} */ path) => path.slice(root.length).replaceAll("\\", "/");
  return Object.fromEntries(paths.map((path) => [relative(path), readFileSync(path, "utf8")]));
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const files = readSources(join(dirname(dirname(process.argv[1])), "/"));
  const wrong = violations(files);
  for (const line of wrong) console.error(line);
  if (wrong.length === 0) console.log(`Imports of ${Object.keys(files).length} files point one way.`);
  process.exitCode = wrong.length === 0 ? 0 : 1;
}
