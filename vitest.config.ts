import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";
import { testFiles } from "./scripts/rooms.mjs";
import { kernelFiles } from "./test/harness/kernel-files.mjs";

const path = (relative: string) => fileURLToPath(new URL(relative, import.meta.url));

/** The demo page's modules and the examples import the library by its name. */
const aliases = [
  { find: "kfac-webgpu/kernels", replacement: path("src/kernels.ts") },
  { find: "kfac-webgpu/reference", replacement: path("src/reference/index.ts") },
  { find: "kfac-webgpu", replacement: path("src/index.ts") },
];

export default defineConfig({
  test: {
    teardownTimeout: 20_000,
    projects: [
      {
        // The benchmark's programs take these from the build; their tests take them from the sources.
        resolve: {
          alias: [...aliases, { find: /^.*\/library\.mjs$/, replacement: path("test/bench/library.ts") }],
        },
        test: {
          name: "cpu",
          include: testFiles("cpu"),
          testTimeout: 60_000,
        },
      },
      {
        // Packing, installing and building take minutes of their own.
        test: {
          name: "package",
          include: ["test/package/*.test.ts"],
          testTimeout: 300_000,
          hookTimeout: 300_000,
        },
      },
      {
        // The demo page, built and served, in headless Chromium; one page at a time, since a software adapter uses every core.
        resolve: { alias: aliases },
        test: {
          name: "demo",
          include: ["test/demo/*.test.ts"],
          globalSetup: "test/demo/harness.setup.ts",
          testTimeout: 120_000,
          fileParallelism: false,
        },
      },
      {
        resolve: {
          alias: [...aliases, { find: "#runner", replacement: path("test/harness/runner.vitest.ts") }],
        },
        plugins: [kernelFiles()],
        test: {
          name: "node-gpu",
          include: testFiles("kernel"),
          // A process per file, one after another: native add-ons do not load into worker threads twice, a crash then
          // costs one file, and drivers that use every core do not compete with themselves.
          pool: "forks",
          fileParallelism: false,
        },
      },
    ],
  },
});
