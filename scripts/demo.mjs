// The demo page: node scripts/demo.mjs [serve|build]. `serve` is Vite's development server on this machine alone.
import { fileURLToPath } from "node:url";
import { build, createServer } from "vite";

const configFile = fileURLToPath(new URL("../demo/vite.config.ts", import.meta.url));

/** Builds the static page. @param {{ outDir?: string, logLevel?: import("vite").LogLevel }} [options] */
export async function buildDemo({ outDir, logLevel = "warn" } = {}) {
  await build({ configFile, logLevel, build: outDir ? { outDir } : {} });
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [command = "serve"] = process.argv.slice(2);
  if (command === "build") {
    await buildDemo();
    console.log("dist-demo/ holds the page: any static host can serve it, from any path.");
  } else if (command === "serve") {
    const server = await createServer({ configFile, server: { host: "localhost" } });
    await server.listen();
    console.log(`The demo page: ${server.resolvedUrls?.local[0]}  (Ctrl-C ends it)`);
  } else {
    console.error(`demo: "${command}" is neither "serve" nor "build"`);
    process.exitCode = 1;
  }
}
