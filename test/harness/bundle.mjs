// Builds a host's entry with all kernel tests, shaders and dependencies into a folder of plain files that need no
// network and no resolver: the same code for the page and for Deno.
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "vite";
import { kernelFiles } from "./kernel-files.mjs";

export const root = fileURLToPath(new URL("../../", import.meta.url));
export const cache = join(root, "node_modules/.cache/kfac-test");

/** @param {{ entry: string, name: string }} options */
export async function bundle({ entry, name }) {
  const outDir = join(cache, name);
  await build({
    configFile: false,
    root,
    logLevel: "error",
    publicDir: false,
    plugins: [kernelFiles()],
    resolve: {
      alias: {
        "#runner": join(root, "test/harness/runner.registry.ts"),
        // The examples import the library by its name.
        "kfac-webgpu/kernels": join(root, "src/kernels.ts"),
        "kfac-webgpu/reference": join(root, "src/reference/index.ts"),
        "kfac-webgpu": join(root, "src/index.ts"),
      },
    },
    build: {
      outDir,
      emptyOutDir: true,
      target: "es2022",
      minify: false,
      modulePreload: false,
      reportCompressedSize: false,
      rollupOptions: {
        input: join(root, entry),
        // The package calls itself free of side effects; a test file is nothing else.
        treeshake: false,
        // Only Node asks for it, and then through a dynamic import.
        external: ["webgpu"],
        output: { entryFileNames: "main.js", chunkFileNames: "[name]-[hash].js" },
      },
    },
  });
  return outDir;
}
