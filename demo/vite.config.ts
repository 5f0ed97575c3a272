import { fileURLToPath } from "node:url";
import { defineConfig, type Plugin } from "vite";
import { bareShaders } from "../scripts/shaders/bare.mjs";

const path = (relative: string) => fileURLToPath(new URL(relative, import.meta.url));

/** What the built page may do: run and fetch its own files, nothing else. The development server needs inline styles. */
const POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self' data: blob:",
  "connect-src 'self'",
  "worker-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
].join("; ");

const contentSecurityPolicy: Plugin = {
  name: "content-security-policy",
  apply: "build",
  transformIndexHtml: () => [
    {
      tag: "meta",
      attrs: { "http-equiv": "Content-Security-Policy", content: POLICY },
      injectTo: "head-prepend",
    },
  ],
};

// The page imports the library as its users do, but from the sources, so that nothing has to be built first.
export default defineConfig({
  root: path("."),
  base: "./",
  publicDir: false,
  resolve: {
    alias: [
      { find: /^kfac-webgpu\/kernels$/, replacement: path("../src/kernels.ts") },
      { find: /^kfac-webgpu\/reference$/, replacement: path("../src/reference/index.ts") },
      { find: /^kfac-webgpu$/, replacement: path("../src/index.ts") },
    ],
  },
  plugins: [contentSecurityPolicy, { ...bareShaders, apply: "build" }],
  build: {
    outDir: path("../dist-demo"),
    emptyOutDir: true,
    target: "es2022",
    // Styles also for browsers that have no WebGPU: the page tells their visitors what to do.
    cssTarget: ["chrome108", "firefox110", "safari16"],
    // Nothing inline: the policy allows no data: fonts or scripts, and the digits stay a file of their own.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 1000,
  },
});
