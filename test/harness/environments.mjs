// The places the tests run in on this machine.
import { join } from "node:path";
import { findBrowser, findDeno, findDrivers, nodeEnvironment } from "../../scripts/drivers.mjs";
import { root } from "./bundle.mjs";

/**
 * `problem` says why it cannot run, which is a failure: nothing is left out in silence.
 * @typedef {{ id: string, title: string, problem?: string, arguments?: string[], env?: Record<string, string> }} Environment
 */

const DRIVERS = ["gpu", "lavapipe", "swiftshader"];
const NO_BROWSER = "no Chrome or Chromium found: install one, or point CHROME_PATH at it";

/** @returns {{ names: string[], all: Environment[] }} `names` are those that any machine might have */
export function environments() {
  const drivers = findDrivers();
  const browser = findBrowser();
  const deno = findDeno();
  /** @type {Environment[]} */
  const node = drivers.map((driver) => ({
    id: driver.id,
    title: `kernels in Node on ${driver.name}`,
    arguments: vitest("node-gpu"),
    env: { ...nodeEnvironment(driver), KFAC_TEST_DRIVER: driver.id },
  }));
  if (node.length === 0) {
    node.push({
      id: "node-gpu",
      title: "",
      problem: "no WebGPU adapter: this machine has neither a GPU driver nor lavapipe or SwiftShader",
    });
  }
  const all = [
    { id: "cpu", title: "unit tests without a GPU", arguments: vitest("cpu") },
    ...node,
    {
      id: "chromium",
      title: `kernels in a page of ${browser?.path} ${browser?.version ?? ""}`,
      problem: browser ? undefined : NO_BROWSER,
      arguments: ["test/browser/run.mjs"],
    },
    {
      id: "demo",
      title: `the demo page in ${browser?.path} ${browser?.version ?? ""}`,
      problem: browser ? undefined : NO_BROWSER,
      arguments: vitest("demo"),
    },
    {
      id: "deno",
      title: `kernels under Deno (wgpu, naga) on ${drivers[0]?.name ?? "nothing"}`,
      problem: deno ? undefined : "no deno binary found: `npm install` brings it as a platform package",
      arguments: ["test/deno/run.mjs"],
    },
    { id: "package", title: "the packed library in an empty project", arguments: vitest("package") },
  ];
  return { names: ["cpu", ...DRIVERS, "node-gpu", "chromium", "demo", "deno", "package"], all };
}

/** @param {string} project */
function vitest(project) {
  return [
    join(root, "node_modules/vitest/vitest.mjs"),
    "run",
    `--project=${project}`,
    "--reporter=./test/harness/reporter.mjs",
    "--passWithNoTests",
  ];
}
