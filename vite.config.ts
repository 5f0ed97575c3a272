import { isAbsolute } from "node:path";
import { fileURLToPath } from "node:url";
import { defineConfig } from "vite";
import { bareShaders } from "./scripts/shaders/bare.mjs";

const source = (path: string) => fileURLToPath(new URL(`src/${path}`, import.meta.url));

/** Packages that only the command line's reports need: their few functions go into the build, so that nobody installs them. */
const bundled = /^(d3-|internmap)/;

// The library's entries, the command line and what the benchmark shares with it: entries that share chunks. WGSL comes in through
// `?raw`.
export default defineConfig({
  publicDir: false,
  plugins: [bareShaders],
  build: {
    target: "es2022",
    outDir: "dist",
    // scripts/build.mjs decides when dist is cleaned: a running program may still be importing from it.
    emptyOutDir: false,
    minify: false,
    sourcemap: true,
    // The licences of what is bundled ask to be passed on with it.
    license: { fileName: "licenses.md" },
    lib: {
      formats: ["es"],
      entry: {
        index: source("index.ts"),
        node: source("node.ts"),
        kernels: source("kernels.ts"),
        reference: source("reference/index.ts"),
        cli: source("cli/main.ts"),
        charts: source("charts/index.ts"),
        timing: source("timing/index.ts"),
      },
    },
    rolldownOptions: {
      // All other packages stay outside (typegpu, webgpu, node:*).
      external: (id) => !id.startsWith(".") && !id.startsWith("\0") && !isAbsolute(id) && !bundled.test(id),
      output: { entryFileNames: "[name].js", chunkFileNames: "chunks/[name].js" },
    },
  },
});
