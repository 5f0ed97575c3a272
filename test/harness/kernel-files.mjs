// A Vite plugin: which files are kernel tests, and which define kernels, by the list of rooms. Globs must be written out where
// Vite reads them, so these modules are written from the list.
import { kernelSources, testFiles } from "../../scripts/rooms.mjs";

/** From the root of the project. @param {readonly string[]} files */
const globs = (files) => JSON.stringify(files.map((file) => `/${file}`));

/** @type {Readonly<Record<string, () => string>>} */
const MODULES = {
  "#kernel-tests": () => `export const files = import.meta.glob(${globs(testFiles("kernel"))});`,
  "#kernel-sources": () => `
    export const modules = import.meta.glob(${globs(kernelSources())}, { eager: true });
    export const texts = import.meta.glob(${globs(kernelSources())}, { query: "?raw", import: "default", eager: true });`,
};

/** @returns {import("vite").Plugin} */
export function kernelFiles() {
  return {
    name: "kernel-files",
    resolveId: (id) => (id in MODULES ? `\0${id}` : undefined),
    load: (id) => (id.startsWith("\0#") ? MODULES[id.slice(1)]?.() : undefined),
  };
}
