/** Builds the page once for all its tests and serves it as a plain host would, below a path of its own. */
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { extname, join, normalize } from "node:path";
import type { TestProject } from "vitest/node";
import { buildDemo } from "../../scripts/demo.mjs";

declare module "vitest" {
  interface ProvidedContext {
    /** Where the page is: ends with a slash. */
    demoAddress: string;
    /** The folder that is served. */
    demoFolder: string;
  }
}

/** Whoever builds the page does not know this path: only relative addresses work below it. */
const BASE = "/some/where/kfac/";

const TYPES: Record<string, string> = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".svg": "image/svg+xml",
  ".json": "application/json",
  ".wasm": "application/wasm",
  ".png": "image/png",
};

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  // A folder of its own: another run on this machine must not build into it.
  const folder = await mkdtemp(join(tmpdir(), "kfac-demo-page-"));
  await buildDemo({ outDir: folder, logLevel: "error" });
  const server = createServer(async (request, response) => {
    const { pathname } = new URL(request.url ?? "/", "http://localhost");
    const file = pathname === BASE ? "index.html" : pathname.slice(BASE.length);
    try {
      if (!pathname.startsWith(BASE) || normalize(file).startsWith("..")) throw new Error("outside");
      const body = await readFile(join(folder, file));
      const type = TYPES[extname(file)] ?? "application/octet-stream";
      response.writeHead(200, { "content-type": type, "cache-control": "no-store" }).end(body);
    } catch {
      response.writeHead(404).end();
    }
  });
  await new Promise<void>((resolve) => server.listen(0, "localhost", resolve));
  const { port } = server.address() as AddressInfo;
  project.provide("demoAddress", `http://localhost:${port}${BASE}`);
  project.provide("demoFolder", folder);
  return async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
    await rm(folder, { recursive: true, force: true });
  };
}
