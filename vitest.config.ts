import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";

const path = (relative: string) => fileURLToPath(new URL(relative, import.meta.url));

/** The same list as in test/harness/suite.ts, which runs these files in a page and in Deno. */
const kernelTests = "test/{harness,pipeline,linalg,host,curvature,optimizers,network,solve}/*.test.ts";

/** The demo page's modules import the library by its name. */
const library = {
  "kfac-webgpu/kernels": path("src/kernels.ts"),
  "kfac-webgpu/reference": path("src/reference/index.ts"),
  "kfac-webgpu": path("src/index.ts"),
};

export default defineConfig({
  test: {
    teardownTimeout: 20_000,
    projects: [
      {
        resolve: { alias: library },
        test: {
          name: "cpu",
          include: ["test/{random,reference,data,cli,scripts,device,bench,demo/unit}/*.test.ts"],
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
        resolve: { alias: library },
        test: {
          name: "demo",
          include: ["test/demo/*.test.ts"],
          globalSetup: "test/demo/harness.setup.ts",
          testTimeout: 120_000,
          fileParallelism: false,
        },
      },
      {
        resolve: { alias: { "#runner": path("test/harness/runner.vitest.ts") } },
        test: {
          name: "node-gpu",
          include: [kernelTests],
          // A process per file, one after another: native add-ons do not load into worker threads twice, a crash then
          // costs one file, and drivers that use every core do not compete with themselves.
          pool: "forks",
          fileParallelism: false,
        },
      },
    ],
  },
});
