import { isAbsolute } from "node:path";
import { fileURLToPath } from "node:url";
import { defineConfig } from "vite";

const source = (path: string) => fileURLToPath(new URL(`src/${path}`, import.meta.url));

// The library: five entries that share chunks. WGSL comes in through Vite's own `?raw`.
export default defineConfig({
  publicDir: false,
  build: {
    target: "es2022",
    outDir: "dist",
    // scripts/build.mjs decides when dist is cleaned: a running program may still be importing from it.
    emptyOutDir: false,
    minify: false,
    sourcemap: true,
    lib: {
      formats: ["es"],
      entry: {
        index: source("index.ts"),
        node: source("node.ts"),
        kernels: source("kernels.ts"),
        reference: source("reference/index.ts"),
        cli: source("cli/main.ts"),
      },
    },
    rolldownOptions: {
      // Every package stays outside (typegpu, webgpu, node:*): only our own files and shaders go in.
      external: (id) => !id.startsWith(".") && !id.startsWith("\0") && !isAbsolute(id),
      output: { entryFileNames: "[name].js", chunkFileNames: "chunks/[name].js" },
    },
  },
});
